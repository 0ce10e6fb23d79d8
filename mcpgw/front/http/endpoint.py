"""The Streamable HTTP endpoint: one path for all messages of a client.

It follows MCP 2025-11-25, Streamable HTTP, and the revisions before it; requests of the stateless
era are passed to `stateless.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.front.http.asgi import (
    CLOSE,
    Headers,
    Receive,
    Refusal,
    Scope,
    Send,
    check_accepts,
    check_json,
    enter,
    headers_of,
    prefers_events,
    read_body,
    refuse,
    respond,
    text,
)
from mcpgw.front.http.event_buffer import EventBuffer, MemoryBudget, UnknownEvent
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.front.http.responses import (
    FIRST_READER,
    priming,
    send_whole,
    stream,
    wait_last,
    wait_whole,
)
from mcpgw.front.http.sessions import HttpSession, HttpSessions
from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.http.stateless import PROFILE, StatelessEndpoint
from mcpgw.observe.log import get_logger
from mcpgw.protocol.jsonrpc import Malformed, Message, check, decode, valid_id
from mcpgw.protocol.mcp import (
    BATCH_VERSION,
    MODERN_VERSION,
    PROTOCOL_VERSIONS,
    VERSION_META,
)
from mcpgw.transports.sse_codec import COMMENT

log = get_logger("mcpgw.http")

PATH: Final = "/mcp"
ALLOW: Final = (b"allow", b"POST, GET, DELETE")
ALLOW_STATELESS: Final = (b"allow", b"POST")
PRIMED_SINCE: Final = "2025-11-25"
"""Older clients choke on events without data (SEP-1699)."""

SESSION: Final = b"mcp-session-id"
VERSION: Final = b"mcp-protocol-version"
_SESSION_HEADERS: Final = frozenset({SESSION, VERSION})
"""A client that sends one of these has a session, or should have one."""
_ANSWERS: Final = (b"application/json", b"text/event-stream")
"""Media types that a client with a session must accept: its answers have either."""
_SPACE: Final = b" \t\r\n"


def target_of(path: str, prefix: str) -> str | None:
    """Return the backend's name that follows the prefix of a path; ignore the rest of the path."""
    name = path[len(prefix) :].strip("/").partition("/")[0]
    return name or None


