"""A channel that POSTs feed: what a peer sends goes out on the stream where it belongs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import attrs
import trio
from outcome import Error, Value

from mcpgw.front.http.event_buffer import EventBuffer
from mcpgw.observe.log import get_logger
from mcpgw.protocol.channel import Received
from mcpgw.protocol.errors import INTERNAL_ERROR
from mcpgw.protocol.jsonrpc import Message, RequestId, encode, valid_id
from mcpgw.protocol.mcp import SUBSCRIPTION_META

log = get_logger("mcpgw.http")

MAX_WAITING: Final = 256
"""Messages that may wait for the peer before those who bring more wait too."""


@attrs.define(slots=True, eq=False)
class SessionChannel:
    """The channel of one peer whose messages come by POSTs and leave by many streams.

    An answer leaves by the outlet of its request, and so does what the peer sends about a
    request that is not answered yet; all else leaves by the standalone outlet.

    Args:
      standalone: takes what belongs to no request; without it that is refused.
      rewrite_ids: the requests are of many clients, whose ids may be alike. Inside they have
        ids of their own; outside each client sees its own again, with its JSON type.
    """

    standalone: EventBuffer | None = None
    rewrite_ids: bool = False
    _outlets: dict[RequestId, EventBuffer] = attrs.field(factory=dict)
    _incoming: deque[Any] = attrs.field(factory=deque)
    _receiver: trio.lowlevel.Task | None = None
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _settled: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _closed: bool = False
    _dead: bool = False
    _last_id: int = 0

    def __repr__(self) -> str:
        state = "DEAD" if self._dead else "CLOSED" if self._closed else "OPEN"
        return f"<SessionChannel {state} open={len(self._outlets)} waiting={len(self._incoming)}>"

    @property
    def is_dead(self) -> bool:
        """Whether nobody serves it any more."""
        return self._dead

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._outlets)

    async def settled(self) -> None:
        """Wait until no request waits for its answer."""
        while self._outlets:
            await self._settled.park()

    # -- the clients' side -----------------------------------------------------------------

    def is_open(self, request_id: RequestId) -> bool:
        """Tell whether a request of this id waits for its answer."""
        return request_id in self._outlets

    async def post(self, message: Message, event_buffer: EventBuffer) -> None:
        """Take a request, whose answer goes to the outlet."""
        inner: RequestId = message["id"]
        if self.rewrite_ids:
            event_buffer.request_id = inner
            self._last_id = inner = self._last_id + 1
            message = {**message, "id": inner}
        event_buffer.inner_id = inner
        self._outlets[inner] = event_buffer
        await self.inject(message)

    async def post_batch(self, messages: list[Message], event_buffer: EventBuffer) -> None:
        """Take a batch, whose answers go to the outlet together."""
        for message in messages:
            if "method" in message and "id" in message:
                self._outlets[message["id"]] = event_buffer
        await self.inject(messages)

    async def inject(self, message: Received) -> None:
        """Hand a message to the peer; wait only while `MAX_WAITING` of them wait for it.

        A request that its client cancels with it is answered no more: its stream ends.
        """
        while len(self._incoming) >= MAX_WAITING and not self._closed:
            await self._room.park()
        if message.__class__ is dict and message.get("method") == "notifications/cancelled":
            self._forget_cancelled(message)
        if not self._closed:
            self._deliver(Value(message))

    def abandon(self, event_buffer: EventBuffer) -> None:
        """Cancel a request whose client no longer wants the answer."""
        if (
            event_buffer.inner_id is not None
            and self._outlets.get(event_buffer.inner_id) is event_buffer
        ):
            self._cancel(event_buffer.inner_id)

    def _cancel(self, inner: RequestId) -> None:
        self._release(inner)
        if not self._closed:
            params = {"requestId": inner, "reason": "the client no longer waits for the answer"}
            self._deliver(
                Value({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
            )

    def _forget_cancelled(self, message: Message) -> None:
        params = message.get("params")
        request_id = params.get("requestId") if isinstance(params, dict) else None
        if valid_id(request_id) and request_id in self._outlets:
            self._release(request_id)

    def _release(self, inner: RequestId) -> None:
        event_buffer = self._outlets.pop(inner)
        if event_buffer is not self.standalone and event_buffer not in self._outlets.values():
            event_buffer.end()
        self._unpark_settled()

    def _deliver(self, message: Value[Any]) -> None:
        if self._receiver is not None:
            task, self._receiver = self._receiver, None
            trio.lowlevel.reschedule(task, message)
        else:
            self._incoming.append(message.value)

    def close(self) -> None:
        """Let the peer read what waits, and no more. Answers still go out."""
        if self._closed:
            return
        self._closed = True
        self._room.unpark_all()
        if self._receiver is not None:
            task, self._receiver = self._receiver, None
            trio.lowlevel.reschedule(task, Error(trio.EndOfChannel()))

    def drop(self) -> None:
        """Cancel every request and end every stream: the clients want no more."""
        for inner in tuple(self._outlets):
            self._cancel(inner)
        self.close()
        self.end()

    def end(self) -> None:
        """Say that nobody serves the channel any more: its open answers end, later ones fail."""
        self._dead = True
        self.close()
        outlets, self._outlets = self._outlets, {}
        for event_buffer in outlets.values():
            event_buffer.end()
        if self.standalone is not None:
            self.standalone.end()
        self._unpark_settled()

    def _unpark_settled(self) -> None:
        if self._settled and not self._outlets:
            self._settled.unpark_all()

    # -- the peer's side -------------------------------------------------------------------

    async def receive(self) -> Received:
        """Return the next message of a client.

        Raises:
          trio.EndOfChannel: the session is over.
        """
        if self._incoming:
            message: Received = self._incoming.popleft()
            if self._room:
                self._room.unpark()
            return message
        if self._closed:
            raise trio.EndOfChannel
        self._receiver = trio.lowlevel.current_task()

        def abandon(_: Any) -> trio.lowlevel.Abort:
            self._receiver = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abandon)  # type: ignore[no-any-return]

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Hand over a message. It never waits: outlets are bounded.

        Raises:
          trio.BrokenResourceError: it is a request, and no client can get it.
        """
        if message.__class__ is list:
            self._answer_batch(message)
        elif "method" not in message:
            self._answer(message)  # type: ignore[arg-type]
        elif not self._pass_on(message, about) and "id" in message:  # type: ignore[arg-type]
            raise trio.BrokenResourceError("the client cannot be reached")

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Hand over a message; False where it reaches nobody."""
        if "method" not in message:
            self._answer(message)
            return True
        return self._pass_on(message, about)

    def pause(self, request: RequestId) -> None:
        """Let the connection go that waits for the answer to a request."""
        event_buffer = self._outlets.get(request)
        if event_buffer is not None:
            event_buffer.pause()

    def set_limit(self, limit: int) -> None:
        """Do nothing: the size of a POST is limited before it comes here."""

    def _pass_on(self, message: Message, about: RequestId | None) -> bool:
        event_buffer = self._outlets.get(about) if about is not None else None
        if event_buffer is None:
            event_buffer = self.standalone
        elif self.rewrite_ids:
            message = _with_own_ids(message, "params", event_buffer)
        if event_buffer is None or (self.rewrite_ids and "id" in message):
            return False  # the stateless era has no requests to a client
        try:
            return event_buffer.put(encode(message))
        except ValueError as error:
            log.warning("message.unwritable", method=message["method"], reason=str(error))
            return False

    def _answer(self, message: Message) -> None:
        event_buffer = self._outlets.pop(message.get("id"), None)  # type: ignore[arg-type]
        if event_buffer is None:
            return  # cancelled meanwhile, or its client has gone
        if "error" in message:
            event_buffer.failure = message["error"].get("code")
        if self.rewrite_ids:
            message = {**message, "id": event_buffer.request_id}
            message = _with_own_ids(message, "result", event_buffer)
        self._finish(event_buffer, message, message.get("id"))

    def _answer_batch(self, messages: list[Message]) -> None:
        outlets: Iterable[EventBuffer | None] = [
            self._outlets.pop(message["id"], None) for message in messages if "id" in message
        ]
        event_buffer = next(
            (event_buffer for event_buffer in outlets if event_buffer is not None), None
        )
        if event_buffer is not None:
            for request_id in [
                key for key, value in self._outlets.items() if value is event_buffer
            ]:
                del self._outlets[request_id]  # cancelled ones, which are left out
            self._finish(event_buffer, messages, None)

    def _finish(
        self, event_buffer: EventBuffer, message: Any, request_id: RequestId | None
    ) -> None:
        try:
            line = encode(message)
        except ValueError as error:
            log.warning("answer.unwritable", id=request_id, reason=str(error))
            fault = {"code": int(INTERNAL_ERROR), "message": f"the answer {error}"}
            line = encode({"jsonrpc": "2.0", "id": request_id, "error": fault})
        if event_buffer is self.standalone:
            event_buffer.put(line)
        else:
            event_buffer.finish(line)
        self._unpark_settled()


def _with_own_ids(message: Message, part: str, event_buffer: EventBuffer) -> Message:
    """Return the message with the client's own id where it names the request inside."""
    content = message.get(part)
    if not isinstance(content, dict):
        return message
    own, inner = event_buffer.request_id, event_buffer.inner_id
    meta = content.get("_meta")
    if isinstance(meta, dict) and meta.get(SUBSCRIPTION_META) == inner:
        content = {**content, "_meta": {**meta, SUBSCRIPTION_META: own}}
    if message.get("method") == "notifications/cancelled" and content.get("requestId") == inner:
        content = {**content, "requestId": own}
    return message if content is message[part] else {**message, part: content}
