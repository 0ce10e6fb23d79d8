"""One process of, or connection to, a backend server: started on demand, supervised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.attendance import attend
from mcpgw.backends.connection import Connection
from mcpgw.backends.endpoint import Endpoint, open_endpoint
from mcpgw.backends.guarded_channel import GuardedChannel, redactor_of
from mcpgw.backends.handshake import HandshakeFailed, open_in_time
from mcpgw.backends.incoming import IMMEDIATE, IncomingMessages
from mcpgw.backends.list_sync import ListSync
from mcpgw.backends.process import SpawnFailed
from mcpgw.backends.restarts import Restarts
from mcpgw.backends.services import BackendServices
from mcpgw.backends.situation import situation
from mcpgw.backends.states import Failure, Replaced, State, Unavailable
from mcpgw.backends.supervisor import Supervisor
from mcpgw.backends.tool_view import ToolView
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.log import get_logger
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.peer import Peer

log = get_logger("mcpgw.backend")

EXIT_DRAIN: Final = 0.25
"""Seconds to read what a child wrote before it exited."""


@attrs.define(eq=False)
class BackendInstance:
    """One supervised process or connection. `run` is its task.

    It starts at the first demand and restarts with backoff when it dies. The other methods are
    called from other tasks of the same Trio loop.

    Args:
      server: the server that it belongs to.
      session: the id of the one client session that it serves; empty if all sessions share it.
    """

    server: Supervisor
    session: str = ""
    name: str = attrs.field(init=False)
    lists: ListSync = attrs.field(init=False)
    tool_view: ToolView = attrs.field(init=False)
    connection: Connection | None = None
    """The live connection; None if there is none."""
    failure: Failure | None = None
    """The last failure, kept until the instance is ready again."""
    token: object = attrs.field(factory=object)
    """Stands for the instance in caches, which must not keep it alive."""
    writes: int = 0
    """Calls so far that may have changed the server's state."""
    starts: int = 0
    restarts: Restarts = attrs.field(factory=Restarts)
    calls: int = 0
    """The number of calls in flight."""
    last_used: float = 0.0
    """When the last call began or ended, by Trio's clock."""
    retired: bool = False
    _restarting: bool = False
    _phase: State = State.IDLE
    _since: float = 0.0
    _wanted: bool = False
    _generation: int = 0
    """Counts the connections that have ended."""
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _scope: trio.CancelScope | None = None
    _endpoint: Endpoint | None = None
    _redactor: Redactor = attrs.field(factory=Redactor)
    _peer: Peer | None = None

    def __attrs_post_init__(self) -> None:
        config, services = self.server.config, self.server.services
        self.name = config.name
        builtin = config.transport == "builtin"
        self.lists = ListSync(
            self.name,
            config.fingerprint(),
            services,
            log_level=lambda: services.clients.log_level(self),
            listed=self._listed,
            saved=not (builtin or self.session),
            vetted=not builtin,
        )
        self.tool_view = ToolView.of(self.lists, config)

    def __repr__(self) -> str:
        pid = f" pid={self.pid}" if self.pid else ""
        of = f" of {self.session}" if self.session else ""
        why = f" why={self.failure.reason!r:.120}" if self.failure else ""
        return (
            f"<BackendInstance {self.name!r}{of} {self.state.name}{pid} pending={self.pending}"
            f" failures={self.restarts.in_a_row} starts={self.starts}{why}>"
        )

    @property
    def config(self) -> BackendConfig:
        """The settings of its server."""
        return self.server.config

    @property
    def failsafe(self) -> FailsafeConfig:
        """The guards of its server."""
        return self.server.failsafe

    @property
    def services(self) -> BackendServices:
        """The gateway around it."""
        return self.server.services

    @property
    def state(self) -> State:
        """The current state."""
        if self.server.killed or (self.failure is not None and self.failure.permanent):
            return State.STOPPED
        running = self._phase is State.READY or self._phase is State.STARTING
        return State.OPEN if self.server.breaker_open and not running else self._phase

    @property
    def tools(self) -> Mapping[str, dict[str, Any]]:
        """The tools by the name under which they are offered, as last listed."""
        return self.tool_view.tools

    @property
    def pending(self) -> int:
        """The number of requests in flight."""
        return self.connection.peer.pending if self.connection else 0

    @property
    def incarnation(self) -> tuple[object, int]:
        """Stands for the live connection, or else for the one that the next start opens."""
        return self.token, self.starts + (self.connection is None)

    @property
    def pid(self) -> int | None:
        """The process id of the running child."""
        return self._endpoint.pid if self._endpoint else None

    def situation(self) -> str:
        """Describe the state and its cause in one sentence."""
        return situation(
            self.name,
            self._phase if self._phase is State.STARTING else self.state,
            killed=self.server.killed,
            since=self._since,
            endpoint=self._endpoint,
            peer=self._peer,
            failure=self.failure,
            lists=self.lists.situation(self.connection),
        )

    def want(self) -> None:
        """Request a start; it happens now or after the backoff."""
        self.restarts.wanted_at = trio.current_time()
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
        failed_before = self.restarts.failed_starts
        retry = self.failsafe.retry
        patience = max(1, retry.max_attempts) if retry.enabled else 1
        while True:
            if self.connection is not None:
                return self.connection
            if self.retired:
                raise Replaced(f"Server '{self.name}' has changed in gateway.yaml meanwhile")
            failed = self.restarts.failed_starts - failed_before
            breaker_open = self.server.breaker_open
            if self.state is State.STOPPED or failed >= patience or (failed and breaker_open):
                raise Unavailable(self.situation())
            self.want()
            await self._changed.park()

    async def learned(self, *, again: bool = False, patience: float = math.inf) -> None:
        """Wait for the live lists (`again`: read once more), `patience` seconds at most from when
        it is ready; start it, or raise Unavailable."""
        if again and self.connection is not None and self.connection.listed.is_set():
            with trio.move_on_after(patience):
                await self.lists.refresh()
            return
        for _ in range(max(1, self.failsafe.retry.max_attempts)):
            connection = await self.connected()
            if await self.lists_read(connection, patience) or self.connection is connection:
                return
        await self.settled()
        raise Unavailable(self.situation())

    async def lists_read(self, connection: Connection, patience: float) -> bool:
        """Wait up to `patience` seconds from when it was ready for its tools; return if known."""
        with trio.CancelScope(deadline=self.restarts.ready_at + patience):
            while self.connection is connection and not connection.listed.is_set():
                await self._changed.park()
        return connection.listed.is_set()

    async def settled(self) -> None:
        """Wait until the cause of a lost connection is known (the child is reaped)."""
        generation = self._generation
        while self._endpoint is not None and self._generation == generation:
            await self._changed.park()

    def stop(self) -> None:
        """End the process or connection; it starts again at the next demand."""
        self._wanted = False
        self._end_connection()
        self._notify_waiters()

    def forget_failures(self) -> None:
        """Allow starts again after failures."""
        self.failure, self.restarts.in_a_row = None, 0
        self._notify_waiters()

    def restart(self) -> int:
        """End the process and start it again; return how many calls that interrupts."""
        interrupted = self.pending
        self.failure = None
        self._restarting = self._wanted = True
        self._end_connection()
        self._notify_waiters()
        return interrupted

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
        await self.lists.prepare()
        while not self.retired:
            if not self._wanted or self.state is State.STOPPED:
                self._enter(State.IDLE)
                await self._changed.park()
                continue
            was_ready = await self._live()
            if self.failure is None or self.server.killed or self.retired:
                continue
            if self.failure.permanent:
                log.error("backend.stopped", server=self.name, reason=self.failure.reason)
                self.restarts.failed_starts += 1
                self._wanted = False
                continue
            await self._back_off(was_ready)

    async def recover(self, reason: str) -> None:
        """Handle an internal error that ended `run`, as the loss of a connection."""
        self.failure = Failure(reason)
        self.connection = None
        await self._back_off(was_ready=False)

    async def _back_off(self, was_ready: bool) -> None:
        """Count the failure, and wait before the next start."""
        assert self.failure is not None
        self.restarts.count(was_ready=was_ready)
        self.server.breaker.record_failure(self.failure.reason)
        log.warning(
            "backend.failed",
            server=self.name,
            reason=self.failure.reason,
            failures=self.restarts.in_a_row,
        )
        remote = self.config.transport not in ("stdio", "builtin")
        if self.server.breaker_open and not (remote and self.restarts.recently_wanted):
            # The first call after the breaker's time starts it again.
            self._wanted = False
            self._enter(State.IDLE)
            return
        self._enter(State.BACKING_OFF)
        seconds = self.restarts.pause(self.failsafe.retry, was_ready=was_ready)
        with trio.move_on_after(seconds):
            while seconds and not (self.retired or self.server.killed or self._restarting):
                await self._changed.park()

    async def _live(self) -> bool:
        """Start the server and serve it until it ends; return whether it was ready."""
        self._enter(State.STARTING)
        self._restarting = False
        self.starts += 1
        ready = False
        note = ""
        processes = self.services.processes
        authorizer = processes.authorizer(self)
        self._redactor = redactor_of(self.config, processes.environ, authorizer)
        try:
            with trio.CancelScope() as self._scope:
                async with open_endpoint(
                    self.config, processes, authorizer, self._redactor
                ) as endpoint:
                    self._endpoint = endpoint
                    ready, note = await self._converse(endpoint)
        except SpawnFailed as error:
            self.failure = Failure(self._redactor.known(str(error)), permanent=error.permanent)
        finally:
            self.connection = self._endpoint = self._peer = None
            self._generation += 1
            self._notify_waiters()
        if note and endpoint.expired and self.restarts.stable:
            log.info("backend.session_expired", server=self.name)
        elif note:
            self.failure = Failure(self._redactor.known(endpoint.why(note)))
        return ready

    async def _converse(self, endpoint: Endpoint) -> tuple[bool, str]:
        """Open a connection over an endpoint and serve it until it ends.

        Returns:
          Whether it was ready, and the cause of the end ("" if it was not a failure).
        """
        incoming = IncomingMessages(self)
        incoming.peer = self._peer = peer = Peer(
            GuardedChannel(endpoint.channel, self._redactor),
            self.name,
            serve=incoming.serve,
            immediate=IMMEDIATE,
            notified=incoming.notified,
            paused=incoming.paused,
        )
        ready = False
        note = "it ended before it answered `initialize`"

        async def talk() -> None:
            await peer.run()
            self._lose()
            nursery.cancel_scope.cancel()

        async def stop_handing_out() -> None:
            await endpoint.closing.wait()
            self._lose()

        async def watch() -> None:
            await endpoint.exited.wait()
            await trio.sleep(EXIT_DRAIN)
            self._lose()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(talk)
            nursery.start_soon(watch)
            nursery.start_soon(stop_handing_out)
            try:
                manifest = self.lists.manifest
                connection = await open_in_time(
                    peer,
                    self.config.start_timeout,
                    capabilities=self.services.clients.client_capabilities(self),
                    protocol_version=self.config.protocol_version,
                    known_version=manifest.protocol_version if manifest else None,
                )
                ready, note = True, "it ended unexpectedly"
                self._ready(connection)
                note = await attend(self, connection) or note
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
        ended_by_us = self.server.killed or self.retired or self._restarting
        if ended_by_us or self._phase is State.IDLE:
            note = ""
        return ready, note

    def _lose(self) -> None:
        """Stop handing out the connection, even though the child may not have ended yet."""
        if self.connection is not None:
            self.connection = None
            self._enter(State.BACKING_OFF)

    def _ready(self, connection: Connection) -> None:
        clients = self.services.clients
        connection.settle(partial(clients.ask, self), frozenset(clients.subscribed_resources(self)))
        self.failure = None
        self.last_used = trio.current_time()
        self.restarts.ready()
        self.server.breaker.allow_probe()
        self.connection = connection
        log.info(
            "backend.ready",
            server=self.name,
            pid=self.pid,
            protocol=connection.protocol_version,
            seconds=round(trio.current_time() - self._since, 3),
        )
        self._enter(State.READY)

    def go_idle(self) -> None:
        """Stop handing out the connection; the next demand starts a new one."""
        self._wanted = False
        self.connection = None
        self._enter(State.IDLE)

    def prepare_restart(self) -> None:
        """Stop handing out the connection; a new one starts when this one has ended."""
        self.connection, self._restarting = None, True
        self._enter(State.STARTING)

    def _listed(self, changed: frozenset[str]) -> None:
        self.server.instance_listed(self, changed)
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
