"""The HTTP server: listening sockets, connections in Hypercorn's protocols, and shutdown."""

from __future__ import annotations

import contextlib
import errno
from typing import Final

import attrs
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from mcpgw.front.http.app import HttpApp
from mcpgw.front.http.connection import Connection
from mcpgw.front.http.settings import HttpSettings
from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.http")

BACKLOG: Final = 1024

END_GRACE: Final = 2.0
"""Seconds that unanswered streams have to end properly after `shutdown_grace`."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n"
)


@attrs.frozen
class CannotListen(Exception):
    """The server cannot listen on an address.

    Args:
      host, port: the address.
      reason: the error message of the system.
    """

    host: str
    port: int
    reason: str

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host}:{self.port}: {self.reason}; choose another address"
            " (server.host, server.port)"
        )


@attrs.frozen
class PortTaken(CannotListen):
    """Another program already listens on the address."""

    def __str__(self) -> str:
        return (
            f"port {self.port} on {self.host} is in use by another program: stop that program, or"
            " choose another port with --port or server.port (0 takes any free port)"
        )


@attrs.frozen
class Address:
    """The address that the server listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


async def serve(
    app: HttpApp,
    *,
    host: str,
    port: int,
    settings: HttpSettings,
    shutdown: trio.Event | None = None,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the application until `shutdown` is set; report the address as started value.

    At shutdown no new connections are accepted, requests in flight have `settings.shutdown_grace`
    seconds, and every stream ends with a complete HTTP response. A cancellation cuts all
    connections at once.

    Raises:
      PortTaken: another program uses the port.
      CannotListen: this machine does not have the address, or the port is not permitted.
    """
    listeners = await _listen(host, port)
    bound = listeners[0].socket.getsockname()
    context = WorkerContext(None)
    handle = _Handler(app, _config(settings), context, settings)
    async with trio.open_nursery() as background, trio.open_nursery() as connections:
        background.start_soon(app.housekeeping)
        accepting = trio.CancelScope()
        connections.start_soon(_accept, accepting, handle, listeners, connections)
        task_status.started(Address(bound[0], bound[1]))
        await (trio.Event() if shutdown is None else shutdown).wait()
        accepting.cancel()
        await context.terminated.set()
        handle.close_idle()
        with trio.move_on_after(settings.shutdown_grace):
            await app.finish()
            await handle.all_closed()
        app.end_streams()
        with trio.move_on_after(END_GRACE):
            await handle.all_closed()
        connections.cancel_scope.cancel()
        background.cancel_scope.cancel()


async def _accept(
    scope: trio.CancelScope,
    handle: _Handler,
    listeners: list[trio.SocketListener],
    connections: trio.Nursery,
) -> None:
    with scope:
        await trio.serve_listeners(handle, listeners, handler_nursery=connections)


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host or None, backlog=BACKLOG)
    except OSError as error:
        causes = [error, *_causes(error)]
        if any(getattr(cause, "errno", None) == errno.EADDRINUSE for cause in causes):
            raise PortTaken(host, port, str(error)) from None
        raise CannotListen(host, port, error.strerror or str(error)) from None


def _causes(error: BaseException) -> list[BaseException]:
    cause = error.__cause__
    return list(cause.exceptions) if isinstance(cause, BaseExceptionGroup) else []


def _config(settings: HttpSettings) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.header_limit
    config.keep_alive_max_requests = 10**9
    config.websocket_max_message_size = settings.max_body_size
    config.websocket_ping_interval = settings.keep_alive
    return config


@attrs.define(eq=False)
class _Handler:
    """Serves connections, and keeps track of the open ones."""

    app: HttpApp
    config: Config
    context: WorkerContext
    settings: HttpSettings
    _open: set[Connection] = attrs.field(factory=set)
    _closed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    async def __call__(self, stream: trio.SocketStream) -> None:
        if len(self._open) >= self.settings.max_connections:
            log.warning("connection.refused", open=len(self._open))
            await _refuse(stream)
            return
        connection = Connection(self.app, self.config, self.context, self.settings, stream)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)
            if not self._open:
                self._closed.unpark_all()

    def close_idle(self) -> None:
        """Close the connections that have no request in progress."""
        for connection in self._open:
            connection.close_if_idle()

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        while self._open:
            await self._closed.park()


async def _refuse(stream: trio.SocketStream) -> None:
    with trio.move_on_after(1):
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(_FULL)
    await trio.aclose_forcefully(stream)
