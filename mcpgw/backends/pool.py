"""All backends of a configuration, each a child task of one nursery."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import trio

from mcpgw.backends.server import Backend
from mcpgw.backends.services import Host
from mcpgw.backends.states import Unavailable
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.backend")


@attrs.define(eq=False)
class BackendPool:
    """The backends by name. `run` is the nursery that they live in."""

    host: Host
    _backends: dict[str, Backend] = attrs.field(factory=dict)
    _own: dict[tuple[str, str], Backend] = attrs.field(factory=dict)
    """The servers of single sessions, by server and session."""
    _nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<BackendPool {list(self._backends.values())!r}>"

    def __iter__(self) -> Iterator[Backend]:
        return iter(tuple(self._backends.values()))

    def __len__(self) -> int:
        return len(self._backends)

    def get(self, name: str) -> Backend | None:
        """Return the enabled backend of this name."""
        return self._backends.get(name)

    def of(self, name: str, session: str) -> Backend | None:
        """Return the backend of this name for a session: its own where `scope` says so.

        What is known of such a server's lists is known from the shared one, which is started
        for nothing else.
        """
        shared = self._backends.get(name)
        if shared is None or shared.config.scope != "session" or not session:
            return shared
        own = self._own.get((name, session))
        if own is None:
            assert self._nursery is not None, "the pool must run first"
            own = Backend(shared.config, shared.failsafe, self.host, session)
            self._own[name, session] = own
            self._nursery.start_soon(_run, own)
            if shared.killed:
                own.kill()
        return own

    def all_of(self, name: str) -> tuple[Backend, ...]:
        """Return every backend of this name: the shared one and those of single sessions."""
        own = [backend for (server, _), backend in self._own.items() if server == name]
        shared = self._backends.get(name)
        return (*(() if shared is None else (shared,)), *own)

    def end_session(self, session: str) -> None:
        """End the servers that were a session's own; their calls have ended with it."""
        for key in [key for key in self._own if key[1] == session]:
            backend = self._own.pop(key)
            if self._nursery is not None:
                self._nursery.start_soon(backend.retire, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all enabled backends, in the order of the configuration."""
        return tuple(self._backends)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the backends' tasks; on cancellation all end in parallel."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def apply(self, config: GatewayConfig) -> None:
        """Make the backends those of a configuration.

        Backends whose settings are the same go on untouched, and so do those of which only
        the description, the time-out or the shape of the tools differs. One that is changed or gone
        takes no new calls, finishes those in flight within `server.shutdown_timeout`, and
        ends; its successor is there at once.
        """
        assert self._nursery is not None, "the pool must run first"
        wanted = {name: settings for name, settings in config.backends.items() if _usable(settings)}
        backends: dict[str, Backend] = {}
        for name, settings in wanted.items():
            failsafe = settings.effective_failsafe(config.failsafe)
            old = self._backends.get(name)
            if old is not None and old.failsafe == failsafe and old.config.runs_like(settings):
                old.reshape(settings)
                backends[name] = old
                continue
            backends[name] = Backend(settings, failsafe, self.host)
            self._nursery.start_soon(_run, backends[name])
            if old is not None and old.killed:
                backends[name].kill()
        for name, old in self._backends.items():
            if backends.get(name) is not old:
                self._nursery.start_soon(old.retire, config.server.shutdown_timeout)
        for key, own in list(self._own.items()):
            successor = backends.get(key[0])
            if successor is not None and own.config.runs_like(successor.config):
                own.reshape(successor.config)
            else:
                del self._own[key]
                self._nursery.start_soon(own.retire, config.server.shutdown_timeout)
        self._backends = backends

    async def learn(
        self,
        *,
        patience: float,
        at_once: int = 4,
        only: str | None = None,
        thorough: bool = False,
    ) -> tuple[str, ...]:
        """Start the backends of which nothing is known, and wait for their lists.

        Waits until all have answered or failed; once some have answered, for half as long
        again as the slowest of them took, and for `patience` seconds at the most. So one
        that hangs is not waited for. Those not done go on in the background.

        Args:
          patience: seconds at the most.
          at_once: how many may be starting together, for the first seconds of each.
          only: the one server to learn about; all where None.
          thorough: wait for slow ones too, as long as `patience` allows.

        Returns:
          The names of those that are not known yet.
        """
        unknown = [
            backend
            for backend in self
            if not backend.known and not backend.killed and only in (None, backend.name)
        ]
        fresh = [backend for backend in unknown if backend.starts == 0]
        if fresh:
            await _Lesson(fresh, patience, thorough, trio.Semaphore(at_once)).run()
        return tuple(b.name for b in unknown if not b.known and b.failure is None)


@attrs.define(eq=False)
class _Lesson:
    """One round of starting backends to learn what they offer."""

    backends: list[Backend]
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

    async def _learn(self, backend: Backend) -> None:
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


async def _learned(backend: Backend) -> None:
    try:
        await backend.learned()
    except Unavailable:
        return


async def _run(backend: Backend) -> None:
    """Run a backend's task; a fault of ours in it ends this one backend, not the gateway."""
    try:
        await backend.run()
    except Exception as error:
        log.error("backend.crashed", server=backend.name, exc_info=error)
        backend.give_up("an internal error of the gateway ended its task; the log has the cause")


def _usable(settings: BackendConfig) -> bool:
    return settings.enabled and settings.transport != "a2a"