@attrs.define(eq=False)
class Endpoint:
    """`/mcp` and `/mcp/BACKEND` as one ASGI application.

    Args:
      gateway_api: the gateway.
      settings: the limits.
      memory_budget: the bound of all event streams together.
    """

    gateway_api: GatewayApi
    settings: HttpSettings
    memory_budget: MemoryBudget
    sessions: HttpSessions = attrs.field(init=False)
    stateless: StatelessEndpoint = attrs.field(init=False)
    closing: bool = False
    """The front is shutting down: requests are refused."""

    def __attrs_post_init__(self) -> None:
        self.sessions = HttpSessions(self.settings, self.memory_budget)
        self.stateless = StatelessEndpoint(self.gateway_api, self.settings, self.memory_budget)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if self.closing:
                raise Refusal(503, "the gateway is shutting down", headers=[CLOSE])
            target = target_of(scope["path"], PATH)
            principal: str = scope["state"]["principal"]
            headers = headers_of(scope)
            method = scope["method"]
            if method == "POST":
                await self._post(headers, target, principal, receive, send)
            elif method not in ("GET", "DELETE"):
                raise Refusal(405, f"{method} is not allowed on this path", headers=[ALLOW])
            elif text(headers, VERSION) == MODERN_VERSION:
                reason = f"MCP {MODERN_VERSION} allows only POST on this path"
                raise Refusal(405, reason, headers=[ALLOW_STATELESS])
            elif method == "GET":
                await self._get(headers, target, principal, receive, send)
            else:
                self.sessions.end(self._session(headers, target, principal))
                await respond(send, 204)
        except Refusal as refusal:
            await refuse(send, refusal)

    # -- POST ------------------------------------------------------------------------------

    async def _post(
        self, headers: Headers, target: str | None, principal: str, receive: Receive, send: Send
    ) -> None:
        check_json(headers)
        check_accepts(headers, b"application/json")
        body = await read_body(headers, receive, self.settings)
        message = decode(body.strip(_SPACE) if body[:1] in _SPACES else body)
        if isinstance(message, Malformed):
            raise Refusal(400, message.reason, message.code)
        if isinstance(message, list):
            check_accepts(headers, *_ANSWERS)
            await self._post_batch(message, headers, target, principal, receive, send)
            return
        if (fault := check(message)) is not None:
            known = message.get("id") if "method" in message else None
            raise Refusal(400, fault.message, fault.code, known if valid_id(known) else None)
        if "method" in message and is_stateless(message, headers):
            await self.stateless.post(message, headers, target, principal, receive, send)
            return
        if _is_single(message, headers):
            await self.stateless.post_without_session(
                message, headers, target, principal, receive, send
            )
            return
        check_accepts(headers, *_ANSWERS)
        if SESSION not in headers and message.get("method") == "initialize" and "id" in message:
            _apply_profile_header(message, headers)
            await self._initialize(message, target, principal, send)
        else:
            try:
                session = self._session(headers, target, principal)
                if "method" in message and "id" in message:
                    wait = 0.0 if prefers_events(headers.get(b"accept")) else None
                    await self._request(session, message, receive, send, wait)
                    return
            except Refusal as refusal:
                request_id = message.get("id") if "method" in message else None
                raise attrs.evolve(refusal, id=request_id) from None
            session.touch()
            await session.session_channel.inject(message)
            await respond(send, 202)

    async def _request(
        self,
        session: HttpSession,
        message: Message,
        receive: Receive,
        send: Send,
        wait: float | None = None,
    ) -> None:
        if session.session_channel.is_open(message["id"]):
            raise Refusal(400, f"a request with the id {message['id']!r} is still in flight")
        event_buffer = session.streams.open()
        with session.in_use():
            await session.session_channel.post(message, event_buffer)
            await self._answer(session, event_buffer, receive, send, wait)

    async def _answer(
        self,
        session: HttpSession,
        event_buffer: EventBuffer,
        receive: Receive,
        send: Send,
        wait: float | None = None,
    ) -> None:
        """Send the answer: as JSON if it comes within `wait` seconds and first, else as a stream.

        Args:
          session, event_buffer: where the answer arrives.
          receive, send: the connection.
          wait: 0 streams at once; None is `settings.answer_wait`.
        """
        answer = None
        if wait != 0.0:
            answer = await wait_whole(event_buffer, self.settings.answer_wait)
        if answer is not None:
            await send_whole(send, 200, answer)
            return
        session.streams.keep(event_buffer)
        first = self._first(session, event_buffer, 0)
        await stream(event_buffer, FIRST_READER, first, receive, send, self.settings)

    def _first(self, session: HttpSession, event_buffer: EventBuffer, number: int) -> bytes:
        if session.version >= PRIMED_SINCE:
            return priming(event_buffer, self.settings, number)
        return COMMENT

    async def _post_batch(
        self,
        messages: list[Any],
        headers: Headers,
        target: str | None,
        principal: str,
        receive: Receive,
        send: Send,
    ) -> None:
        session = self._session(headers, target, principal) if SESSION in headers else None
        if session is None or session.version != BATCH_VERSION:
            reason = f"only MCP {BATCH_VERSION} allows batches: send one message per POST"
            raise Refusal(400, reason)
        faults = [
            not isinstance(message, dict)
            or check(message) is not None
            or message.get("method") == "initialize"
            for message in messages
        ]
        if not messages or any(faults):
            reason = "a batch must be an array of one or more messages other than initialize"
            raise Refusal(400, reason)
        ids = [message["id"] for message in messages if "method" in message and "id" in message]
        if len(set(ids)) != len(ids) or any(map(session.session_channel.is_open, ids)):
            raise Refusal(400, "each request of a batch must have its own id")
        if not ids:
            session.touch()
            await session.session_channel.inject(messages)
            await respond(send, 202)
            return
        event_buffer = session.streams.open()
        with session.in_use():
            await session.session_channel.post_batch(messages, event_buffer)
            await self._answer(session, event_buffer, receive, send)

    async def _initialize(
        self, message: Message, target: str | None, principal: str, send: Send
    ) -> None:
        """Start a session; drop it if its `initialize` is refused."""
        session = self.sessions.make(principal, target)
        event_buffer = EventBuffer(self.settings, self.memory_budget)
        opened = False
        try:
            await self._open(session, message)
            await session.session_channel.post(message, event_buffer)
            answer = await wait_last(event_buffer)
            if answer is None:
                raise Refusal(503, "the session ended during initialize", id=message["id"])
            result = json.loads(answer).get("result")
            if isinstance(result, dict):
                session.version = str(result.get("protocolVersion", ""))
                self.sessions.add(session)
                opened = True
        finally:
            if not opened:
                self.sessions.give_up(session)
        await send_whole(send, 200, answer, [(SESSION, session.id.encode())] if opened else None)

    async def _open(self, session: HttpSession, message: Message) -> None:
        await enter(
            self.gateway_api,
            session.session_channel,
            session.target,
            session.principal,
            message["id"],
        )

    # -- sessions and GET ------------------------------------------------------------------

    def _session(self, headers: Headers, target: str | None, principal: str) -> HttpSession:
        session_id = text(headers, SESSION)
        if session_id is None:
            raise Refusal(400, "the Mcp-Session-Id header is missing; send initialize first")
        session = self.sessions.find(session_id, principal, target)
        version = text(headers, VERSION)
        if version is not None and version not in PROTOCOL_VERSIONS:
            supported = ", ".join(PROTOCOL_VERSIONS)
            reason = f"MCP-Protocol-Version {version!r:.40} must be one of {supported}"
            raise Refusal(400, reason)
        return session

    async def _get(
        self, headers: Headers, target: str | None, principal: str, receive: Receive, send: Send
    ) -> None:
        session = self._session(headers, target, principal)
        check_accepts(headers, b"text/event-stream")
        last = text(headers, b"last-event-id")
        if last is not None:
            event_buffer = self._resume(session, last)
            first = COMMENT
        else:
            # A reader that is still there may be a connection that broke without a trace.
            event_buffer = session.streams.standalone
            first = self._first(session, event_buffer, event_buffer.taken)
        with session.in_use():
            await stream(event_buffer, event_buffer.attach(), first, receive, send, self.settings)

    def _resume(self, session: HttpSession, last: str) -> EventBuffer:
        try:
            event_buffer, after = session.streams.find(last)
            lost = event_buffer.resume(after)
        except UnknownEvent:
            reason = f"no stream of the session has the event {last!r:.60}, or it is no longer kept"
            raise Refusal(400, reason) from None
        if lost:
            log.warning("http.messages_lost", count=lost, hint="increase streaming.buffer_size")
        return event_buffer


def _is_single(message: Message, headers: Headers) -> bool:
    """Return whether a message is a request for which the client has no session and opens none."""
    return (
        "method" in message
        and "id" in message
        and message["method"] != "initialize"
        and not _SESSION_HEADERS & headers.keys()
    )


def _apply_profile_header(message: Message, headers: Headers) -> None:
    """Set the `profile` parameter of `initialize` from its header, if that is given."""
    profile = text(headers, PROFILE)
    if profile is not None and "profile" not in (message.get("params") or {}):
        message["params"] = {**(message.get("params") or {}), "profile": profile}


_SPACES: Final = frozenset(bytes([byte]) for byte in _SPACE)


def is_stateless(message: Mapping[str, Any], headers: Headers) -> bool:
    """Return whether a message is of the stateless era, by its body or its header."""
    params = message.get("params")
    if params is not None:
        meta = params.get("_meta")
        if meta.__class__ is dict and VERSION_META in meta:
            return True
    return headers.get(VERSION) == MODERN_VERSION.encode()
