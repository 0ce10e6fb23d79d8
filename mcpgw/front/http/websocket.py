"""MCP over WebSocket: one text frame is one message, one connection is one session.

A custom transport (MCP 2025-11-25, custom transports).
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs
import trio

from mcpgw.front.http.access import refuse_any
from mcpgw.front.http.asgi import CLOSE, Receive, Refusal, Scope, Send, enter
from mcpgw.front.http.endpoint import target_of
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.channel import Received
from mcpgw.protocol.jsonrpc import Message, RequestId, decode, encode, valid_id

PATH: Final = "/ws"
SUBPROTOCOL: Final = "mcp"

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
TOO_BIG: Final = 1009
"""Close codes (RFC 6455, section 7.4.1, and its registry)."""


@attrs.define(eq=False)
class SocketChannel:
    """The messages of one WebSocket connection as a channel.

    `write` must be running while messages are sent.

    Args:
      receive, send: the ASGI connection, accepted.
      settings: the limits.
      limit: the largest message accepted, in bytes.
    """

    _receive: Receive
    _send: Send
    settings: HttpSettings
    limit: int
    code: int = NORMAL
    """The close code."""
    over: trio.Event = attrs.field(factory=trio.Event)
    """Set when the client has disconnected, must be disconnected, or the session has ended."""
    _queue: deque[str] = attrs.field(factory=deque)
    _queued: int = 0
    _work: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _reading: trio.CancelScope | None = None
    _closed: bool = False
    _unanswered: set[RequestId] = attrs.field(factory=set)
    _resting: bool = False

    async def receive(self) -> Received:
        """Return the next message, or what is wrong with a frame.

        Raises:
          trio.EndOfChannel: the connection is closed, or must be.
        """
        if self._closed or self.over.is_set():
            raise trio.EndOfChannel
        with trio.CancelScope() as self._reading:
            event = await self._receive()
            if event["type"] != "websocket.receive":
                self._finish(NORMAL)
            # A binary frame is read as UTF-8: some libraries send every message as one.
            elif len(data := event.get("bytes") or (event.get("text") or "").encode()) > self.limit:
                self._finish(TOO_BIG)
            else:
                message = decode(data.strip())
                self._track(message)
                return message
        raise trio.EndOfChannel

    def _track(self, message: Received) -> None:
        if not isinstance(message, dict):
            return
        if "method" in message and valid_id(message.get("id")):
            self._unanswered.add(message["id"])
        elif message.get("method") == "notifications/cancelled":
            params = message.get("params")
            cancelled = params.get("requestId") if isinstance(params, dict) else None
            if valid_id(cancelled):
                self._unanswered.discard(cancelled)  # a cancelled request is not answered

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Queue a message; wait while too much is queued.

        Raises:
          trio.BrokenResourceError: the client disconnected.
        """
        while self._queued > self.settings.unread_bytes and not self.over.is_set():
            await self._room.park()
        self._put(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Queue a message; return False if too much is queued."""
        if self._queued > self.settings.unread_bytes:
            return False
        self._put(message)
        return True

    def pause(self, request: RequestId) -> None:
        """Do nothing: all requests share one connection."""

    def set_limit(self, limit: int) -> None:
        """Change the largest message accepted, in bytes."""
        self.limit = min(limit, self.settings.max_body_size)

    def end(self) -> None:
        """Mark the channel as unserved: close the connection."""
        self._finish(GOING_AWAY)

    def close(self) -> None:
        """Stop reading; answers are still sent."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()

    def _finish(self, code: int) -> None:
        if not self.over.is_set():
            self.code = code
            self.over.set()
            self._room.unpark_all()

    def _put(self, message: Message | list[Message]) -> None:
        if self.over.is_set():
            raise trio.BrokenResourceError("the client disconnected")
        frame = str(encode(message), "utf-8").rstrip("\n")  # type: ignore[arg-type]
        for answer in message if isinstance(message, list) else (message,):
            if "method" not in answer:
                self._unanswered.discard(answer.get("id"))
        self._queue.append(frame)
        self._queued += len(frame)
        if self._resting:
            self._resting = False
            self._work.unpark_all()

    async def write(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            while self._queue:
                frame = self._queue.popleft()
                await self._send({"type": "websocket.send", "text": frame})
                self._queued -= len(frame)
                self._room.unpark_all()
            self._resting = True
            await self._work.park()

    async def settled(self) -> None:
        """Wait until every answer is written, or the client has disconnected."""
        while (self._unanswered or self._queued) and not self.over.is_set():
            await self._room.park()


@attrs.define(eq=False)
class Sockets:
    """`/ws` and `/ws/BACKEND` as one ASGI application.

    Args:
      gateway_api: the gateway.
      settings: the limits.
    """

    gateway_api: GatewayApi
    settings: HttpSettings
    closing: trio.Event = attrs.field(factory=trio.Event)
    """Set when the front shuts down."""
    _open: set[SocketChannel] = attrs.field(factory=set)

    def __len__(self) -> int:
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        try:
            channel = await self._enter(scope, receive, send)
        except Refusal as refusal:
            await refuse_any(scope, send, refusal)
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.write)
                nursery.start_soon(self._close_at_shutdown, channel)
                await channel.over.wait()
                nursery.cancel_scope.cancel()
        finally:
            channel.close()
            channel.end()
            self._open.discard(channel)
        await send({"type": "websocket.close", "code": channel.code})

    def end_streams(self) -> None:
        """Close every connection, answered or not."""
        for channel in self._open:
            channel.end()

    async def _close_at_shutdown(self, channel: SocketChannel) -> None:
        await self.closing.wait()
        channel.close()
        await channel.settled()
        channel.end()

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> SocketChannel:
        await receive()  # websocket.connect
        if self.closing.is_set():
            raise Refusal(503, "the gateway is shutting down", headers=[CLOSE])
        settings = self.settings
        channel = SocketChannel(receive, send, settings, settings.max_body_size)
        if len(self._open) >= settings.max_sessions:
            raise Refusal(503, "too many sessions are open (streaming.max_sessions)")
        target = target_of(scope["path"], PATH)
        await enter(self.gateway_api, channel, target, scope["state"]["principal"])
        asked = scope.get("subprotocols") or ()
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": SUBPROTOCOL if SUBPROTOCOL in asked else None,
            }
        )
        self._open.add(channel)
        return channel
