"""The session of a Streamable HTTP conversation, and how to tell that the server forgot it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.protocol.jsonrpc import Message, encode, is_response
from mcpgw.transports.http_exchange import (
    Exchange,
    Fatal,
    RequestLost,
    read_messages,
    read_whole,
)
from mcpgw.transports.sse_codec import EventParser

if TYPE_CHECKING:
    import httpx

HEADER: Final = "Mcp-Session-Id"
_PING: Final = encode({"jsonrpc": "2.0", "id": "mcp-gateway-session", "method": "ping"})[:-1]
_PING_LIMIT: Final = 64 * 1024
"""Bytes that the answer to a ping may have."""
_NO_SESSION_CODE: Final = -32001
"""The JSON-RPC code of "Session not found" in servers made with the TypeScript SDK."""
_ABOUT_SESSIONS: Final = re.compile(r"session|not initialized", re.IGNORECASE)


class SessionForgotten(Exception):
    """The server no longer knows the session of a request, and so did not process it."""

    def __str__(self) -> str:
        return "the server no longer knows the session"


@attrs.define
class HttpSession:
    """The session id and the protocol revision that a server has given us, if any."""

    id: str | None = attrs.field(default=None, repr=False)
    version: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that requests of the handshake revisions carry."""
        headers: dict[str, str] = {}
        if self.id is not None:
            headers[HEADER] = self.id
        if self.version is not None:
            headers["MCP-Protocol-Version"] = self.version
        return headers

    def begin(self, response: httpx.Response) -> None:
        """Take the session id of the response to `initialize`."""
        self.id = response.headers.get(HEADER.lower())

    def agree(self, result: Any) -> None:
        """Take the protocol revision of the result of `initialize`."""
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        self.version = version if isinstance(version, str) else None

    async def forgotten(self, exchange: Exchange, url: str) -> bool:
        """Ask the server with a ping whether it still knows the session.

        Servers tell a lost session in many ways: with 400 and a JSON-RPC error (servers after the
        TypeScript SDK's example), 400 and plain text, 401, or 200 and an error. In all of these
        cases a ping in the session fails too.
        """
        if self.id is None:
            return False
        try:
            async with exchange.open(
                "POST", url, self.headers(), _PING, challenges=False
            ) as response:
                status = response.status_code
                if status != 429 and 400 <= status < 500:
                    return True
                bodies = [await read_whole(response, _PING_LIMIT)]
                if "text/event-stream" in response.headers.get("content-type", ""):
                    events = EventParser(_PING_LIMIT).feed(bodies[0])
                    bodies = [event.data.encode() for event in events]
        except (RequestLost, Fatal):
            return False
        if status >= 500:
            return mentions_session(bodies[0])
        found = [each for body in bodies for each in read_messages(body)]
        return any(isinstance(each, dict) and is_about_session(each) for each in found)


def mentions_session(body: bytes) -> bool:
    """Return whether the text of an error may be about a session."""
    return _ABOUT_SESSIONS.search(body[:2000].decode("utf-8", "replace")) is not None


def is_about_session(message: Message) -> bool:
    """Return whether a response may be an error because of its session."""
    error = message.get("error")
    if not is_response(message) or not isinstance(error, dict):
        return False
    words = error.get("message")
    return error.get("code") == _NO_SESSION_CODE or (
        isinstance(words, str) and _ABOUT_SESSIONS.search(words[:500]) is not None
    )
