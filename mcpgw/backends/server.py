"""One backend: a supervised task that keeps an MCP server running while it is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from mcpgw.backends import call_context
from mcpgw.backends.backoff import delay
from mcpgw.backends.breaker import BreakerState, CircuitBreaker
from mcpgw.backends.concurrency import ConcurrencyLimit
from mcpgw.backends.connection import Connection
from mcpgw.backends.endpoint import Endpoint, open_endpoint
from mcpgw.backends.handshake import HandshakeFailed, open_connection
from mcpgw.backends.health import probe
from mcpgw.backends.list_sync import Lists
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.process import SpawnFailed
from mcpgw.backends.rate_limit import TokenBucket
from mcpgw.backends.services import Host
from mcpgw.backends.source_watch import changed as sources_changed
from mcpgw.backends.states import Failure, Replaced, State, Unavailable
from mcpgw.backends.tool_view import ToolView
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.peer import Params, Peer, Request

log = get_logger("mcpgw.backend")

EXIT_DRAIN: Final = 0.25
"""Seconds to read what a child wrote before it exited."""
SETTLED: Final = 10.0
"""Seconds after which a connection that then ends counts as a new story for the backoff."""


@attrs.define(eq=False)
class Backend:
    """A supervised MCP server.

    It is started at the first demand, restarted with backoff when it dies, and owns its
    circuit breaker, rate limit and concurrency limit. `run` is its task; the other methods
    are called from other tasks of the same Trio loop.
    """

    config: BackendConfig
    failsafe: FailsafeConfig
    host: Host
    session: str = ""
    """The id of the one client session that it serves; empty where all share it."""
    name: str = attrs.field(init=False)
    breaker: CircuitBreaker = attrs.field(init=False)
    bucket: TokenBucket | None = attrs.field(init=False)
    concurrency: ConcurrencyLimit | None = attrs.field(init=False)
    lists: Lists = attrs.field(init=False)
    tool_view: ToolView = attrs.field(init=False)
    connection: Connection | None = None
    """The live conversation; None while there is none."""
    failure: Failure | None = None
    """The last failure, kept until the backend is ready again."""
    starts: int = 0
    deadlines: set[trio.CancelScope] = attrs.field(factory=set)
    """The scopes of the calls that are with the server now."""
    last_used: float = 0.0
    """When the last call began or ended, by Trio's clock."""
    killed: bool = False
    retired: bool = False
    _restarting: bool = False
    _phase: State = State.IDLE
    _since: float = 0.0
    _ready_at: float = 0.0
    _wanted: bool = False
    _failed_starts: int = 0
    _failures_in_a_row: int = 0
    _generation: int = 0
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _scope: trio.CancelScope | None = None
    _link: Endpoint | None = None
    _peer: Peer | None = None

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
        kept = self.config.transport != "builtin"
        self.lists = Lists(self.name, self.config.fingerprint(), self.host, self._listed, kept=kept)
        self.tool_view = ToolView.of(self.lists, self.config)

    def __repr__(self) -> str:
        pid = f" pid={self.pid}" if self.pid else ""
        pending = self.connection.peer.pending if self.connection else 0
        why = f" why={self.failure.reason!r:.120}" if self.failure else ""
        return (
            f"<Backend {self.name!r} {self.state.name}{pid} pending={pending}"
            f" failures={self._failures_in_a_row} starts={self.starts}"
            f" tools={len(self.tools)}{why}>"
        )

    # -- what others look at -----------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the backend stands now."""
        if self.killed or (self.failure is not None and self.failure.permanent):
            return State.STOPPED
        if self._phase is State.READY or self._phase is State.STARTING:
            return self._phase
        if self.breaker_open:
            return State.OPEN
        return self._phase

    @property
    def breaker_open(self) -> bool:
        """Tell whether the circuit breaker refuses calls."""
        return self.failsafe.circuit_breaker.enabled and self.breaker.state is BreakerState.OPEN

    @property
    def known(self) -> bool:
        """Tell whether what the backend offers was ever learned (now or in an earlier run)."""
        return self.lists.manifest is not None

    @property
    def manifest(self) -> Manifest | None:
        """What the backend offers, as last listed, now or in an earlier run."""
        return self.lists.manifest

    @property
    def tools(self) -> Mapping[str, dict[str, Any]]:
        """The tools by the name under which they are offered, as last listed."""
        return self.tool_view.tools

    @property
    def pid(self) -> int | None:
        """The process id of the running child."""
        return self._link.pid if self._link else None

    def situation(self) -> str:
        """Say in one sentence where the backend stands and why."""
        for_seconds = trio.current_time() - self._since
        if self.killed:
            return f"Server '{self.name}' is disabled by the operator's kill switch"
        text = f"Server '{self.name}' is {self.state.value}"
        if self._phase is State.STARTING:
            text += f" for {for_seconds:.0f} s and has not answered `initialize` yet"
            if tail := self._link.stderr_tail() if self._link else "":
                text += f"; its stderr ends: {tail}"
        if self.failure is not None:
            text += f": {self.failure.reason}"
        return text

    # -- what others ask for -------------------------------------------------------------

    def reshape(self, config: BackendConfig) -> None:
        """Take settings that differ only in what needs no new start of the server."""
        self.config = config
        self.tool_view.reshape(config)

    def want(self) -> None:
        """Ask for the backend to run; it starts now or after its backoff."""
        if not self._wanted:
            self._wanted = True
            self._notify_waiters()

    async def connected(self) -> Connection:
        """Return the live connection, waiting through starts and restarts.

        The caller sets the deadline. Gives up after as many failed starts as
        `failsafe.retry.max_attempts` allows, counted from this call.

        Raises:
          Replaced: the configuration has changed; there may be a successor.
          Unavailable: it is stopped, its breaker opened, or it failed to start too often.
        """
        failed_before = self._failed_starts
        patience = max(1, self.failsafe.retry.max_attempts) if self.failsafe.retry.enabled else 1
        while True:
            if self.connection is not None:
                return self.connection
            if self.retired:
                raise Replaced(f"Server '{self.name}' has changed in gateway.yaml meanwhile")
            failed = self._failed_starts - failed_before
            if self.state is State.STOPPED or failed >= patience or (failed and self.breaker_open):
                raise Unavailable(self.situation())
            self.want()
            await self._changed.park()

    async def learned(self) -> None:
        """Wait until the lists were read from the live backend, starting it where needed.

        Raises:
          Unavailable: it cannot be started.
        """
        connection = await self.connected()
        await connection.listed.wait()

    async def settled(self) -> None:
        """Wait until a lost connection's cause is known (the child is reaped)."""
        lost = self._generation
        while self._link is not None and self._generation == lost:
            await self._changed.park()

    def stretch(self, seconds: float) -> None:
        """Give the calls that are with the server now so many seconds from now."""
        for scope in self.deadlines:
            scope.deadline = trio.current_time() + seconds

    def kill(self) -> bool:
        """Stop the backend until `revive`. True where it was not killed already."""
        was, self.killed = self.killed, True
        self._wanted = False
        self._end_connection()
        self._notify_waiters()
        return not was

    def revive(self) -> None:
        """Lift the kill switch, close the breaker, and forget failures."""
        self.killed = False
        self.failure = None
        self._failures_in_a_row = 0
        self.breaker.reset()
        self._notify_waiters()

    @property
    def restarts_left(self) -> int:
        """How often `restart` may still be called before a call has to succeed."""
        return max(0, self.breaker.failure_threshold - 1 - self.breaker.failures)

    def restart(self, reason: str) -> int:
        """End the process and start it anew; return how many calls that interrupts.

        Counts as a failure in the breaker, which a call that succeeds takes back.
        """
        interrupted = self.connection.peer.pending if self.connection else 0
        self.breaker.record_failure(reason)
        self.failure = None
        self._restarting = True
        self._wanted = True
        self._end_connection()
        self._notify_waiters()
        return interrupted

    def give_up(self, reason: str) -> None:
        """Take note that the task has ended for good: calls are refused with the reason."""
        self.failure = Failure(reason, permanent=True)
        self.connection = None
        self._notify_waiters()

    async def retire(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, then end."""
        self.retired = True
        connection = self.connection
        self._notify_waiters()
        if connection is not None:
            with trio.move_on_after(grace):
                await connection.peer.drained()
        self._end_connection()
        self._notify_waiters()

    # -- the supervised task ---------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the server running while it is wanted, until retired or cancelled."""
        task_status.started()
        while not self.retired:
            if not self._wanted or self.state is State.STOPPED:
                self._enter(State.IDLE)
                await self._changed.park()
                continue
            was_ready = await self._live()
            if self.failure is None or self.killed or self.retired:
                continue
            if self.failure.permanent:
                log.error("backend.unusable", server=self.name, reason=self.failure.reason)
                self._failed_starts += 1
                self._wanted = False
                continue
            await self._back_off(was_ready)

    async def _back_off(self, was_ready: bool) -> None:
        """Count the failure, and wait before the next start."""
        assert self.failure is not None
        if was_ready and trio.current_time() - self._ready_at > SETTLED:
            self._failures_in_a_row = 0
        self._failures_in_a_row += 1
        if not was_ready:
            self._failed_starts += 1
        self.breaker.record_failure(self.failure.reason)
        log.warning(
            "backend.failed",
            server=self.name,
            reason=self.failure.reason,
            failures=self._failures_in_a_row,
        )
        if self.breaker_open:
            # Calls that come after the breaker's time are what starts it again.
            self._wanted = False
            self._enter(State.IDLE)
            return
        retry = self.failsafe.retry
        self._enter(State.BACKING_OFF)
        if self._failures_in_a_row > 1 or not was_ready:
            seconds = delay(
                self._failures_in_a_row + 1,
                initial=retry.initial_backoff,
                maximum=retry.max_backoff,
                multiplier=retry.multiplier,
            )
            with trio.move_on_after(seconds):
                while not self.retired and not self.killed and not self._restarting:
                    await self._changed.park()

    async def _live(self) -> bool:
        """Start the server and converse until it ends. Return whether it had been ready."""
        self._enter(State.STARTING)
        self._restarting = False
        self.starts += 1
        ready = False
        note = ""
        try:
            async with open_endpoint(self.config, self.host, self.host.authorizer(self)) as link:
                self._link = link
                ready, note = await self._converse(link)
        except SpawnFailed as error:
            self.failure = Failure(error.reason, permanent=error.permanent)
        finally:
            self.connection = None
            self._link = None
        if note and link.expired:
            log.info("backend.session_expired", server=self.name)
        elif note:
            self.failure = Failure(link.why(note))
        self._generation += 1
        self._notify_waiters()
        return ready

    async def _converse(self, link: Endpoint) -> tuple[bool, str]:
        """Open the conversation and serve. Return whether it was ready, and what went wrong
        ("": nothing)."""
        self._peer = peer = Peer(
            link.channel,
            self.name,
            serve=self._serve,
            immediate={"ping": lambda _params: {}},
            notified=self._notified,
            paused=self._paused,
        )
        ready = False
        note = "it ended before it answered `initialize`"

        async def talk() -> None:
            await peer.run()
            self._lose()
            nursery.cancel_scope.cancel()

        async def watch() -> None:
            await link.exited.wait()
            await trio.sleep(EXIT_DRAIN)
            self._lose()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(talk)
            nursery.start_soon(watch)
            try:
                with trio.move_on_after(self.config.start_timeout) as start:
                    connection = await open_connection(
                        peer,
                        capabilities=self.host.client_capabilities(self),
                        protocol_version=self.config.protocol_version,
                        known_version=self.manifest.protocol_version if self.manifest else None,
                    )
                if start.cancelled_caught:
                    note = f"it did not answer `initialize` within {self.config.start_timeout:g} s"
                    nursery.cancel_scope.cancel()
                else:
                    ready = True
                    note = "it ended unexpectedly"
                    self._ready(connection)
                    note = await self._attend(connection) or note
                    nursery.cancel_scope.cancel()
            except HandshakeFailed as error:
                note = str(error)
                nursery.cancel_scope.cancel()
            except ConnectionLost as lost:
                if lost.reason:  # the one request failed; a child's end has no reason yet
                    note = lost.reason
                    nursery.cancel_scope.cancel()
                await trio.sleep_forever()  # `talk` or `watch` ends us
        self._scope = None
        self._lose()
        if self.killed or self.retired or self._restarting or self._phase is State.IDLE:
            note = ""
        return ready, note

    def _lose(self) -> None:
        """Let no call use the connection any more, while the child is still being ended."""
        if self.connection is not None:
            self.connection = None
            self._enter(State.BACKING_OFF)

    def _ready(self, connection: Connection) -> None:
        connection.settle(
            partial(self.host.ask_client, self), frozenset(self.host.watched_resources(self))
        )
        self.failure = None
        self.last_used = self._ready_at = trio.current_time()
        self.connection = connection
        log.info(
            "backend.ready",
            server=self.name,
            pid=self.pid,
            protocol=connection.protocol_version,
            seconds=round(trio.current_time() - self._since, 3),
        )
        self._enter(State.READY)

    async def _attend(self, connection: Connection) -> str:
        """Keep lists fresh, probe health, stop when idle. Return why it has to end."""
        reasons: list[str] = []

        async def end_after(part: Awaitable[str]) -> None:
            reasons.append(await part)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lists.keep, connection)
            nursery.start_soon(connection.run)
            nursery.start_soon(self._renew_watches, connection)
            if self.config.watch:
                nursery.start_soon(end_after, self._source_change(connection))
            if self.failsafe.health_check.enabled:
                nursery.start_soon(end_after, probe(connection, self.failsafe.health_check))
            if self.config.stop_when_idle_for is not None:
                nursery.start_soon(end_after, self._idle(connection))
        return reasons[0] if reasons else ""

    async def _idle(self, connection: Connection) -> str:
        """Return when no call was made for `stop_when_idle_for`."""
        allowed = self.config.stop_when_idle_for or 0.0
        while True:
            await trio.sleep_until(self.last_used + allowed)
            if self.deadlines:
                await connection.peer.drained()
                self.last_used = trio.current_time()
            elif trio.current_time() - self.last_used >= allowed:
                self._wanted = False
                self.connection = None
                self._enter(State.IDLE)
                log.info("backend.idle", server=self.name)
                return ""

    async def _source_change(self, connection: Connection) -> str:
        """Return when the server's source files have changed and its calls are answered.

        No new call goes to the old process meanwhile.
        """
        files = await sources_changed(self.config.watch, self.config.cwd)
        log.info("backend.source_changed", server=self.name, files=[str(f) for f in files[:5]])
        self.connection = None
        self._restarting = True
        self._enter(State.STARTING)
        with trio.move_on_after(self.config.timeout):
            await connection.peer.drained()
        return ""

    async def _renew_watches(self, connection: Connection) -> None:
        """Subscribe again to what clients watch: a new process knows nothing of it."""
        for uri in self.host.watched_resources(self):
            try:
                await connection.request("resources/subscribe", {"uri": uri})
            except RpcError as error:
                log.info("backend.not_resubscribed", server=self.name, reason=str(error))
            except ConnectionLost:
                return

    # -- what the server asks and tells ------------------------------------------------------

    async def _serve(self, request: Request) -> Params:
        assert self._peer is not None
        on_progress = None if request.progress_token is None else request.send_progress
        return await self.host.ask_client(
            self,
            call_context.context_of_request(self._peer, request.about, request.method),
            request.method,
            request.params,
            on_progress=on_progress,
        )

    def _notified(self, method: str, params: Params, about: RequestId | None) -> None:
        assert self._peer is not None
        if not self.lists.changed(method):
            self.host.backend_notified(
                self, call_context.context_of_notification(self._peer, about), method, params
            )

    def _paused(self, about: RequestId) -> None:
        assert self._peer is not None
        context: Any = self._peer.owner(about)
        if (
            context is not None
            and context.transparent
            and context.client_request
            and context.client_request.client
        ):
            context.client_request.client.pause(context.client_request)

    def _listed(self, changed: frozenset[str]) -> None:
        self.host.backend_listed(self, changed)
        self._notify_waiters()

    def _enter(self, phase: State) -> None:
        self._phase = phase
        self._since = trio.current_time()
        self._notify_waiters()

    def _notify_waiters(self) -> None:
        self._changed.unpark_all()

    def _end_connection(self) -> None:
        self.connection = None
        if self._scope is not None:
            self._scope.cancel()
