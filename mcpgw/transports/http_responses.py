"""From HTTP responses to the messages of a Streamable HTTP conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Arrived, Paused, Received
from mcpgw.protocol.errors import METHOD_NOT_FOUND
from mcpgw.protocol.jsonrpc import (
    Malformed,
    Message,
    RequestId,
    is_response,
    is_response_to,
    own_id,
)
from mcpgw.transports.http_exchange import (
    Exchange,
    RequestLost,
    read_messages,
    read_whole,
    refusal_of,
    retry_after,
)
from mcpgw.transports.http_session import (
    HttpSession,
    SessionForgotten,
    is_about_session,
    mentions_session,
)
from mcpgw.transports.http_streams import follow
from mcpgw.transports.sse_codec import Event
from mcpgw.transports.sse_stream import SseStream

if TYPE_CHECKING:
    import httpx

PASSING: Final = (408, 421, 423, 424, 425, 429)
"""Statuses below 500 of requests that may succeed if they are repeated (RFC 9110, RFC 8470)."""
BUSY_PAUSE: Final = 1.0
"""Seconds to wait after status 429 without `Retry-After`."""


@attrs.frozen
class Refusal:
    """A response with an error status.

    Args:
      status: the status.
      reason: the status and the first line of the body, in words.
      answers: the JSON-RPC responses in the body.
      wait: the seconds after which the server takes requests again, if it said so.
    """

    status: int
    reason: str
    answers: list[Message]
    wait: float | None


@attrs.define(eq=False)
class HttpResponses:
    """Reads the responses to POSTs, and delivers the messages in them.

    Args:
      name: the name of the server.
      url: the endpoint, where streams are resumed.
      limit: the largest message accepted, in bytes.
      exchange: sends requests.
      session: the session of the conversation.
      deliver: takes what is received.
      redactor: knows the secrets that a response may repeat.
    """

    name: str
    url: str
    limit: int
    exchange: Exchange
    session: HttpSession
    deliver: Callable[[Received], None]
    redactor: Redactor = attrs.field(factory=Redactor)

    async def check_session(self) -> None:
        """Raise SessionForgotten if the server no longer knows the session."""
        if await self.session.forgotten(self.exchange, self.url):
            raise SessionForgotten

    async def read(
        self,
        response: httpx.Response,
        message: Message,
        request: RequestId | None,
        *,
        legacy: bool,
    ) -> None:
        """Read a response without an error status.

        Args:
          response: the response.
          message: the message that was sent.
          request: its id; None if it is not a request.
          legacy: whether answers come on another stream (HTTP+SSE).

        Raises:
          RequestLost: the request gets no answer.
          SessionForgotten: the server refuses the session.
        """
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request is None or legacy:
            if response.status_code == 200 and kind == "application/json":
                await read_whole(response, self.limit)
            return
        if message.get("method") == "initialize":
            self.session.begin(response)
        if kind == "text/event-stream":
            await self._follow(response, request, message)
        elif kind == "application/json":
            await self._take_body(await read_whole(response, self.limit), request, message)
        else:
            shown = self.redactor.foreign(kind, 100) or "no content"
            raise RequestLost(f"HTTP {response.status_code} with {shown} instead of a response")

    async def read_refusal(self, response: httpx.Response, message: Message) -> Refusal:
        """Read a response with an error status.

        Raises:
          RequestLost: the connection broke.
          SessionForgotten: the server refuses the session.
        """
        status = response.status_code
        body = await read_whole(response, self.limit)
        if self.session.id is not None and message.get("method") != "initialize":
            if status == 404:
                raise SessionForgotten
            if (status < 500 and status != 429) or mentions_session(body):
                await self.check_session()
        found = [each for each in read_messages(body) if isinstance(each, dict)]
        reason = refusal_of(response, body, self.redactor)
        wait = retry_after(response)
        if status == 429 and wait is None:
            wait = BUSY_PAUSE
        return Refusal(status, reason, [each for each in found if is_response(each)], wait)

    def refuse(self, refusal: Refusal, message: Message, request: RequestId | None) -> None:
        """Deliver the error of a refused request.

        Raises:
          RequestLost: the response has no JSON-RPC error.
        """
        if refusal.answers and request is not None:
            self._take({**refusal.answers[0], "id": request}, request, message)
        elif message.get("method") == "server/discover" and refusal.status < 500:
            fault = {"code": int(METHOD_NOT_FOUND), "message": refusal.reason}
            self.deliver({"jsonrpc": "2.0", "id": request, "error": fault})
        else:
            busy = refusal.status in (429, 503)
            raise RequestLost(
                refusal.reason,
                sent=refusal.status >= 500,
                retry_after=refusal.wait if busy else None,
                refused=refusal.status < 500 and refusal.status not in PASSING,
            )

    async def _take_body(self, body: bytes, request: RequestId, message: Message) -> None:
        answered = False
        problem = "it is empty"
        for found in read_messages(body):
            if isinstance(found, Malformed):
                problem = found.reason
            elif "method" in found:
                self._take(found, request, message)
            elif is_response_to(found, request) or found.get("id") is None:
                if is_about_session(found):
                    await self.check_session()
                answered = True
                self._take({**found, "id": request}, request, message)
            else:
                problem = f"it answers another request, with the id {found['id']!r:.80}"
        if not answered:
            raise RequestLost(f"the server's response cannot be used: {problem}")

    def _take(self, found: Message, request: RequestId | None, asked: Message | None) -> None:
        if asked is not None and asked.get("method") == "initialize" and "method" not in found:
            self.session.agree(found.get("result"))
        if "method" in found and request is not None:
            self.deliver(Arrived(found, request))
        else:
            self.deliver(found)

    # -- streams -----------------------------------------------------------------------------

    async def _follow(self, response: httpx.Response, request: RequestId, message: Message) -> None:
        stream = SseStream(self.limit)
        held: list[Message] = []
        await follow(
            self.exchange,
            self.url,
            response,
            stream,
            headers=self.session.headers,
            take=lambda event: self.take_event(event, request, message, held),
            paused=lambda: self.deliver(Paused(request)),
        )
        for refusal in held:
            await self.check_session()
            self._take(refusal, request, message)

    def take_event(
        self,
        event: Event,
        request: RequestId | None = None,
        message: Message | None = None,
        held: list[Message] | None = None,
    ) -> bool:
        """Deliver an event's messages; return whether the response to `request` is among them.

        A response that may be about a forgotten session goes to `held` instead.
        """
        if not event.data or event.event != "message":
            return False
        answered = False
        for found in read_messages(event.data.encode()):
            if isinstance(found, Malformed):
                self.deliver(found)
                ours = found.answers and request is not None and own_id(found.id) == request
                answered = answered or ours
                continue
            if request is not None and is_response_to(found, request):
                answered = True
                found = {**found, "id": request}
                if held is not None and is_about_session(found):
                    held.append(found)
                    continue
            self._take(found, request, message)
        return answered
