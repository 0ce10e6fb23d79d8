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
from mcpgw.protocol.channel import Failed, Received
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.header_params import HeaderParam, modern_headers
from mcpgw.protocol.jsonrpc import Message, RequestId, encode
from mcpgw.protocol.mcp import is_modern
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.http_exchange import Exchange, Fatal, HttpTimeouts, RequestLost, described
from mcpgw.transports.http_legacy import has_legacy_path, may_be_legacy, read_legacy_stream
from mcpgw.transports.http_responses import HttpResponses
from mcpgw.transports.http_session import HttpSession, SessionForgotten
from mcpgw.transports.http_streams import listen

if TYPE_CHECKING:
    import httpx

    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.http")

STREAM_FIRST: Final = 0.5
"""Seconds that the first requests wait for the server's standalone stream to open: requests that
the server sends on it earlier would be lost."""
CLOSE_PATIENCE: Final = 2.0  # seconds for the DELETE that ends the session
CLOSING_GRACE: Final = 2.0
"""Seconds that requests in flight have to fail by themselves once the session is forgotten or the
server cannot be reached."""


@attrs.define(eq=False)
class HttpChannel:
    """A conversation with a server over HTTP.

    `run` must be running while messages are sent. After the end of the conversation `ending` is the
    reason. If the server cannot be reached or no longer knows the session (`expired`), `closing` is
    set before the end: nothing more is sent, and the requests in flight fail.

    Args:
      name: the server's name, for logs and errors.
      url: the endpoint.
      network: TLS and proxies.
      headers: further headers of every request.
      authorizer: provides credentials, if the server needs any.
      limit: the largest message accepted, in bytes.
      timeouts: the time limits.
      kind: the transport; `auto` detects it.
      redactor: knows the secrets that a response may repeat.
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
    closing: trio.Event = attrs.field(init=False, factory=trio.Event)
    _carrying: int = attrs.field(init=False, default=0)
    _carried: trio.lowlevel.ParkingLot = attrs.field(init=False, factory=trio.lowlevel.ParkingLot)
    _session: HttpSession = attrs.field(init=False, factory=HttpSession)
    _responses: HttpResponses = attrs.field(init=False)
    _post_url: str = attrs.field(init=False)
    _legacy: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._post_url = self.url
        self._ordered.set()
        self._exchange = Exchange(self.network, self.headers, self.authorizer, self.timeouts)
        self._responses = HttpResponses(
            self.name,
            self.url,
            self.limit,
            self._exchange,
            self._session,
            self._deliver,
            self.redactor,
        )

    def __repr__(self) -> str:
        state = "ENDED" if self._ended else "OPEN"
        transport = "HTTP+SSE" if self._legacy else "Streamable HTTP"
        return (
            f"<HttpChannel {self.name!r} {described(self.url)} {transport} {state}"
            f" session={self._session.id is not None} running={len(self._running)}>"
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
        if self._session.id is None or self.expired:
            return
        try:
            async with self._exchange.open("DELETE", self.url, self._session.headers()):
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
        if self._ended or self.closing.is_set() or self._nursery is None:
            raise trio.BrokenResourceError("the conversation has ended")
        body = encode(message)[:-1]
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
        self._carrying += 1
        self._nursery.start_soon(self._carry, message, body, after, done, first)

    async def _carry(
        self,
        message: Message,
        body: bytes,
        after: trio.Event,
        done: trio.Event | None,
        first: bool,
    ) -> None:
        """POST a message in its turn and process the response; runs as a task."""
        method = message.get("method")
        request = message.get("id") if method is not None else None
        try:
            await after.wait()
            auto = self.kind == "auto" and has_legacy_path(self.url)
            if first and (self.kind == "sse" or auto):
                await self._open_legacy()
            await self._post(message, body, request, first=first)
            if method == "notifications/initialized" and not self._legacy:
                await self._open_stream()
        except RequestLost as lost:
            self._lose(request, lost)
        except AuthorizationFailed as refused:
            self._lose(request, RequestLost(refused.reason, sent=False))
        except SessionForgotten as forgotten:
            if request is not None:
                self._deliver(Failed(request, ConnectionLost(self.name, sent=False)))
            self.expired = True
            self._close_soon(str(forgotten))
        except Fatal as fatal:
            if request is not None:
                self._deliver(Failed(request, ConnectionLost(self.name, sent=fatal.sent)))
            self._close_soon(fatal.reason)
        finally:
            self._carrying -= 1
            self._carried.unpark_all()
            if done is not None:
                done.set()

    def _close_soon(self, reason: str) -> None:
        """Send nothing more, and end when the requests in flight have failed too.

        Only the failure of a request itself proves that it had no effect.
        """
        if not self.closing.is_set() and self._nursery is not None:
            self.closing.set()
            self._nursery.start_soon(self._end_after_requests, reason)

    async def _end_after_requests(self, reason: str) -> None:
        with trio.move_on_after(CLOSING_GRACE):
            while self._carrying:
                await self._carried.park()
        self._end(reason)

    def _lose(self, request: RequestId | None, lost: RequestLost) -> None:
        if request is None:
            log.debug("http.message_lost", server=self.name, reason=lost.reason)
            return
        error = ConnectionLost(self.name, lost.sent, lost.reason, lost.retry_after, lost.refused)
        self._deliver(Failed(request, error))

    async def _post(
        self, message: Message, body: bytes, request: RequestId | None, *, first: bool
    ) -> None:
        params = message.get("params") or {}
        modern = request is not None and is_modern(params)
        headers = (
            modern_headers(message, params, self.tool_params) if modern else self._session.headers()
        )
        scope = trio.CancelScope()
        if modern and request is not None:
            self._running[request] = scope
        try:
            with scope:
                async with self._exchange.open(
                    "POST", self._post_url, headers, body, refused=self._responses.check_session
                ) as response:
                    if response.status_code < 400:
                        await self._responses.read(response, message, request, legacy=self._legacy)
                    else:
                        await self._refused(response, message, body, request, first=first)
        finally:
            if modern and request is not None:
                self._running.pop(request, None)

    async def _refused(
        self,
        response: httpx.Response,
        message: Message,
        body: bytes,
        request: RequestId | None,
        *,
        first: bool,
    ) -> None:
        """Process an error status; the first one may mean that the server has only HTTP+SSE."""
        refusal = await self._responses.read_refusal(response, message)
        unsure = first and self.kind == "auto" and request is not None
        if unsure and may_be_legacy(response.status_code, refusal.answers):
            try:
                await self._open_legacy()
            except (RequestLost, Fatal) as error:
                log.debug("http.legacy_transport_failed", server=self.name, reason=str(error))
            else:
                await self._post(message, body, request, first=False)
                return
        self._responses.refuse(refusal, message, request)

    # -- streams -----------------------------------------------------------------------------

    async def _open_stream(self) -> None:
        """Open the server's standalone stream; wait up to `STREAM_FIRST` seconds for it."""
        assert self._nursery is not None
        opened = trio.Event()
        self._nursery.start_soon(self._listen, opened)
        with trio.move_on_after(STREAM_FIRST):
            await opened.wait()

    async def _listen(self, opened: trio.Event) -> None:
        """Keep the server's standalone stream open, if it offers one; runs as a task."""
        await listen(
            self._exchange,
            self.url,
            self.limit,
            name=self.name,
            headers=self._session.headers,
            take=self._responses.take_event,
            open_=lambda: not self._ended,
            opened=opened,
        )

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
            event=self._responses.take_event,
        )
        self._end(ending)
