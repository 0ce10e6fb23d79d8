"""One connection: bytes between a socket and Hypercorn's protocol, bounded in both directions.

It replaces `hypercorn.trio.tcp_server`. It needs a third of the scheduler ticks per request, and
fixes three problems: in Hypercorn an application that answers before it has read a long body
blocks its connection for ever, a client that does not read blocks the shutdown, and an error in
one connection ends the server.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import h11
import trio
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from mcpgw.front.http.asgi import App, Event, Scope, Send
from mcpgw.front.http.settings import HttpSettings
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.trio.worker_context import WorkerContext

log = get_logger("mcpgw.http")

CHUNK: Final = 64 * 1024
LINGER: Final = 1.0
"""Seconds that a client has to read the last answer before its connection is cut."""

INBOX_LIMIT: Final = 8
"""Parts of a body that may wait for the application before reading from the socket pauses."""

_WRITES_AT_ONCE: Final = os.name == "posix"


@attrs.define(slots=True, eq=False)
class Inbox:
    """The queue of one request's ASGI events for the application."""

    _events: deque[Event] = attrs.field(factory=deque)
    _reader: trio.lowlevel.Task | None = None
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _disconnect: Event | None = None
    _ended: bool = False

    async def put(self, event: Event) -> None:
        """Add an event; wait while the queue is full. A disconnect never waits."""
        if event["type"].endswith("disconnect"):
            self._disconnect = event
            self._room.unpark_all()
        else:
            while len(self._events) >= INBOX_LIMIT and not (self._ended or self._disconnect):
                await self._room.park()
            if self._ended or self._disconnect:
                return
            self._events.append(event)
        if self._reader is not None:
            task, self._reader = self._reader, None
            trio.lowlevel.reschedule(task)

    async def get(self) -> Event:
        """Return the next event; after a disconnect return that every time."""
        while not self._events:
            if self._disconnect is not None:
                return self._disconnect
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        if self._room:
            self._room.unpark()
        return self._events.popleft()

    def _abandon(self, _: Any) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def end(self) -> None:
        """Drop all events: the application has returned."""
        self._ended = True
        self._events.clear()
        self._room.unpark_all()


class _SocketStream(WSStream):
    """A WebSocket stream that ends at the first message over the limit."""

    async def _handle_events(self) -> None:
        await super()._handle_events()
        if self.buffer.length > self.buffer.max_length:
            await self.send(StreamClosed(stream_id=self.stream_id))


