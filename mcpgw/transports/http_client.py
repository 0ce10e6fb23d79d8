"""The client side of Streamable HTTP (MCP 2025-11-25 and 2026-07-28, transports).

Each message is its own POST; the response is JSON or an event stream, which is resumed if it
breaks. The params of a request show its era. Servers that support only the legacy HTTP+SSE
transport are detected and used in that way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Arrived, Failed, Paused, Received
from mcpgw.protocol.errors import METHOD_NOT_FOUND, ConnectionLost
from mcpgw.protocol.header_params import HeaderParam, modern_headers
from mcpgw.protocol.jsonrpc import Message, RequestId, encode, is_response
from mcpgw.protocol.mcp import is_modern
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.http_exchange import (
    Exchange,
    Fatal,
    HttpTimeouts,
    RequestLost,
    described,
    read_messages,
    read_whole,
    refusal_of,
)
from mcpgw.transports.http_legacy import has_legacy_path, may_be_legacy, read_legacy_stream
from mcpgw.transports.sse_codec import Event
from mcpgw.transports.sse_stream import SseStream, drain

if TYPE_CHECKING:
    import httpx

    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.http")

STREAM_FIRST: Final = 0.5
"""Seconds that the first requests wait for the server's standalone stream to open: requests that
the server sends on it earlier would be lost."""
MOST_RESUMES: Final = 6
"""Consecutive attempts to resume a stream without a new event before its request fails."""
CLOSE_PATIENCE: Final = 2.0  # seconds for the DELETE that ends the session


@attrs.define(eq=False)
class HttpChannel:
    """A conversation with a server over HTTP.

    `run` must be running while messages are sent. After the end of the conversation `ending` is the
    reason, and `expired` is True if the server no longer knows the session.

    Args:
      name: the server's name, for logs and errors.
      url: the endpoint.
      network: TLS and proxies.
      headers: further headers of every request.
      authorizer: provides credentials, if the server needs any.
      limit, timeouts: the largest message accepted, in bytes, and the time limits.
      kind: the transport; `auto` detects it.
      redactor: knows the secrets that an answer may repeat.
      tool_params: the parameters with headers, by tool; filled by the owner.
    """

    name: str = attrs.field(kw_only=True)
    url: str = attrs.field(kw_only=True)
    network: Network = attrs.field(kw_only=True)
    headers: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, repr=False)
    authorizer: Authorizer | None = attrs.field(kw_only=True, default=None)
    limit: int = attrs.field(kw_only=True, default=10 * 1024 * 1024)
    timeouts: HttpTimeouts = attrs.field(kw_only=True, factory=HttpTimeouts)
    kind: Literal["auto", "streamable", "sse"] = attrs.field(kw_only=True, default="auto")
    redactor: Redactor = attrs.field(kw_only=True, factory=Redactor)
    tool_params: dict[str, tuple[HeaderParam, ...]] = attrs.field(init=False, factory=dict)
    expired: bool = attrs.field(init=False, default=False)
    ending: str = attrs.field(init=False, default="")
    _exchange: Exchange = attrs.field(init=False)
    _received: deque[Received] = attrs.field(init=False, factory=deque)
    _arrived: trio.lowlevel.ParkingLot = attrs.field(init=False, factory=trio.lowlevel.ParkingLot)
    _nursery: trio.Nursery | None = attrs.field(init=False, default=None)
    _closing: trio.Event = attrs.field(init=False, factory=trio.Event)
    _gone: trio.Event = attrs.field(init=False, factory=trio.Event)
    _ended: bool = attrs.field(init=False, default=False)
    _began: bool = attrs.field(init=False, default=False)
    _ordered: trio.Event = attrs.field(init=False, factory=trio.Event)
    _running: dict[RequestId, trio.CancelScope] = attrs.field(init=False, factory=dict)
    _session: str | None = attrs.field(init=False, default=None)
    _version: str | None = attrs.field(init=False, default=None)
    _post_url: str = attrs.field(init=False)
    _legacy: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._post_url = self.url
        self._ordered.set()
        self._exchange = Exchange(self.network, self.headers, self.authorizer, self.timeouts)

    def __repr__(self) -> str:
        state = "ENDED" if self._ended else "OPEN"
        transport = "HTTP+SSE" if self._legacy else "Streamable HTTP"
        return (
            f"<HttpChannel {self.name!r} {described(self.url)} {transport} {state}"
            f" session={self._session is not None} running={len(self._running)}>"
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry messages until the conversation ends or is closed."""
        try:
            async with self._exchange:
                try:
                    async with trio.open_nursery() as self._nursery:
                        task_status.started()
                        await self._closing.wait()
                        self._nursery.cancel_scope.cancel()
                finally:
                    with trio.CancelScope(
                        shield=True, deadline=trio.current_time() + CLOSE_PATIENCE
                    ):
                        await self._delete_session()
        finally:
            self._end(self.ending)
            self._gone.set()

    async def _delete_session(self) -> None:
        """End the session on the server, if there is one."""
        if self._session is None or self.expired:
            return
        try:
            async with self._exchange.open("DELETE", self.url, self._legacy_headers()):
                pass
        except (RequestLost, Fatal, AuthorizationFailed) as error:
            log.debug("http.session_delete_failed", server=self.name, reason=str(error))

    async def receive(self) -> Received:
        """Return the next message of the server, or the failure of a request of ours.

        Raises:
          trio.EndOfChannel: the conversation has ended.
        """
        while not self._received:
            if self._ended:
                raise trio.EndOfChannel
            await self._arrived.park()
        return self._received.popleft()

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Start sending a message; if it is a request, `receive` returns its response or failure.

        Raises:
          trio.BrokenResourceError: the conversation has ended.
        """
        self._begin(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Start sending a message without waiting; always True."""
        self._begin(message)
        return True

    def pause(self, request: RequestId) -> None:
        """Do nothing: a server's requests do not have their own connections."""

    async def aclose(self) -> None:
        """End the conversation and the session on the server."""
        self._closing.set()
        if self._nursery is not None:
            await self._gone.wait()

    # -- the conversation --------------------------------------------------------------------

    def _end(self, ending: str) -> None:
        if not self._ended:
            self._ended = True
            self.ending = ending
        self._closing.set()
        self._arrived.unpark_all()

    def _deliver(self, received: Received) -> None:
        if not self._ended:
            self._received.append(received)
            self._arrived.unpark_all()

    def _begin(self, message: Any) -> None:
        if self._ended or self._nursery is None:
            raise trio.BrokenResourceError("the conversation has ended")
        method = message.get("method")
        if method == "notifications/cancelled":
            params: dict[str, Any] = message.get("params") or {}
            running = self._running.get(params.get("requestId", ""))
            if running is not None:
                # In the stateless era closing its stream cancels a request.
                running.cancel()
                return
        first, self._began = not self._began, True
        after = self._ordered
        if first or method == "notifications/initialized":
            self._ordered = trio.Event()
        done = self._ordered if after is not self._ordered else None
        self._nursery.start_soon(self._carry, message, after, done, first)

    async def _carry(
        self, message: Message, after: trio.Event, done: trio.Event | None, first: bool
    ) -> None:
        """POST a message in its turn and process the response; runs as a task."""
        method = message.get("method")
        request = message.get("id") if method is not None else None
        try:
            await after.wait()
            auto = self.kind == "auto" and has_legacy_path(self.url)
            if first and (self.kind == "sse" or auto):
                await self._open_legacy()
            await self._post(message, request, first=first)
            if method == "notifications/initialized" and not self._legacy:
                await self._open_stream()
        except RequestLost as lost:
            self._lose(request, lost)
        except AuthorizationFailed as refused:
            self._lose(request, RequestLost(refused.reason, sent=False))
        except Fatal as fatal:
            if request is not None:
                self._deliver(Failed(request, ConnectionLost(self.name, sent=fatal.sent)))
            self._end(fatal.reason)
        finally:
            if done is not None:
                done.set()

    def _lose(self, request: RequestId | None, lost: RequestLost) -> None:
        if request is None:
            log.debug("http.message_lost", server=self.name, reason=lost.reason)
        else:
            self._deliver(Failed(request, ConnectionLost(self.name, lost.sent, lost.reason)))

    async def _post(self, message: Message, request: RequestId | None, *, first: bool) -> None:
        params = message.get("params") or {}
        modern = request is not None and is_modern(params)
        headers = (
            modern_headers(message, params, self.tool_params) if modern else self._legacy_headers()
        )
        scope = trio.CancelScope()
        if modern and request is not None:
            self._running[request] = scope
        try:
            with scope:
                body = encode(message)[:-1]
                async with self._exchange.open("POST", self._post_url, headers, body) as response:
                    await self._process(response, message, request, first=first)
        finally:
            if modern and request is not None:
                self._running.pop(request, None)

    async def _process(
        self, response: httpx.Response, message: Message, request: RequestId | None, *, first: bool
    ) -> None:
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status >= 400:
            await self._process_error(response, message, request, first=first)
        elif request is None or self._legacy:
            if status == 200 and kind == "application/json":
                await read_whole(response, self.limit)
        elif kind == "text/event-stream":
            self._greeted(message, response)
            await self._follow(response, request, message)
        elif kind == "application/json":
            self._greeted(message, response)
            for found in read_messages(await read_whole(response, self.limit)):
                self._take(found, request, message)
        else:
            shown = self.redactor.foreign(kind, 100) or "no content"
            raise RequestLost(f"HTTP {status} with {shown} instead of a response")

    async def _process_error(
        self, response: httpx.Response, message: Message, request: RequestId | None, *, first: bool
    ) -> None:
        status = response.status_code
        body = await read_whole(response, self.limit)
        answers = [found for found in read_messages(body) if is_response(found)]
        if status == 404 and self._session is not None and message.get("method") != "initialize":
            self.expired = True
            raise Fatal("the server no longer knows the session", sent=False)
        unsure = first and self.kind == "auto" and request is not None
        if unsure and may_be_legacy(status, answers):
            try:
                await self._open_legacy()
            except (RequestLost, Fatal) as error:
                log.debug("http.legacy_transport_failed", server=self.name, reason=str(error))
            else:
                await self._post(message, request, first=False)
                return
        if answers and request is not None:
            self._take({**answers[0], "id": request}, request, message)
            return
        reason = refusal_of(response, body, self.redactor)
        if message.get("method") == "server/discover" and status < 500:
            fault = {"code": int(METHOD_NOT_FOUND), "message": reason}
            self._deliver({"jsonrpc": "2.0", "id": request, "error": fault})
            return
        raise RequestLost(reason, sent=status >= 500)

    def _greeted(self, message: Message, response: httpx.Response) -> None:
        if message.get("method") == "initialize":
            self._session = response.headers.get("mcp-session-id")

    def _take(self, found: Message, request: RequestId | None, asked: Message | None) -> None:
        """Pass a message of the server to the peer."""
        if asked is not None and asked.get("method") == "initialize":
            result = found.get("result")
            if isinstance(result, dict) and found.get("id") == request:
                version = result.get("protocolVersion")
                self._version = version if isinstance(version, str) else None
        if "method" in found and request is not None:
            self._deliver(Arrived(found, request))
        else:
            self._deliver(found)

    def _legacy_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        if self._version is not None:
            headers["MCP-Protocol-Version"] = self._version
        return headers

    # -- streams -----------------------------------------------------------------------------

    async def _follow(self, response: httpx.Response, request: RequestId, message: Message) -> None:
        """Process a request's event stream up to the response, resuming it if it ends early.

        Raises:
          RequestLost: the response can no longer be received.
        """
        stream = SseStream(self.limit)

        def take(event: Event) -> bool:
            return self._event(event, request, message)

        if await drain(stream, response, self._exchange, take):
            return
        if stream.last is not None and stream.complete:
            self._deliver(Paused(request))
        resumes = 0
        while True:
            if stream.last is None:
                raise RequestLost(stream.ending or "its stream ended before the response")
            if resumes >= MOST_RESUMES:
                raise RequestLost(f"its stream could not be resumed: {stream.ending}")
            await trio.sleep(stream.delay(resumes))
            resumes += 1
            headers = {**self._legacy_headers(), "Last-Event-ID": stream.last}
            before, opened = stream.events, False
            try:
                async with self._exchange.open("GET", self.url, headers) as again:
                    opened = True
                    if again.status_code != 200:
                        raise RequestLost(
                            f"its stream could not be resumed: HTTP {again.status_code}"
                        )
                    if await drain(stream, again, self._exchange, take):
                        return
            except (Fatal, RequestLost) as lost:
                if opened:
                    raise
                stream.ending = lost.reason  # the next attempt may succeed
            if stream.events > before:
                resumes = 0

    def _event(
        self, event: Event, request: RequestId | None = None, message: Message | None = None
    ) -> bool:
        """Pass an event's message to the peer; return whether it is the response."""
        if not event.data or event.event != "message":
            return False
        answered = False
        for found in read_messages(event.data.encode()):
            self._take(found, request, message)
            if request is not None and "method" not in found and found.get("id") == request:
                answered = True
        return answered

    async def _open_stream(self) -> None:
        """Open the server's standalone stream; wait up to `STREAM_FIRST` seconds for it."""
        assert self._nursery is not None
        opened = trio.Event()
        self._nursery.start_soon(self._listen, opened)
        with trio.move_on_after(STREAM_FIRST):
            await opened.wait()

    async def _listen(self, opened: trio.Event) -> None:
        """Keep the server's standalone stream open, if it offers one; runs as a task."""
        stream = SseStream(self.limit)
        tries = 0
        try:
            while not self._ended:
                headers = self._legacy_headers()
                if stream.last is not None:
                    headers["Last-Event-ID"] = stream.last
                before = stream.events
                try:
                    async with self._exchange.open("GET", self.url, headers) as response:
                        kind = response.headers.get("content-type", "")
                        if response.status_code != 200 or "text/event-stream" not in kind:
                            return  # the stream is optional
                        opened.set()
                        await drain(stream, response, self._exchange, self._event)
                except (RequestLost, Fatal, AuthorizationFailed) as error:
                    log.debug("http.stream_lost", server=self.name, reason=str(error))
                tries = 0 if stream.events > before else tries + 1
                if tries > MOST_RESUMES:
                    return
                await trio.sleep(stream.delay(tries))
        finally:
            opened.set()

    # -- legacy HTTP+SSE ----------------------------------------------------------------------

    async def _open_legacy(self) -> None:
        """Open the HTTP+SSE stream, and learn the URL to POST to.

        Raises:
          RequestLost, Fatal: the server does not offer this stream.
        """
        assert self._nursery is not None
        await self._nursery.start(self._listen_legacy)

    async def _listen_legacy(self, *, task_status: trio.TaskStatus[None]) -> None:
        def opened(post_url: str) -> None:
            self._post_url, self._legacy = post_url, True
            task_status.started()

        ending = await read_legacy_stream(
            self._exchange,
            self.url,
            self.limit,
            opened=opened,
            event=self._event,
        )
        self._end(ending)
