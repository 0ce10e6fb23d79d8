"""A channel of JSON-RPC messages to a WebSocket server: one text frame, one message."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from mcpgw.observe.log import get_logger
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
"""Seconds of silence before a ping, or a third of the `idle` time where that is less; proxies
on the way commonly cut what is silent for a minute."""

_NORMAL: Final = 1000
_NOT_TEXT: Final = 1003
_TOO_BIG: Final = 1009
_PARTING_WORDS: Final = {
    _NORMAL: "",
    _NOT_TEXT: "MCP messages are text",
    _TOO_BIG: "message too big",
}
"""Close codes (RFC 6455, section 7.4.1) and what is said with them."""
_CODE_NAMES: Final = {
    1000: "normal end",
    1001: "going away",
    1002: "protocol error",
    1003: "it does not take such data",
    1005: "no reason given",
    1006: "without a closing handshake",
    1007: "text that is not UTF-8",
    1008: "against its policy",
    1009: "a message was too big",
    1011: "internal error of the server",
    1012: "the server restarts",
    1013: "try again later",
}


class Timeouts(Protocol):
    """The deadlines of a connection, in seconds; `HttpTimeouts` will do."""

    @property
    def connect(self) -> float:
        """From the first packet to the end of the opening handshake."""

    @property
    def idle(self) -> float:
        """Silence, not even an answer to a ping, after which the server counts as gone."""


@attrs.frozen(kw_only=True)
class WebSocketTimeouts:
    """Deadlines for a caller that has no others; see `Timeouts`."""

    connect: float = 10.0
    idle: float = 300.0


@attrs.frozen
class _Queued:
    """A message that waits to be written; `request` is its id where it is a request."""

    text: str
    size: int
    request: RequestId | None


@attrs.define(slots=True, eq=False, kw_only=True)
class WebSocketChannel:
    """The client's end of a conversation over a WebSocket.

    `run` connects, reads and writes; what is sent before the connection stands waits for it. A
    message is written whole or not at all, also when its sender is cancelled. Requests that
    were surely not sent are handed up as `Failed` at the end.

    Args:
      name: whom it leads to, for errors.
      url: `ws:` or `wss:`.
      network: TLS and proxies.
      headers: further headers of the handshake.
      authorizer: gives the headers that prove who we are, if any.
      limit: the largest message accepted, in bytes; a larger one ends the connection (1009).
      timeouts: how long what may take.
    """

    name: str
    url: str = attrs.field(repr=False)
    network: Network
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    authorizer: Authorizer | None = None
    limit: int
    timeouts: Timeouts = attrs.field(factory=WebSocketTimeouts)
    ending: str = attrs.field(default="", init=False)
    """Why it ended, in words for a person; empty while it has not."""
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

    # -- what a peer needs -------------------------------------------------------------

    async def receive(self) -> Received:
        """Return the next message, or what is wrong with a frame.

        Raises:
          trio.EndOfChannel: the conversation is over; `ending` says why.
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
        """Hand over a message; wait only while `QUEUE_LIMIT` bytes are queued already.

        Raises:
          trio.BrokenResourceError: the conversation is over.
          ValueError: the message holds what JSON cannot carry.
        """
        while self._queued_bytes > QUEUE_LIMIT and not self._stopped.is_set():
            await self._room.park()
        self._hand_over(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Hand over a message without waiting; False where `QUEUE_LIMIT` bytes are queued."""
        if self._queued_bytes > QUEUE_LIMIT and not self._stopped.is_set():
            return False
        self._hand_over(message)
        return True

    def _hand_over(self, message: Any) -> None:
        if self._stopped.is_set():
            raise trio.BrokenResourceError(self.ending)
        data = encode(message)[:-1]
        is_request = message.__class__ is dict and "method" in message
        request = message.get("id") if is_request else None
        self._queue.append(_Queued(data.decode(), len(data), request))
        self._queued_bytes += len(data)
        self._work.unpark_all()

    def pause(self, request: RequestId) -> None:
        """Do nothing: there is one connection for all."""

    async def aclose(self) -> None:
        """Write what is queued, close with 1000 and wait for the end; do nothing after it.

        It takes `CLOSE_GRACE` seconds at most, unless the caller's deadline is nearer.
        """
        self._stop(_NORMAL, "the gateway closed the connection")
        if self._running:
            await self._ended.wait()
        else:
            self._settle()
            await trio.lowlevel.checkpoint()

    # -- the connection ------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, then read and write until either side ends it.

        It reports itself as started at once, and returns when the conversation is over, with
        the reason in `ending`; trouble with the network is never raised.
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
        """Decide that it ends, why, and by which close code of ours; the first word counts."""
        if self._stopped.is_set():
            return
        self._code, self.ending = code, ending
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
        """Have one connection, to its end. Return the head of the answer that refused it.

        Raises:
          AuthorizationFailed: there are no credentials to be had.
          Unreachable: there is no connection to be had.
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
        """Read and write until either side ends it, and close."""
        self._open = True
        log.debug("websocket.open", server=self.name, subprotocol=connection.subprotocol)
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
        await connection.aclose(code, _PARTING_WORDS[code])
        if self._limit.exceeded:
            # The library has said why. Were the socket closed with the rest of the message in
            # it, the server would be reset before it reads that.
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
            if isinstance(frame, bytes):
                self._stop(_NOT_TEXT, "the server sent a binary message; MCP messages are text")
                return
            data = frame.encode()
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
                return  # the reader tells why
            # Only now: a message that was cut off never was one for the other side.
            self._queued_bytes -= queue.popleft().size
            self._room.unpark_all()

    async def _ping(self, connection: WebSocketConnection, wire: Wire) -> None:
        """Ping a silent server, so that a living one is heard of."""
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
        """End the conversation with a server that gives no sign of life."""
        while (left := self.timeouts.idle - wire.silence()) > 0:  # noqa: ASYNC110 - time is awaited
            await trio.sleep(left)
        self._stop(
            None,
            f"no sign of life from the server for {self.timeouts.idle:g} s, not even an answer to"
            " a ping (stream_idle_timeout)",
        )


def _closed(reason: CloseReason | None) -> str:
    """Say how the other side ended it."""
    if reason is None or reason.code == 1006:
        return "the connection broke off, without a closing handshake"
    name = _CODE_NAMES.get(reason.code)
    words = f"the WebSocket was closed with code {reason.code}" + (f" ({name})" if name else "")
    return f"{words}: {reason.reason:.200}" if reason.reason else words