class _Protocol(H11Protocol):
    """HTTP/1.1 only; the head of a response is written together with the first part of its body."""

    _head: bytes = b""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay with HTTP/1.1: ignore an upgrade to HTTP/2 (RFC 9110, section 7.8)."""

    async def _send_h11_event(self, event: Any) -> None:
        if event.__class__ is h11.Response and self.connection.their_state is h11.SEND_BODY:
            # A response that precedes the request's whole body ends the connection. Unless it
            # says so, the client loses its next request (RFC 9112, section 9.6).
            headers = [*event.headers, (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers)
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return  # the 400 for input that is not HTTP has been sent already
        if event.__class__ is h11.Response and event.status_code >= 200:
            self._head = data
        elif data or self._head:
            head, self._head = self._head, b""
            await self.send(RawData(data=head + data))

    async def _create_stream(self, request: h11.Request) -> None:
        kind: type[HTTPStream | WSStream] = HTTPStream
        headers = list(request.headers)
        if _is_upgrade(request):
            # Without compression: a few bytes could inflate to fill the memory before a limit
            # is checked.
            kind = _SocketStream
            headers = [header for header in headers if header[0] != b"sec-websocket-extensions"]
        stream = kind(
            cast(Any, self.app),
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.stream = cast(Any, stream)
        if kind is _SocketStream:
            self.connection = H11WSConnection(cast(h11.Connection, self.connection))
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1


def _is_upgrade(request: h11.Request) -> bool:
    if request.method != b"GET":
        return False
    headers = dict(request.headers)
    if headers.get(b"upgrade", b"").strip().lower() != b"websocket":
        return False
    tokens = headers.get(b"connection", b"").lower().split(b",")
    return b"upgrade" in (token.strip() for token in tokens)


@attrs.define(eq=False)
class Connection:
    """One client's connection, served until either side closes it.

    Args:
      app: the ASGI application.
      config, context: for Hypercorn's protocols.
      settings: the limits.
      stream: the socket; closed at the end.
    """

    app: App
    config: Config
    context: WorkerContext
    settings: HttpSettings
    stream: trio.SocketStream
    is_idle: bool = True
    """No request is in progress."""
    _protocol: _Protocol = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _reading: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _lock: trio.Lock = attrs.field(factory=trio.Lock)
    _apps: int = 0
    _no_apps: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _closing: bool = False
    _broken: bool = False

    async def run(self) -> None:
        """Serve the connection; errors of the client or the application are logged."""
        try:
            await self._converse()
        except Exception as error:
            log.error("connection.crashed", exc_info=error)
        finally:
            await trio.aclose_forcefully(self.stream)

    async def _converse(self) -> None:
        socket = self.stream.socket
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
        except OSError:
            return  # disconnected already
        self._protocol = _Protocol(
            cast(Any, self.app),
            self.config,
            self.context,
            cast(Any, self),
            ConnectionState({}),
            False,
            client,
            server,
            self._take,
        )
        try:
            async with trio.open_nursery() as self._nursery:
                self._reading.deadline = trio.current_time() + self.settings.head_timeout
                with self._reading:
                    await self._read()
                await self._protocol.handle(Closed())
                while self._apps:
                    await self._no_apps.park()
                self._nursery.cancel_scope.cancel()
        finally:
            # Break the reference cycle, so that the memory of the connection is freed now and not
            # by a late run of the garbage collector.
            del self._protocol

    def close_if_idle(self) -> None:
        """Close the connection, unless a request is in progress."""
        if self.is_idle:
            self._reading.cancel()

    # -- reading -------------------------------------------------------------------------

    async def _read(self) -> None:
        receive, handle = self.stream.receive_some, self._protocol.handle
        while True:
            try:
                data = await receive(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not self._closing:
                await handle(RawData(bytes(data)))
            if not data:
                return

    # -- callbacks of the protocol ---------------------------------------------------------

    async def _take(self, event: Any) -> None:
        if event.__class__ is RawData:
            await self._write(event.data)
        elif event.__class__ is Updated:
            self.is_idle = event.idle
            self._reading.deadline = (
                trio.current_time() + self.settings.idle_timeout if event.idle else math.inf
            )
        elif event.__class__ is Closed:
            await self._close()

    async def spawn_app(
        self, _app: Any, _config: Any, scope: Scope, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Event], Awaitable[None]]:
        """Run the application for one request; return the function that takes its events."""
        inbox = Inbox()
        self._apps += 1
        self._nursery.start_soon(self._run_app, scope, inbox, send)
        return inbox.put

    def spawn(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Run a function until it returns or the connection ends."""
        self._nursery.start_soon(function, *arguments)

    async def _run_app(
        self, scope: Scope, inbox: Inbox, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        try:
            await self.app(scope, inbox.get, cast(Send, send))
        except Exception as error:
            log.error("request.crashed", path=scope["path"], exc_info=error)
        finally:
            inbox.end()
            self._apps -= 1
            if not self._apps:
                self._no_apps.unpark_all()
        await send(None)

    # -- writing ---------------------------------------------------------------------------

    async def _write(self, data: bytes) -> None:
        if self._broken or not data:
            return
        sent = 0
        if _WRITES_AT_ONCE and not self._lock.locked():
            try:
                sent = os.write(self.stream.socket.fileno(), data)
            except BlockingIOError:
                pass
            except OSError:
                self._abort()
                return
        if sent < len(data):
            await self._write_rest(memoryview(data)[sent:])

    async def _write_rest(self, data: memoryview) -> None:
        """Write what the socket did not take at once; abort if the client does not read."""
        whole = False
        try:
            async with self._lock:
                for start in range(0, len(data), CHUNK):
                    with trio.fail_after(self.settings.write_timeout):
                        await self.stream.send_all(data[start : start + CHUNK])
                whole = True
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass
        finally:
            if not whole:  # also if cancelled: half a message cannot be continued
                self._abort()

    def _abort(self) -> None:
        self._broken = True
        self._reading.cancel()

    async def _close(self) -> None:
        """Send the end of output, and give the client `LINGER` seconds to read the rest.

        Closing a socket that has unread input drops output that the client has not read yet.
        """
        if self._closing:
            return
        self._closing = True
        self._reading.deadline = trio.current_time() + LINGER
        try:
            await self.stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            self._abort()
        await self._protocol.handle(Closed())
