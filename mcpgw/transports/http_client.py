"""The client half of Streamable HTTP (MCP 2025-11-25 and 2026-07-28, transports).

Each message is a POST of its own; its answers come back as JSON or as a stream of events, which
is resumed where it breaks. Which era a request is of, it says itself. Servers that speak only
the older pair of endpoints are found out and spoken to in that way (`sse_client`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.protocol.channel import Arrived, Failed, Paused, Received
from mcpgw.protocol.errors import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    ConnectionLost,
)
from mcpgw.protocol.header_params import HeaderParam, modern_headers
from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId, decode, encode
from mcpgw.protocol.mcp import is_modern
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.http_exchange import (
    Exchange,
    Fatal,
    HttpTimeouts,
    RequestLost,
    described,
    read_whole,
    same_origin,
)
from mcpgw.transports.sse_codec import Event, EventTooLarge
from mcpgw.transports.sse_stream import SseStream

if TYPE_CHECKING:
    import httpx

    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.http")

STREAM_FIRST: Final = 0.5
"""Seconds that requests wait at the beginning for the server's own stream to be open: what it
asks on that stream before would be lost."""
MOST_RESUMES: Final = 6
"""Tries in a row to resume a stream that bring nothing new, until its request is given up."""
CLOSE_PATIENCE: Final = 2.0
"""Seconds for telling the server that the session ends."""
LINGER: Final = 0.2
"""Seconds that a server has to end a stream after the answer, before we do."""

_NEWER_ERRORS: Final = (HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION)
_OLDER: Final = (400, 404, 405)
"""What a server without this transport answers to a first POST."""


@attrs.define(eq=False)
class HttpChannel:
    """A conversation with a server over HTTP.

    `run` must be running while messages are sent. When the conversation has ended, `ending` says
    why in words, and `expired` whether it was only that the server has forgotten the session.
    `tool_params` are the parameters that go into headers too, by tool; its owner fills it.
    """

    name: str = attrs.field(kw_only=True)
    url: str = attrs.field(kw_only=True)
    network: Network = attrs.field(kw_only=True)
    headers: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, repr=False)
    authorizer: Authorizer | None = attrs.field(kw_only=True, default=None)
    limit: int = attrs.field(kw_only=True, default=10 * 1024 * 1024)
    timeouts: HttpTimeouts = attrs.field(kw_only=True, factory=HttpTimeouts)
    kind: Literal["auto", "streamable", "sse"] = attrs.field(kw_only=True, default="auto")
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
    _older: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._post_url = self.url
        self._ordered.set()
        self._exchange = Exchange(self.network, self.headers, self.authorizer, self.timeouts)

    def __repr__(self) -> str:
        state = "ENDED" if self._ended else "OPEN"
        transport = "HTTP+SSE" if self._older else "Streamable HTTP"
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
                        await self._say_goodbye()
        finally:
            self._end(self.ending)
            self._gone.set()

    async def _say_goodbye(self) -> None:
        """End the session at the server, if there is one."""
        if self._session is None or self.expired:
            return
        try:
            async with self._exchange.open("DELETE", self.url, self._legacy_headers()):
                pass
        except (RequestLost, Fatal, AuthorizationFailed) as error:
            log.debug("http.session_not_ended", server=self.name, reason=str(error))

    async def receive(self) -> Received:
        """Return the next message of the server, or what became of one of ours.

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
        """Begin to send a message; what becomes of a request is received.

        Raises:
          trio.BrokenResourceError: the conversation has ended.
        """
        self._begin(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Begin to send a message without waiting."""
        self._begin(message)
        return True

    def pause(self, request: RequestId) -> None:
        """Do nothing: a server's requests have no connections of their own."""

    async def aclose(self) -> None:
        """End the conversation, and wait until the server was told."""
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
                # In the stateless era the end of its stream is a request's cancellation.
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
        """POST a message when its turn has come, and see its answers through; a task."""
        method = message.get("method")
        request = message.get("id") if method is not None else None
        try:
            await after.wait()
            if first and self._speaks_older_first():
                await self._open_older()
            await self._post(message, request, first=first)
            if method == "notifications/initialized" and not self._older:
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
            return
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
                    await self._answered(response, message, request, first=first)
        finally:
            if modern and request is not None:
                self._running.pop(request, None)

    async def _answered(
        self, response: httpx.Response, message: Message, request: RequestId | None, *, first: bool
    ) -> None:
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status >= 400:
            await self._refused(response, message, request, first=first)
        elif request is None or self._older:
            if status == 200 and kind == "application/json":
                await read_whole(response, self.limit)
        elif kind == "text/event-stream":
            self._greeted(message, response)
            await self._follow(response, request, message)
        elif kind == "application/json":
            self._greeted(message, response)
            for found in _messages(await read_whole(response, self.limit)):
                self._take(found, request, message)
        else:
            raise RequestLost(f"HTTP {status} with {kind or 'no content'} in place of an answer")

    async def _refused(
        self, response: httpx.Response, message: Message, request: RequestId | None, *, first: bool
    ) -> None:
        status = response.status_code
        body = await read_whole(response, self.limit)
        told = [found for found in _messages(body) if "error" in found or "result" in found]
        if status == 404 and self._session is not None and message.get("method") != "initialize":
            self.expired = True
            raise Fatal("the server has forgotten the session", sent=False)
        if first and self._may_be_older(status, told) and request is not None:
            try:
                await self._open_older()
            except (RequestLost, Fatal) as neither:
                log.debug("http.no_older_transport", server=self.name, reason=str(neither))
            else:
                await self._post(message, request, first=False)
                return
        if told and request is not None:
            self._take({**told[0], "id": request}, request, message)
            return
        reason = f"HTTP {status} {response.reason_phrase}".rstrip()
        line = body.decode("utf-8", "replace").strip().partition("\n")[0][:200]
        reason += f": {line}" if line and not line.startswith("<") else ""
        if message.get("method") == "server/discover" and status < 500:
            error = {"code": int(METHOD_NOT_FOUND), "message": reason}
            self._deliver({"jsonrpc": "2.0", "id": request, "error": error})
            return
        raise RequestLost(reason, sent=status >= 500)

    def _may_be_older(self, status: int, told: list[Message]) -> bool:
        """Tell whether a first refusal may come from a server of HTTP+SSE alone.

        An error of the stateless era shows that it is not (MCP 2026-07-28, transports,
        backwards compatibility).
        """
        errors = [each["error"] for each in told if isinstance(each.get("error"), dict)]
        newer = any(error.get("code") in _NEWER_ERRORS for error in errors)
        return self.kind == "auto" and status in _OLDER and not newer

    def _greeted(self, message: Message, response: httpx.Response) -> None:
        if message.get("method") == "initialize":
            self._session = response.headers.get("mcp-session-id")

    def _take(self, found: Message, request: RequestId | None, asked: Message | None) -> None:
        """Hand a message of the server up."""
        if asked is not None and asked.get("method") == "initialize":
            result = found.get("result")
            if isinstance(result, dict) and found.get("id") == request:
                version = result.get("protocolVersion")
                self._version = version if isinstance(version, str) else None
        if "method" in found and request is not None:
            self._deliver(Arrived(found, request))
        else:
            self._deliver(found)

    # -- headers -----------------------------------------------------------------------------

    def _legacy_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        if self._version is not None:
            headers["MCP-Protocol-Version"] = self._version
        return headers

    # -- streams -----------------------------------------------------------------------------

    async def _follow(self, response: httpx.Response, request: RequestId, message: Message) -> None:
        """Take the events of a request's stream to its answer, resuming it where it ends early.

        Raises:
          RequestLost: the answer can not be had any more.
        """
        stream = SseStream(self.limit)
        if await self._drain(response, stream, request, message):
            return
        if stream.last is not None and stream.complete:
            self._deliver(Paused(request))
        resumes = 0
        while True:
            if stream.last is None:
                raise RequestLost(stream.why or "its stream ended before the answer")
            if resumes >= MOST_RESUMES:
                raise RequestLost(f"its stream could not be resumed: {stream.why}")
            await trio.sleep(stream.rest(resumes))
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
                    if await self._drain(again, stream, request, message):
                        return
            except (Fatal, RequestLost) as lost:
                if opened:
                    raise
                stream.why = lost.reason  # it may be there again at the next try
            if stream.events > before:
                resumes = 0

    async def _drain(
        self,
        response: httpx.Response,
        stream: SseStream,
        request: RequestId | None,
        message: Message | None,
    ) -> bool:
        """Take events until the answer has come (True) or the stream ends (False).

        A stream is left by its end or by cancellation, never by walking away: so nothing of it
        stays half read, and its connection can be used again where the server ends it soon.
        """
        stream.begin()
        answered = False
        too_large: EventTooLarge | None = None
        try:
            with trio.move_on_after(self.timeouts.idle) as quiet:
                async for chunk in response.aiter_bytes():
                    quiet.deadline = trio.current_time() + self.timeouts.idle
                    try:
                        for event in stream.take(chunk):
                            answered = self._event(event, request, message) or answered
                    except EventTooLarge as error:
                        too_large = error
                        quiet.cancel()
                    if answered:
                        quiet.deadline = trio.current_time() + LINGER
                stream.why, stream.complete = "it ended before the answer", True
        except self._exchange.broken as error:
            stream.why = f"it broke: {error}"
        if too_large is not None:
            raise RequestLost(f"its answer is too large: {too_large} (server.max_body_size)")
        if quiet.cancelled_caught:
            stream.why = f"nothing came for {self.timeouts.idle:g} s"
        return answered

    def _event(self, event: Event, request: RequestId | None, message: Message | None) -> bool:
        """Hand an event's message up; True where it is the answer."""
        if not event.data or event.event != "message":
            return False
        answered = False
        for found in _messages(event.data.encode()):
            self._take(found, request, message)
            if request is not None and "method" not in found and found.get("id") == request:
                answered = True
        return answered

    async def _open_stream(self) -> None:
        """Open the server's own stream; others wait for it, but not for long."""
        assert self._nursery is not None
        opened = trio.Event()
        self._nursery.start_soon(self._listen, opened)
        with trio.move_on_after(STREAM_FIRST):
            await opened.wait()

    async def _listen(self, opened: trio.Event) -> None:
        """Keep the server's own stream open as long as it offers one; a task."""
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
                            return  # the server has none, which is its right
                        opened.set()
                        await self._drain(response, stream, None, None)
                except (RequestLost, Fatal, AuthorizationFailed) as error:
                    log.debug("http.stream_lost", server=self.name, reason=str(error))
                tries = 0 if stream.events > before else tries + 1
                if tries > MOST_RESUMES:
                    return
                await trio.sleep(stream.rest(tries))
        finally:
            opened.set()

    # -- the older pair of endpoints -----------------------------------------------------------

    def _speaks_older_first(self) -> bool:
        path = self.url.partition("?")[0].rstrip("/")
        return self.kind == "sse" or (self.kind == "auto" and path.endswith("/sse"))

    async def _open_older(self) -> None:
        """Open the stream of HTTP+SSE, and learn where to POST (MCP 2024-11-05, transports).

        Raises:
          RequestLost, Fatal: the server has no such stream.
        """
        assert self._nursery is not None
        await self._nursery.start(self._listen_older)

    async def _listen_older(self, *, task_status: trio.TaskStatus[None]) -> None:
        stream = SseStream(self.limit)
        opened = False
        problem: EventTooLarge | Fatal | None = None
        try:
            async with self._exchange.open("GET", self.url, {}) as response:
                kind = response.headers.get("content-type", "")
                if response.status_code != 200 or "text/event-stream" not in kind:
                    raise RequestLost(f"no event stream: HTTP {response.status_code}", sent=False)
                stream.begin()
                with trio.CancelScope() as reading:
                    async for chunk in response.aiter_bytes():
                        try:
                            for event in stream.take(chunk):
                                if event.event == "endpoint" and not opened:
                                    self._post_url = self._endpoint(event.data)
                                    self._older = opened = True
                                    task_status.started()
                                elif opened:
                                    self._event(event, None, None)
                        except (EventTooLarge, Fatal) as error:
                            problem = error
                            reading.cancel()
        except self._exchange.broken as error:
            if not opened:
                raise RequestLost(f"the event stream broke: {error}", sent=False) from None
        if isinstance(problem, Fatal):
            raise problem
        if problem is not None:
            self._end(f"a message of the server is too large: {problem}")
        if not opened:
            raise RequestLost("the event stream named no endpoint", sent=False)
        self._end("the server ended its event stream")

    def _endpoint(self, given: str) -> str:
        from urllib.parse import urljoin

        endpoint = urljoin(self.url, given.strip())
        if not same_origin(self.url, endpoint):
            raise Fatal(
                f"the server names an endpoint at another origin, {described(endpoint)};"
                " credentials are not sent there",
                sent=False,
            )
        return endpoint


def _messages(body: bytes) -> list[Message]:
    """Return the messages in a body or an event; what is none is left out and logged."""
    if not body.strip():
        return []
    value = decode(body.strip())
    if isinstance(value, Malformed):
        log.debug("http.no_message", reason=value.reason)
        return []
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]
