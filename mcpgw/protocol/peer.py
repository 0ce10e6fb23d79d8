"""One end of a JSON-RPC conversation over a channel of messages.

A client's session has a peer, and so has each backend connection: the same class numbers requests,
matches responses, and handles progress and cancellation in both directions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from outcome import Error, Value

from mcpgw.observe.log import get_logger
from mcpgw.protocol import errors
from mcpgw.protocol.batch import send_batch, serve_batch
from mcpgw.protocol.channel import Arrived, Failed, Paused
from mcpgw.protocol.errors import INTERNAL_ERROR, INVALID_REQUEST, ConnectionLost, RpcError
from mcpgw.protocol.jsonrpc import (
    Malformed,
    Message,
    RequestId,
    check,
    error_response,
    invalid,
    own_id,
    valid_id,
)
from mcpgw.protocol.noise import Noise
from mcpgw.protocol.request import Client as Client
from mcpgw.protocol.request import Params as Params
from mcpgw.protocol.request import ProgressCallback as ProgressCallback
from mcpgw.protocol.request import Request as Request
from mcpgw.protocol.request import (
    answer_at_once,
    cut_off,
    ignore,
    method_not_found,
    only_cancelled,
    still_in_flight,
    too_many,
)
from mcpgw.protocol.response import is_error_without_id, outcome_of
from mcpgw.protocol.task_pool import TaskPool

if TYPE_CHECKING:
    from mcpgw.protocol.channel import Channel, Received

log = get_logger("mcpgw.peer")

BURST: Final = 8
"""From this many requests in flight on, messages are collected and written together."""

MAX_IN_FLIGHT: Final = 4096
"""Requests that the other side may have in flight; further ones are refused."""


RequestHandler = Callable[[Request], Awaitable[Params]]
NotificationHandler = Callable[[str, Params, RequestId | None], None]
"""Takes the method, its params, and our own request on whose stream it came, if known."""


@attrs.define(slots=True, eq=False)
class Peer:
    """One end of a JSON-RPC conversation.

    Args:
      channel: carries the messages. Whoever opened it closes it.
      name: the name of the other side, for logs and errors.
      serve: returns the result of a request; runs in its own task, so requests run concurrently.
      immediate: handlers that run in order, before the next message is read; for requests that
        must not be overtaken (`initialize`) and cheap ones (`ping`).
      notified: called for each notification, in order; must not block.
      answer_malformed: whether a malformed line gets an error response (clients) or is only logged
        (backends, which may print other output).
      end_grace: seconds for requests in flight to finish after the end of input.
      accepts_batches: whether the negotiated revision has batches.
      paused: called when the other side has closed the stream of a request of ours for a while.
    """

    channel: Channel
    name: str
    serve: RequestHandler
    immediate: Mapping[str, Callable[[Params], Params]]
    notified: NotificationHandler
    answer_malformed: bool = False
    end_grace: float = 0.0
    accepts_batches: bool = False
    paused: Callable[[RequestId], None] | None = None
    _serving: dict[RequestId, Request] = attrs.field(factory=dict)
    _pending: dict[RequestId, trio.lowlevel.Task] = attrs.field(factory=dict)
    _progress: dict[RequestId, ProgressCallback] = attrs.field(factory=dict)
    _owners: dict[RequestId, object] = attrs.field(factory=dict)
    _long_lived: set[RequestId] = attrs.field(factory=set)
    _next_id: int = 0
    _nursery: trio.Nursery | None = None
    _tasks: TaskPool[Request] = attrs.field(init=False)
    _reading: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _ended: bool = False
    _settled: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    received: int = 0
    """Messages that the other side has sent."""
    noise: Noise = attrs.field(init=False)
    """Lines of the other side that are not messages."""
    ending: trio.Event = attrs.field(factory=trio.Event)
    """Set when reading has ended: open-ended requests should end too."""

    def __attrs_post_init__(self) -> None:
        self._tasks = TaskPool(self._serve)
        self.noise = Noise(self.name)

    def __repr__(self) -> str:
        state = "ENDED" if self._ended else "OPEN"
        counts = f"pending={len(self._pending)} serving={len(self._serving)}"
        return f"<Peer {self.name!r} {state} {counts}>"

    async def drained(self) -> None:
        """Wait until all requests of ours are answered, except long-lived ones."""
        while self.pending > 0:
            await self._settled.park()

    @property
    def pending(self) -> int:
        """The number of unanswered requests of ours, without long-lived ones."""
        return len(self._pending) - len(self._long_lived)

    def is_serving(self, request: Request) -> bool:
        """Return whether a request of the other side is still unanswered."""
        return self._serving.get(request.id) is (request.represents or request)

    # -- the conversation ------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read and serve messages until the other side ends its output.

        Then unanswered requests of ours fail with `ConnectionLost`. Requests of the other side
        have `end_grace` seconds to finish; their responses are still sent.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                with self._reading:
                    await self._read()
                self.ending.set()
                self._fail_pending()
                self._tasks.end()
                nursery.cancel_scope.deadline = trio.current_time() + self.end_grace
        finally:
            self._ended = True
            self._nursery = None
            self.ending.set()
            self._fail_pending()
            # Break the reference cycle with the owner, so that the memory of a conversation is
            # freed now and not by a late run of the garbage collector.
            self.serve, self.notified, self.immediate = method_not_found, ignore, {}
            self.paused = None
            del self._tasks

    def finish(self, grace: float) -> None:
        """Stop reading; give requests in flight up to `grace` seconds to finish, then end."""
        self.end_grace = min(self.end_grace, grace)
        self._reading.cancel()
        if self._ended and self._nursery is not None:
            self._nursery.cancel_scope.deadline = trio.current_time() + grace

    async def _read(self) -> None:
        receive = self.channel.receive
        try:
            while True:
                message = await receive()
                self.received += 1
                if message.__class__ is dict:
                    await self._dispatch(message)
                else:
                    await self._dispatch_special(message)
        except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def _fail_pending(self) -> None:
        self._ended = True
        pending, self._pending = self._pending, {}
        for task in pending.values():
            trio.lowlevel.reschedule(task, Error(ConnectionLost(self.name, sent=True)))

    async def _dispatch(self, message: Message, about: RequestId | None = None) -> None:
        if (fault := check(message)) is not None:
            await self._refuse(message, fault)
            return
        method = message.get("method")
        if method is None:
            self._match_response(message)
        elif "id" not in message:
            self._handle_notification(method, message.get("params") or {}, about)
        elif (request := self._admit(message, about)).__class__ is Request:
            self._tasks.start_soon(self._nursery, request)  # type: ignore[arg-type]
        else:
            await self.channel.send(request)  # type: ignore[arg-type]

    async def _dispatch_special(self, message: Received) -> None:
        if isinstance(message, Arrived):
            await self._dispatch(message.message, message.about)
        elif isinstance(message, Failed):
            if message.request in self._pending:
                self._resolve(message.request, Error(message.error))
        elif isinstance(message, Paused):
            if self.paused is not None:
                self.paused(message.request)
        elif isinstance(message, Malformed):
            await self._malformed(message)
        elif isinstance(message, list) and self.accepts_batches and message:
            self._nursery.start_soon(self._serve_batch, message)  # type: ignore[union-attr]
        else:
            reason = "the batch is empty" if message == [] else "this revision has no batches"
            await self._malformed(Malformed(INVALID_REQUEST, f"{reason}; send single messages"))

    async def _refuse(self, message: Message, fault: RpcError) -> None:
        if "id" in message or "method" not in message:
            await self._malformed(invalid(message, fault))
        else:
            log.debug("notification.malformed", peer=self.name, reason=fault.message)

    async def _malformed(self, line: Malformed) -> None:
        if line.answers and own_id(line.id) in self._pending:
            self._resolve(own_id(line.id), Error(RpcError(line.code, line.reason)))
        elif self.answer_malformed:
            known = None if line.id in self._serving else line.id
            await self.channel.send(error_response(known, RpcError(line.code, line.reason)))
        elif line.embedded is not None and own_id(line.embedded.get("id")) in self._pending:
            await self._dispatch(line.embedded)  # a banner without a line end precedes it
        else:
            await self.noise.add(line)

    # -- requests of the other side ----------------------------------------------------

    def _admit(self, message: Message, about: RequestId | None = None) -> Request | Message:
        """Return the request to serve, or the immediate response to it."""
        request_id: RequestId = message["id"]
        params = message.get("params") or {}
        if request_id in self._serving:
            return error_response(request_id, still_in_flight(request_id))
        if (immediate := self.immediate.get(message["method"])) is not None:
            return answer_at_once(request_id, message["method"], immediate, params)
        if len(self._serving) >= MAX_IN_FLIGHT:
            return error_response(request_id, too_many(MAX_IN_FLIGHT))
        request = Request(self, request_id, message["method"], params, about=about)
        request.read_progress_token()
        self._serving[request_id] = request
        return request

    async def _serve(self, request: Request, scope: trio.CancelScope) -> None:
        request.scope = scope
        response = await self._respond(request)
        if response is not None:
            try:
                await self.channel.send(response, together=len(self._serving) >= BURST)
            except ValueError as error:
                # A server's result may contain an infinite number, or be nested too deeply.
                fault = RpcError(INTERNAL_ERROR, f"the result is not valid JSON: {error}")
                await self.channel.send(error_response(request.id, fault))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # The other side reads no more responses: the conversation is over.
                self._nursery.cancel_scope.cancel()  # type: ignore[union-attr]

    async def _respond(self, request: Request) -> Message | None:
        """Run the handler; return the response, None if the request was cancelled."""
        try:
            if not request.cancelled:
                result = await self.serve(request)
                if not request.cancelled:
                    return {"jsonrpc": "2.0", "id": request.id, "result": result}
        except RpcError as error:
            return None if request.cancelled else error_response(request.id, error)
        except Exception as error:
            if not request.cancelled:
                log.error("request.crashed", peer=self.name, method=request.method, exc_info=error)
                fault = RpcError(INTERNAL_ERROR, "internal gateway error (see the log)")
                return error_response(request.id, fault)
        except BaseExceptionGroup as group:
            await only_cancelled(request, group)
        except trio.Cancelled:
            cut_off(self.channel, request)
            raise
        finally:
            self._serving.pop(request.id, None)
        return None

    async def _serve_batch(self, messages: list[Any]) -> None:
        async def respond(request: Request) -> Message | None:
            with trio.CancelScope() as request.scope:
                return await self._respond(request)
            return None

        responses = await serve_batch(messages, self._admit, respond, self._dispatch)
        if responses and not await send_batch(self.channel, responses):
            self._nursery.cancel_scope.cancel()  # type: ignore[union-attr]

    def _handle_notification(self, method: str, params: Params, about: RequestId | None) -> None:
        try:
            if method == "notifications/cancelled":
                request_id = params.get("requestId")
                if valid_id(request_id) and request_id in self._serving:
                    self._serving[request_id].cancel()
            elif method == "notifications/progress":
                token = params.get("progressToken")
                if valid_id(token) and (ours := own_id(token)) in self._progress:
                    self._progress[ours](params)
            else:
                self.notified(method, params, about)
        except Exception as error:
            # A message ends nothing but itself, even if we have not foreseen it.
            log.error("notification.crashed", peer=self.name, method=method, exc_info=error)

    # -- requests of ours ----------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        on_progress: ProgressCallback | None = None,
        about: RequestId | None = None,
        owner: object = None,
        long_lived: bool = False,
    ) -> Params:
        """Send a request and return the `result` of its response.

        Args:
          method, params: the request.
          on_progress: called with each progress notification; requests them if it is given.
          about: the request of the other side that caused it.
          owner: the object that it is sent for; see `owner` and `owners`.
          long_lived: the response comes at the end only, such as that of a subscription; `drained`
            does not wait for it.

        If the caller is cancelled, or its deadline passes, `notifications/cancelled` is sent
        (except for `initialize`, which is never cancelled), and a late response is dropped.

        Raises:
          RpcError: the other side answered with an error.
          ConnectionLost: the conversation ended first.
        """
        if self._ended:
            raise ConnectionLost(self.name, sent=False)
        self._next_id = request_id = self._next_id + 1
        message = self._compose(request_id, method, params, on_progress)
        if owner is not None:
            self._owners[request_id] = owner
        if long_lived:
            self._long_lived.add(request_id)
        sent = False
        try:
            await self.channel.send(message, together=len(self._pending) >= BURST, about=about)
            sent = True
            if self._ended:
                raise ConnectionLost(self.name, sent=True)

            def abandon(_: Any) -> trio.lowlevel.Abort:
                # Before the task runs again: a response that arrives now must not match.
                del self._pending[request_id]
                return trio.lowlevel.Abort.SUCCEEDED

            self._pending[request_id] = trio.lowlevel.current_task()
            return await trio.lowlevel.wait_task_rescheduled(abandon)  # type: ignore[no-any-return]
        except trio.Cancelled:
            if sent and method != "initialize":
                self.notify(
                    "notifications/cancelled",
                    {"requestId": request_id, "reason": "cancelled by the caller"},
                    about=about,
                )
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost(self.name, sent=False) from None
        except ValueError as error:
            raise RpcError(
                errors.INVALID_PARAMS, f"the params are not valid JSON: {error}"
            ) from error
        finally:
            self._progress.pop(request_id, None)
            self._owners.pop(request_id, None)
            self._long_lived.discard(request_id)
            if self._settled and not self.pending:
                self._settled.unpark_all()

    def _compose(
        self,
        request_id: int,
        method: str,
        params: Params | None,
        on_progress: ProgressCallback | None,
    ) -> Message:
        message: Message = {"jsonrpc": "2.0", "id": request_id, "method": method}
        if on_progress is not None:
            params = dict(params or {})
            params["_meta"] = {**(params.get("_meta") or {}), "progressToken": request_id}
            self._progress[request_id] = on_progress
        if params is not None:
            message["params"] = params
        return message

    def _resolve(self, request_id: RequestId, outcome: Value[Params] | Error) -> None:
        trio.lowlevel.reschedule(self._pending.pop(request_id), outcome)

    def _match_response(self, message: Message) -> None:
        request_id: Any = message.get("id")
        task = self._pending.pop(request_id, None) or self._pending.pop(own_id(request_id), None)
        if task is None and len(self._pending) == 1 and is_error_without_id(message):
            task = self._pending.popitem()[1]
        if task is None:
            log.debug("response.unmatched", peer=self.name, id=request_id)
        else:
            trio.lowlevel.reschedule(task, outcome_of(message, self.name))

    def owner(self, about: RequestId) -> object:
        """Return the owner of an unanswered request of ours."""
        return self._owners.get(about)

    @property
    def owners(self) -> tuple[object, ...]:
        """The owners of all unanswered requests of ours, the oldest request first."""
        return tuple(self._owners.values())

    def notify(
        self, method: str, params: Params | None = None, *, about: RequestId | None = None
    ) -> bool:
        """Send a notification without waiting; return False if it was dropped.

        It is dropped if the conversation has ended, or if too much is queued for a slow reader.
        """
        if self._ended and not self._serving:
            return False
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        try:
            return self.channel.send_nowait(message, about=about)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        except ValueError as error:
            log.warning("notification.dropped", peer=self.name, method=method, reason=str(error))
            return False
