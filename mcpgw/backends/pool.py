"""Pool of all backend servers of a configuration, each a child task of one nursery."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import trio

from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.server import BackendServer
from mcpgw.backends.services import BackendServices
from mcpgw.backends.states import Unavailable
from mcpgw.config.schema import BackendConfig, GatewayConfig


@attrs.define(eq=False)
class BackendPool:
    """The servers by name. `run` is the nursery that they live in."""

    services: BackendServices
    _servers: dict[str, BackendServer] = attrs.field(factory=dict)
    _nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<BackendPool {list(self._servers.values())!r}>"

    def __iter__(self) -> Iterator[BackendServer]:
        return iter(tuple(self._servers.values()))

    def __len__(self) -> int:
        return len(self._servers)

    def get(self, name: str) -> BackendServer | None:
        """Return the enabled server of this name."""
        return self._servers.get(name)

    def instance(self, name: str, session: str) -> BackendInstance | None:
        """Return the instance of a server that serves a session; None if there is no server."""
        server = self._servers.get(name)
        return None if server is None else server.instance(session)

    def end_session(self, session: str) -> None:
        """End the instances that served one session only; their calls have ended with it."""
        for server in self._servers.values():
            server.end_session(session)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all enabled servers, in the order of the configuration."""
        return tuple(self._servers)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the servers' tasks; on cancellation all end in parallel."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def apply(self, config: GatewayConfig) -> None:
        """Apply a configuration: add, replace and retire servers.

        Servers with the same settings keep running, and so do those of which only the
        description, the timeout or the names of the tools differ. A server that was changed or
        removed takes no new calls, finishes those in flight within `server.shutdown_timeout`,
        and ends; its successor takes calls at once.
        """
        assert self._nursery is not None, "the pool must run first"
        wanted = {name: settings for name, settings in config.backends.items() if _usable(settings)}
        servers: dict[str, BackendServer] = {}
        for name, settings in wanted.items():
            failsafe = settings.effective_failsafe(config.failsafe)
            old = self._servers.get(name)
            if old is not None and old.failsafe == failsafe and old.config.runs_like(settings):
                old.reshape(settings)
                servers[name] = old
                continue
            servers[name] = BackendServer(settings, failsafe, self.services)
            servers[name].killed = old is not None and old.killed
            self._nursery.start_soon(servers[name].run)
        for name, old in self._servers.items():
            if servers.get(name) is not old:
                old.retire(config.server.shutdown_timeout)
        self._servers = servers

    async def learn(
        self,
        *,
        patience: float,
        at_once: int = 4,
        only: str | None = None,
        thorough: bool = False,
    ) -> tuple[str, ...]:
        """Start the servers whose lists are unknown, and wait for the lists.

        Waits until all have answered or failed, but at most for `patience` seconds. Once all are
        started and some have answered, the others get half as long again as the slowest of those
        took, so a hanging server does not hold up the rest. They go on in the background.

        Args:
          patience: the longest wait, in seconds.
          at_once: how many may start concurrently, during the first seconds of each.
          only: the one server to learn about; all if None.
          thorough: wait for slow servers too, as long as `patience` allows.

        Returns:
          The names of the servers whose lists are still unknown, without failed ones.
        """
        await self._prepare(patience)
        unknown = [
            backend
            for backend in self
            if not backend.known and not backend.killed and only in (None, backend.name)
        ]
        fresh = [backend for backend in unknown if backend.starts == 0]
        if fresh:
            await _Discovery(fresh, patience, thorough, trio.Semaphore(at_once)).run()
        return tuple(b.name for b in unknown if not b.known and b.failure is None)

    async def look_again(self, *, patience: float, only: str | None = None) -> None:
        """Read the lists again of servers of which something is withheld or could not be read.

        Starts them if necessary. Waits until all have answered or failed, but at most for
        `patience` seconds.
        """
        await self._prepare(patience)
        doubtful = [
            backend
            for backend in self
            if backend.withholds
            and not backend.killed
            and not backend.breaker_open
            and only in (None, backend.name)
        ]
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                for backend in doubtful:
                    nursery.start_soon(_looked_at, backend)

    async def _prepare(self, patience: float) -> None:
        """Wait for the vetting of lists from an earlier run."""
        with trio.move_on_after(patience):
            for backend in self:
                if not backend.lists.prepared:
                    await backend.lists.prepare()


@attrs.define(eq=False)
class _Discovery:
    """One round of starting servers to read their lists."""

    backends: list[BackendServer]
    patience: float
    thorough: bool
    starting: trio.Semaphore
    _waiting: int = 0
    _longest: float = 0.0
    _end: float = 0.0
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> None:
        self._waiting = len(self.backends)
        self._end = self._scope.deadline = trio.current_time() + self.patience
        with self._scope:
            async with trio.open_nursery() as nursery:
                for backend in self.backends:
                    nursery.start_soon(self._learn, backend)

    async def _learn(self, backend: BackendServer) -> None:
        async with self.starting:
            self._waiting -= 1
            began = trio.current_time()
            with trio.move_on_after(2.0):
                await _learned(backend)
        if not backend.known and backend.failure is None:
            await _learned(backend)
        if backend.known:
            now = trio.current_time()
            self._longest = max(self._longest, now - began)
            if not self._waiting and not self.thorough:
                self._scope.deadline = min(self._end, now + max(0.3, 0.5 * self._longest))


async def _learned(backend: BackendServer) -> None:
    try:
        await backend.learned()
    except Unavailable:
        return


async def _looked_at(backend: BackendServer) -> None:
    try:
        await backend.look_again()
    except Unavailable:
        return


def _usable(settings: BackendConfig) -> bool:
    return settings.enabled and settings.transport != "a2a"
