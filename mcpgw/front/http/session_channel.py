"""The channel of a session: POSTs bring its messages, event streams take its answers."""

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
from mcpgw.protocol.errors import CUT_OFF, INTERNAL_ERROR
from mcpgw.protocol.jsonrpc import Message, RequestId, encode, error_response, valid_id
from mcpgw.protocol.mcp import SUBSCRIPTION_META

log = get_logger("mcpgw.http")

MAX_WAITING: Final = 256
"""Messages that may wait for the peer before further POSTs wait too."""


@attrs.define(slots=True, eq=False)
class SessionChannel:
    """The channel of one peer whose messages arrive by POST and leave by many streams.

    An answer goes to the event buffer of its request, and so does all that the peer sends about a
    request that is not answered yet. Everything else goes to the standalone buffer.

    Args:
      standalone: takes messages that belong to no request; without it they are dropped.
      rewrite_ids: the requests come from many clients, whose ids may collide. The peer sees
        generated ids; each client gets its own id back, with the JSON type that it sent.
    """

    standalone: EventBuffer | None = None
    rewrite_ids: bool = False
    _event_buffers: dict[RequestId, EventBuffer] = attrs.field(factory=dict)
    _incoming: deque[Any] = attrs.field(factory=deque)
    _receiver: trio.lowlevel.Task | None = None
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _settled: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _closed: bool = False
    _dead: bool = False
    _last_id: int = 0

    def __repr__(self) -> str:
        state = "DEAD" if self._dead else "CLOSED" if self._closed else "OPEN"
        counts = f"open={len(self._event_buffers)} waiting={len(self._incoming)}"
        return f"<SessionChannel {state} {counts}>"

    @property
    def is_dead(self) -> bool:
        """True once its peer has ended."""
        return self._dead

    @property
    def is_busy(self) -> bool:
        """True while a request is unanswered."""
        return bool(self._event_buffers)

    async def settled(self) -> None:
        """Wait until every request is answered."""
        while self._event_buffers:
            await self._settled.park()

    # -- the clients' side -----------------------------------------------------------------

    def is_open(self, request_id: RequestId) -> bool:
        """Return whether a request with this id is unanswered."""
        return request_id in self._event_buffers

    async def post(self, message: Message, event_buffer: EventBuffer) -> None:
        """Pass a request to the peer; its answer goes to the event buffer."""
        inner: RequestId = message["id"]
        if self.rewrite_ids:
            event_buffer.request_id = inner
            self._last_id = inner = self._last_id + 1
            message = {**message, "id": inner}
        event_buffer.inner_id = inner
        self._event_buffers[inner] = event_buffer
        await self.inject(message)

    async def post_batch(self, messages: list[Message], event_buffer: EventBuffer) -> None:
        """Pass a batch to the peer; its answers go to the event buffer as one array."""
        for message in messages:
            if "method" in message and "id" in message:
                self._event_buffers[message["id"]] = event_buffer
        await self.inject(messages)

    async def inject(self, message: Received) -> None:
        """Pass a message to the peer; wait only while `MAX_WAITING` messages wait for it.

        A `notifications/cancelled` ends the stream of the request that it cancels.
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
            and self._event_buffers.get(event_buffer.inner_id) is event_buffer
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
        if valid_id(request_id) and request_id in self._event_buffers:
            self._release(request_id)

    def _release(self, inner: RequestId) -> None:
        event_buffer = self._event_buffers.pop(inner)
        if event_buffer is not self.standalone and event_buffer not in self._event_buffers.values():
            event_buffer.end()
        self._unpark_settled()

    def _deliver(self, message: Value[Any]) -> None:
        if self._receiver is not None:
            task, self._receiver = self._receiver, None
            trio.lowlevel.reschedule(task, message)
        else:
            self._incoming.append(message.value)

    def close(self) -> None:
        """Accept no more messages; the peer reads those that wait. Answers are still sent."""
        if self._closed:
            return
        self._closed = True
        self._room.unpark_all()
        if self._receiver is not None:
            task, self._receiver = self._receiver, None
            trio.lowlevel.reschedule(task, Error(trio.EndOfChannel()))

    def drop(self) -> None:
        """Cancel every request and end every stream."""
        for inner in tuple(self._event_buffers):
            self._cancel(inner)
        self.close()
        self.end()

    def end(self) -> None:
        """Mark the channel as unserved: its open answers end, later messages fail."""
        self._dead = True
        self.close()
        for inner in tuple(self._event_buffers):
            self._answer(error_response(inner, CUT_OFF))
        event_buffers, self._event_buffers = self._event_buffers, {}
        for event_buffer in event_buffers.values():
            event_buffer.end()
        if self.standalone is not None:
            self.standalone.end()
        self._unpark_settled()

    def _unpark_settled(self) -> None:
        if self._settled and not self._event_buffers:
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
        """Put a message into its event buffer. It never waits: buffers are bounded.

        Raises:
          trio.BrokenResourceError: it is a request, and no client can receive it.
        """
        if message.__class__ is list:
            self._answer_batch(message)
        elif "method" not in message:
            self._answer(message)  # type: ignore[arg-type]
        elif not self._pass_on(message, about) and "id" in message:  # type: ignore[arg-type]
            raise trio.BrokenResourceError("the client has no stream to receive requests on")

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Put a message into its event buffer; return False if no client can receive it."""
        if "method" not in message:
            self._answer(message)
            return True
        return self._pass_on(message, about)

    def pause(self, request: RequestId) -> None:
        """Close the stream that waits for the answer to a request, if it is resumable."""
        event_buffer = self._event_buffers.get(request)
        if event_buffer is not None:
            event_buffer.pause()

    def set_limit(self, limit: int) -> None:
        """Do nothing: the size of a POST is checked before its message gets here."""

    def _pass_on(self, message: Message, about: RequestId | None) -> bool:
        event_buffer = self._event_buffers.get(about) if about is not None else None
        if event_buffer is None:
            event_buffer = self.standalone
        elif self.rewrite_ids:
            message = _with_own_ids(message, "params", event_buffer)
        if event_buffer is None or (self.rewrite_ids and "id" in message):
            return False  # the stateless era does not have requests to a client
        if event_buffer.answer_only:
            return False
        try:
            return event_buffer.put(encode(message))
        except ValueError as error:
            log.warning("message.encoding_failed", method=message["method"], reason=str(error))
            return False

    def _answer(self, message: Message) -> None:
        event_buffer = self._event_buffers.pop(message.get("id"), None)  # type: ignore[arg-type]
        if event_buffer is None:
            return  # cancelled meanwhile, or its client disconnected
        if "error" in message:
            event_buffer.failure = message["error"].get("code")
        if self.rewrite_ids:
            message = {**message, "id": event_buffer.request_id}
            message = _with_own_ids(message, "result", event_buffer)
        self._finish(event_buffer, message, message.get("id"))

    def _answer_batch(self, messages: list[Message]) -> None:
        event_buffers: Iterable[EventBuffer | None] = [
            self._event_buffers.pop(message["id"], None) for message in messages if "id" in message
        ]
        event_buffer = next(
            (event_buffer for event_buffer in event_buffers if event_buffer is not None), None
        )
        if event_buffer is not None:
            for request_id in [
                key for key, value in self._event_buffers.items() if value is event_buffer
            ]:
                del self._event_buffers[request_id]  # cancelled: not part of the answer
            self._finish(event_buffer, messages, None)

    def _finish(
        self, event_buffer: EventBuffer, message: Any, request_id: RequestId | None
    ) -> None:
        try:
            line = encode(message)
        except ValueError as error:
            log.warning("response.encoding_failed", id=request_id, reason=str(error))
            reason = f"the result is not valid JSON: {error}"
            fault = {"code": int(INTERNAL_ERROR), "message": reason}
            line = encode({"jsonrpc": "2.0", "id": request_id, "error": fault})
        if event_buffer is self.standalone:
            event_buffer.put(line)
        else:
            event_buffer.finish(line)
        self._unpark_settled()


def _with_own_ids(message: Message, part: str, event_buffer: EventBuffer) -> Message:
    """Return the message with the client's own id in place of the generated one."""
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
