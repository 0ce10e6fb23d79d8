"""A channel of JSON-RPC messages to a WebSocket server: one text message each."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Failed, Received
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.jsonrpc import Message, RequestId, decode, encode
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.line_channel import QUEUE_LIMIT
from mcpgw.transports.websocket_connect import Head, Target, Unreachable
from mcpgw.transports.websocket_handshake import (
    MessageLimit,
    Wire,
    connect,
    handshake_headers,
    refusal_words,
    shake_hands,
)

if TYPE_CHECKING:
    from trio_websocket import CloseReason, WebSocketConnection

    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.websocket")

CLOSE_GRACE: Final = 2.0
"""Seconds for the last messages and the closing handshake."""
PING_PAUSE: Final = 20.0
"""Seconds without data before a ping, or a third of the `idle` time if that is less. Proxies
commonly cut connections that are silent for a minute."""
LONGEST_ENDING: Final = 1_000
"""Characters of the reason of the end that are kept."""

_NORMAL: Final = 1000
_TOO_BIG: Final = 1009
_CLOSE_REASONS: Final = {
    _NORMAL: "",
    _TOO_BIG: "message too big",
}
"""Our close codes (RFC 6455, section 7.4.1) and the reasons that are sent with them."""
_CODE_NAMES: Final = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no close code",
    1006: "no closing handshake",
    1007: "invalid UTF-8",
    1008: "policy violation",
    1009: "message too big",
    1011: "internal server error",
    1012: "service restart",
    1013: "try again later",
}


class Timeouts(Protocol):
    """Time limits of a connection, in seconds; `HttpTimeouts` has both."""

    @property
    def connect(self) -> float:
        """For connecting and the opening handshake."""

    @property
    def idle(self) -> float:
        """Without any data, not even a pong, after which the connection is closed."""


@attrs.frozen(kw_only=True)
class WebSocketTimeouts:
    """The default time limits; see `Timeouts`."""

    connect: float = 10.0
    idle: float = 300.0


@attrs.frozen
class _Queued:
    """A queued message; `request` is its id if it is a request."""

    text: str
    size: int
    request: RequestId | None


@attrs.define(slots=True, eq=False, kw_only=True)
class WebSocketChannel:
    """The client's end of a conversation over a WebSocket.

    `run` connects, reads and writes; messages that are sent earlier wait for the connection. A
    message is written whole or not at all, also if its sender is cancelled. At the end `receive`
    returns `Failed` for requests that were certainly not sent.

    Args:
      name: the server's name, for logs and errors.
      url: `ws:` or `wss:`.
      network: TLS and proxies.
      headers: further headers of the handshake.
      authorizer: provides credentials, if the server needs any.
      limit: the largest message accepted, in bytes; a larger one ends the connection (1009).
      timeouts: the time limits.
      redactor: knows the secrets that a refusal or close reason may repeat.
    """

    name: str
    url: str = attrs.field(repr=False)
    network: Network
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    authorizer: Authorizer | None = None
    limit: int
    timeouts: Timeouts = attrs.field(factory=WebSocketTimeouts)
    redactor: Redactor = attrs.field(factory=Redactor)
    ending: str = attrs.field(default="", init=False)
    """The reason of the end, for people; empty before it."""
    _code: int | None = attrs.field(default=None, init=False)
    _limit: MessageLimit = attrs.field(init=False)
    _queue: deque[_Queued] = attrs.field(factory=deque, init=False)
    _queued_bytes: int = attrs.field(default=0, init=False)
    _work: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _arrived: trio.MemorySendChannel[Received] = attrs.field(init=False)
    _incoming: trio.MemoryReceiveChannel[Received] = attrs.field(init=False)
    _unsent: deque[Failed] = attrs.field(factory=deque, init=False)
    _open: bool = attrs.field(default=False, init=False)
    _opening: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _stopped: trio.Event = attrs.field(factory=trio.Event, init=False)
    _running: bool = attrs.field(default=False, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._arrived, self._incoming = trio.open_memory_channel[Received](0)
        self._limit = MessageLimit(self.limit)

    def __repr__(self) -> str:
        if self._ended.is_set():
            state = "ENDED"
        elif self._stopped.is_set():
            state = "CLOSING"
        else:
            state = "OPEN" if self._open else "CONNECTING"
        return f"<WebSocketChannel {self.name!r} {state} queued={self._queued_bytes}>"

    # -- the channel -------------------------------------------------------------------

    async def receive(self) -> Received:
        """Return the next message, or `Malformed` for an invalid one.

        Raises:
          trio.EndOfChannel: the conversation is over; `ending` is the reason.
        """
        try:
            return await self._incoming.receive()
        except trio.EndOfChannel:
            if self._unsent:
                return self._unsent.popleft()
            raise

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Queue a message; wait only while more than `QUEUE_LIMIT` bytes are queued.

        Raises:
          trio.BrokenResourceError: the conversation is over.
          ValueError: JSON cannot represent the message.
        """
        while self._queued_bytes > QUEUE_LIMIT and not self._stopped.is_set():
            await self._room.park()
        self._enqueue(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Queue a message without waiting; return False if too much is queued."""
        if self._queued_bytes > QUEUE_LIMIT and not self._stopped.is_set():
            return False
        self._enqueue(message)
        return True

    def _enqueue(self, message: Any) -> None:
        if self._stopped.is_set():
            raise trio.BrokenResourceError(self.ending)
        data = encode(message)[:-1]
        is_request = message.__class__ is dict and "method" in message
        request = message.get("id") if is_request else None
        self._queue.append(_Queued(data.decode(), len(data), request))
        self._queued_bytes += len(data)
        self._work.unpark_all()

    def pause(self, request: RequestId) -> None:
        """Do nothing: all requests share one connection."""

    async def aclose(self) -> None:
        """Write the queued messages, close with 1000 and wait for the end.

        It takes at most `CLOSE_GRACE` seconds. After the end it does nothing.
        """
        self._stop(_NORMAL, "the gateway closed the connection")
        if self._running:
            await self._ended.wait()
        else:
            self._settle()
            await trio.lowlevel.checkpoint()

    # -- the connection ------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, then read and write until either side ends the conversation.

        It reports itself as started at once. At the end `ending` is the reason; network errors are
        never raised.
        """
        self._running = True
        task_status.started()
        try:
            with self._opening:
                if not self._stopped.is_set():
                    await self._converse()
        finally:
            self._stop(None, "the gateway ended the connection")
            self._settle()

    def _stop(self, code: int | None, ending: str) -> None:
        """End the conversation with a reason and our close code; only the first call counts."""
        if self._stopped.is_set():
            return
        self._code, self.ending = code, self.redactor.foreign(ending, LONGEST_ENDING)
        self._stopped.set()
        self._room.unpark_all()
        if not self._open:
            self._opening.cancel()

    def _settle(self) -> None:
        for queued in self._queue:
            if queued.request is not None:
                lost = ConnectionLost(self.name, sent=False, reason=self.ending)
                self._unsent.append(Failed(queued.request, lost))
        self._queue.clear()
        self._queued_bytes = 0
        self._arrived.close()
        self._ended.set()
        self._room.unpark_all()

    async def _converse(self) -> None:
        try:
            refusal = await self._attempt()
            if refusal is not None and await self._challenged(refusal):
                refusal = await self._attempt()
            if refusal is not None:
                self._stop(None, refusal_words(refusal))
        except Unreachable as error:
            self._stop(None, error.reason)
        except AuthorizationFailed as error:
            self._stop(None, f"authorization failed: {error.reason}")

    async def _challenged(self, refusal: Head) -> bool:
        if self.authorizer is None or refusal.status not in (401, 403):
            return False
        return await self.authorizer.challenged(refusal.status, refusal.headers)

    async def _attempt(self) -> Head | None:
        """Run one connection to its end; return the head of the response if it was refused.

        Raises:
          AuthorizationFailed: credentials cannot be obtained.
          Unreachable: connecting or the handshake failed.
        """
        credentials = await self.authorizer.headers() if self.authorizer else {}
        target = Target.parse(self.url)
        headers = handshake_headers(target, self.headers, credentials)
        deadline = trio.current_time() + self.timeouts.connect
        wire = await connect(target, self.network, deadline=deadline)
        try:
            async with trio.open_nursery() as nursery:
                opened = await shake_hands(
                    nursery, wire, target, headers=headers, limit=self._limit, deadline=deadline
                )
                if not isinstance(opened, str):
                    await self._talk(opened, wire)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(wire)
        if isinstance(opened, str) and wire.refusal is None:
            raise Unreachable(opened)
        return wire.refusal

    # -- the conversation ------------------------------------------------------------------

    async def _talk(self, connection: WebSocketConnection, wire: Wire) -> None:
        """Read and write until either side ends the conversation, then close."""
        self._open = True
        log.debug("websocket.opened", server=self.name, subprotocol=connection.subprotocol)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, connection)
            nursery.start_soon(self._write, connection)
            nursery.start_soon(self._ping, connection, wire)
            nursery.start_soon(self._watch, wire)
            await self._stopped.wait()
            if self._code is not None:
                with trio.move_on_after(CLOSE_GRACE):
                    await self._close(connection, wire, self._code)
            nursery.cancel_scope.cancel()

    async def _close(self, connection: WebSocketConnection, wire: Wire, code: int) -> None:
        if code == _NORMAL:
            while self._queue and connection.closed is None:
                await self._room.park()
        await connection.aclose(code, _CLOSE_REASONS[code])
        if self._limit.exceeded:
            # The library has sent the close frame. If the socket were closed with unread input,
            # the server would get a reset before it reads that frame.
            await wire.ended.wait()

    async def _read(self, connection: WebSocketConnection) -> None:
        from trio_websocket import ConnectionClosed

        while True:
            try:
                frame = await connection.get_message()
            except ConnectionClosed as closed:
                if self._limit.exceeded:
                    self._stop(_TOO_BIG, self._too_big())
                else:
                    self._stop(None, _closed(closed.reason))
                return
            # A binary frame is read as UTF-8: some libraries send every message as one.
            data = frame if isinstance(frame, bytes) else frame.encode()
            if len(data) > self.limit:
                self._stop(_TOO_BIG, self._too_big())
                return
            await self._arrived.send(decode(data.strip(b" \t\r\n")))

    def _too_big(self) -> str:
        return (
            f"the server sent a message of more than {self.limit} bytes"
            " (server.max_body_size); closed with 1009"
        )

    async def _write(self, connection: WebSocketConnection) -> None:
        from trio_websocket import ConnectionClosed

        queue = self._queue
        while True:
            if not queue:
                await self._work.park()
            try:
                await connection.send_message(queue[0].text)
            except ConnectionClosed:
                self._room.unpark_all()
                return  # `_read` sets the reason
            # Only now: the server never received a message that was cut off.
            self._queued_bytes -= queue.popleft().size
            self._room.unpark_all()

    async def _ping(self, connection: WebSocketConnection, wire: Wire) -> None:
        """Ping a silent server, to see whether it is alive."""
        from trio_websocket import ConnectionClosed

        pause = min(PING_PAUSE, self.timeouts.idle / 3)
        while True:
            if (left := pause - wire.silence()) > 0:
                await trio.sleep(left)
                continue
            try:
                await connection.ping()
            except ConnectionClosed:
                return

    async def _watch(self, wire: Wire) -> None:
        """End the conversation if the server sends nothing for the `idle` time."""
        while (left := self.timeouts.idle - wire.silence()) > 0:  # noqa: ASYNC110 - time is awaited
            await trio.sleep(left)
        self._stop(
            None,
            f"the server sent nothing for {self.timeouts.idle:g} s, not even a pong"
            " (stream_idle_timeout)",
        )


def _closed(reason: CloseReason | None) -> str:
    """Return how the other side closed the WebSocket."""
    if reason is None or reason.code == 1006:
        return "the connection broke without a closing handshake"
    name = _CODE_NAMES.get(reason.code)
    words = f"the WebSocket was closed with code {reason.code}" + (f" ({name})" if name else "")
    return f"{words}: {reason.reason}" if reason.reason else words
