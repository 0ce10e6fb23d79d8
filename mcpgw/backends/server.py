"""One configured MCP server: its limits, its switches, and its running instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import trio

from mcpgw.backends.breaker import BreakerState, CircuitBreaker
from mcpgw.backends.concurrency import ConcurrencyLimit
from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.list_sync import ListSync
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.rate_limit import TokenBucket
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.backends.states import Failure, State
from mcpgw.backends.tool_view import ToolView
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.backend")


@attrs.define(eq=False)
class BackendServer:
    """A configured MCP server and its instances. `run` is the nursery that they live in.

    Operator actions, limits, the circuit breaker, the manifest and vetting belong to the server
    and so act on every instance; calls, subscriptions and tasks belong to one instance.

    Args:
      config: its entry in gateway.yaml.
      failsafe: the guards that apply to it.
      services: the gateway, as far as backends need it.
    """

    config: BackendConfig
    failsafe: FailsafeConfig
    services: BackendServices
    name: str = attrs.field(init=False)
    breaker: CircuitBreaker = attrs.field(init=False)
    bucket: TokenBucket | None = attrs.field(init=False)
    concurrency: ConcurrencyLimit | None = attrs.field(init=False)
    shared: BackendInstance = attrs.field(init=False)
    """The instance that all sessions share. With `scope: session` it only reads lists."""
    killed: bool = False
    retired: bool = False
    _own: dict[str, BackendInstance] = attrs.field(factory=dict)
    """The instances of single sessions, by session."""
    _nursery: trio.Nursery | None = None
    _retiring: trio.Event = attrs.field(factory=trio.Event)
    _grace: float = 0.0
    _upkeep: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.name = self.config.name
        breaker, rate, limit = (
            self.failsafe.circuit_breaker,
            self.failsafe.rate_limit,
            self.failsafe.concurrency,
        )
        self.breaker = CircuitBreaker(
            failure_threshold=breaker.failure_threshold,
            success_threshold=breaker.success_threshold,
            reset_timeout=breaker.reset_timeout,
        )
        self.bucket = (
            TokenBucket(rate=rate.requests_per_second, burst=rate.burst_size)
            if rate.enabled
            else None
        )
        self.concurrency = ConcurrencyLimit(limit.max_in_flight) if limit.enabled else None
        self.shared = BackendInstance(self)

    def __repr__(self) -> str:
        pid = f" pid={self.pid}" if self.pid else ""
        count = f" instances={len(self._own)}" if self._own else ""
        failures = max(each.restarts.in_a_row for each in self)
        pending = sum(each.pending for each in self)
        why = f" why={self.failure.reason!r:.120}" if self.failure else ""
        return (
            f"<BackendServer {self.name!r} {self.state.name}{pid}{count} pending={pending}"
            f" failures={failures} starts={self.starts} tools={len(self.tools)}{why}>"
        )

    def __iter__(self) -> Iterator[BackendInstance]:
        """Iterate over all instances: the shared one first."""
        return iter((self.shared, *self._own.values()))

    # -- state ---------------------------------------------------------------------------

    @property
    def _prominent(self) -> BackendInstance:
        """The instance whose state represents the server: a running one, if there is one."""
        for wanted in (State.READY, State.STARTING):
            for instance in self:
                if instance.state is wanted:
                    return instance
        return next((each for each in self if each.failure is not None), self.shared)

    @property
    def state(self) -> State:
        """The state of the server: ready if any instance is ready."""
        return self._prominent.state

    @property
    def failure(self) -> Failure | None:
        """The last failure of an instance; None while one is ready."""
        return self._prominent.failure

    @property
    def breaker_open(self) -> bool:
        """True if the circuit breaker refuses calls."""
        return self.failsafe.circuit_breaker.enabled and self.breaker.state is BreakerState.OPEN

    @property
    def known(self) -> bool:
        """True if its lists were ever read, now or in an earlier run."""
        return self.lists.manifest is not None

    @property
    def lists(self) -> ListSync:
        """The lists by which it is found and shown."""
        return self.shared.lists

    @property
    def manifest(self) -> Manifest | None:
        """The lists as last read, now or in an earlier run."""
        return self.lists.manifest

    @property
    def tool_view(self) -> ToolView:
        """The names under which its tools are offered."""
        return self.shared.tool_view

    @property
    def tools(self) -> Mapping[str, dict[str, Any]]:
        """The tools by the name under which they are offered, as last listed."""
        return self.shared.tools

    @property
    def starts(self) -> int:
        """The number of starts of all instances."""
        return sum(each.starts for each in self)

    @property
    def pid(self) -> int | None:
        """The process id of a running instance."""
        return next((each.pid for each in self if each.pid), None)

    def situation(self) -> str:
        """Describe the state and its cause in one sentence."""
        return self._prominent.situation()

    # -- instances -------------------------------------------------------------------------

    def instance(self, session: str) -> BackendInstance:
        """Return the instance that serves a session: its own if `scope` is `session`."""
        if self.config.scope != "session" or not session:
            return self.shared
        own = self._own.get(session)
        if own is None:
            own = BackendInstance(self, session)
            own.lists.start_from(self.lists)
            self._own[session] = own
            own.retired = self.retired
            if self._nursery is not None and not self.retired:
                self._nursery.start_soon(_run, own)
        return own

    def existing_instance(self, session: str) -> BackendInstance | None:
        """Return an instance by its `session`; None if it has ended."""
        return self._own.get(session) if session else self.shared

    def end_session(self, session: str) -> None:
        """End the instance of a session; its calls have ended with the session."""
        instance = self._own.pop(session, None)
        if instance is not None:
            instance.retired = True
            instance.stop()

    async def learned(self) -> None:
        """Wait until the lists were read from a live connection, starting one if necessary.

        Raises:
          Unavailable: it cannot be started.
        """
        await self.shared.learned()

    # -- settings and operator actions -----------------------------------------------------

    def reshape(self, config: BackendConfig) -> None:
        """Apply settings that need no restart of the server."""
        self.config = config
        for instance in self:
            instance.tool_view.reshape(config)

    def rescan(self) -> None:
        """Have the lists of all instances vetted again."""
        self._upkeep.set()

    async def look_again(self) -> None:
        """Read the lists again from live connections, starting one if necessary.

        Raises:
          Unavailable: it cannot be started.
        """
        running = [each for each in self if each.connection is not None]
        for instance in running or [self.shared]:
            await instance.learned(again=True)

    @property
    def withholds(self) -> bool:
        """True if a definition is withheld, or if a list could not be read."""
        return any(
            each.lists.problems or (each.lists.verdict and not each.lists.verdict.clean)
            for each in self
        )

    def update_log_level(self) -> None:
        """Have all instances notified of the log level that clients want."""
        for instance in self:
            instance.lists.update_log_level()

    def kill(self) -> bool:
        """Stop all instances until `revive`. Return whether it was running before."""
        was, self.killed = self.killed, True
        for instance in self:
            instance.stop()
        return not was

    def revive(self) -> None:
        """Lift the kill switch, close the breaker, and forget failures."""
        self.killed = False
        self.breaker.reset()
        for instance in self:
            instance.forget_failures()

    @property
    def restarts_left(self) -> int:
        """The number of restarts that are allowed before a call must succeed."""
        return max(0, self.breaker.failure_threshold - 1 - self.breaker.failures)

    def restart(self, reason: str) -> tuple[tuple[BackendInstance, ...], int]:
        """End the running instances and start them again.

        Counts as one failure in the breaker, which a successful call clears.

        Returns:
          The restarted instances (the shared one if none was running), and the number of calls
          that were interrupted.
        """
        self.breaker.record_failure(reason)
        running = tuple(each for each in self if each.state in (State.READY, State.STARTING))
        restarted = running or (self.shared,)
        return restarted, sum(each.restart() for each in restarted)

    def retire(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, then end."""
        self.retired = True
        for instance in self:
            instance.retired = True
        self._grace = grace
        self._retiring.set()

    def instance_listed(self, instance: Instance, changed: frozenset[str]) -> None:
        """Report that an instance has read its lists.

        They become the server's as long as the shared instance was never started: what an earlier
        run has remembered may be outdated.
        """
        own = self._own.get(instance.session)
        if own is not None and not self.shared.starts:
            self.lists.adopt(own.lists)
            self._upkeep.set()
            instance = self.shared
        self.services.listed(instance, changed)

    # -- the task --------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the instances' tasks until the server is retired or cancelled."""
        async with trio.open_nursery() as self._nursery:
            for instance in self:
                self._nursery.start_soon(_run, instance)
            self._nursery.start_soon(self._keep_vetted)
            task_status.started()
            await self._retiring.wait()
            async with trio.open_nursery() as retiring:
                for instance in self:
                    retiring.start_soon(instance.retire, self._grace)
            self._nursery.cancel_scope.cancel()

    async def _keep_vetted(self) -> None:
        """Vet the lists again on request, and save those that were adopted."""
        while True:
            await self._upkeep.wait()
            self._upkeep = trio.Event()
            for instance in self:
                try:
                    await instance.lists.upkeep()
                except Exception as error:
                    log.error("vetting.crashed", server=self.name, exc_info=error)


async def _run(instance: BackendInstance) -> None:
    """Run an instance; an internal error is a failure like any other."""
    while not instance.retired:
        try:
            await instance.run()
        except Exception as error:
            log.error("backend.crashed", server=instance.name, exc_info=error)
            await instance.recover("an internal gateway error ended its task (see the log)")
