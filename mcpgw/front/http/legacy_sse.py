"""The legacy HTTP+SSE transport: one path for the event stream, one to POST messages to.

MCP 2024-11-05, HTTP with SSE. Deprecated since 2025-03-26; kept for clients that support nothing
newer.
"""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import parse_qs

import attrs

from mcpgw.front.http.asgi import (
    CLOSE,
    Receive,
    Refusal,
    Scope,
    Send,
    check_accepts,
    check_json,
    enter,
    headers_of,
    read_body,
    refuse,
    respond,
)
from mcpgw.front.http.endpoint import target_of
from mcpgw.front.http.event_buffer import EventBuffer, MemoryBudget
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.front.http.responses import stream
from mcpgw.front.http.session_channel import SessionChannel
from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.errors import INTERNAL_ERROR
from mcpgw.protocol.jsonrpc import Malformed, check, decode
from mcpgw.transports.sse_codec import Event, encode_event

PATH: Final = "/sse"
POST_PATH: Final = "/messages"


@attrs.frozen
class _Session:
    principal: str
    session_channel: SessionChannel
    event_buffer: EventBuffer


@attrs.define(eq=False)
class LegacySse:
    """`/sse`, `/sse/BACKEND` and `/messages` as one ASGI application.

    A session lasts as long as its stream.

    Args:
      gateway_api: the gateway.
      settings: the limits.
      memory_budget: the bound of all event streams together.
    """

    gateway_api: GatewayApi
    settings: HttpSettings
    memory_budget: MemoryBudget
    closing: bool = False
    """The front is shutting down: requests are refused."""
    _sessions: dict[str, _Session] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self._sessions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if self.closing:
                raise Refusal(503, "the gateway is shutting down", headers=[CLOSE])
            posts = scope["path"] == POST_PATH
            wanted = "POST" if posts else "GET"
            if scope["method"] != wanted:
                reason = f"{scope['method']} is not allowed on this path"
                raise Refusal(405, reason, headers=[(b"allow", wanted.encode())])
            if posts:
                await self._post(scope, receive, send)
            else:
                await self._listen(scope, receive, send)
        except Refusal as refusal:
            await refuse(send, refusal)

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_accepts(headers_of(scope), b"text/event-stream")
        if len(self._sessions) >= self.settings.max_sessions:
            raise Refusal(
                503, "too many sessions are open (streaming.max_sessions)", INTERNAL_ERROR
            )
        principal: str = scope["state"]["principal"]
        event_buffer = EventBuffer(self.settings, self.memory_budget)
        session_channel = SessionChannel(event_buffer)
        await enter(self.gateway_api, session_channel, target_of(scope["path"], PATH), principal)
        session_id = secrets.token_urlsafe(24)
        self._sessions[session_id] = _Session(principal, session_channel, event_buffer)
        address = f"{scope.get('root_path', '')}{POST_PATH}?sessionId={session_id}"
        first = encode_event(Event(address, event="endpoint"))
        try:
            await stream(event_buffer, event_buffer.attach(), first, receive, send, self.settings)
        finally:
            del self._sessions[session_id]
            session_channel.drop()

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        session = self._sessions.get(query.get("sessionId", [""])[0])
        if session is None or session.principal != scope["state"]["principal"]:
            raise Refusal(404, "no such session: its stream has ended; open a new one")
        check_json(headers)
        message = decode((await read_body(headers, receive, self.settings)).strip())
        if isinstance(message, Malformed):
            raise Refusal(400, message.reason, message.code)
        if isinstance(message, dict):
            if (fault := check(message)) is not None:
                raise Refusal(400, fault.message, fault.code)
            if "method" in message and "id" in message:
                if session.session_channel.is_open(message["id"]):
                    reason = f"a request with the id {message['id']!r} is still in flight"
                    raise Refusal(400, reason)
                await session.session_channel.post(message, session.event_buffer)
                await respond(send, 202)
                return
        await session.session_channel.inject(message)
        await respond(send, 202)

    async def finish(self) -> None:
        """End each session once its requests are answered."""
        self.closing = True
        for session in tuple(self._sessions.values()):
            session.session_channel.close()
        for session in tuple(self._sessions.values()):
            await session.session_channel.settled()
            session.event_buffer.end()

    def end_streams(self) -> None:
        """End every stream, answered or not."""
        for session in self._sessions.values():
            session.session_channel.end()
