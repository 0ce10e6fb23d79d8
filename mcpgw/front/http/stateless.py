"""Requests of the stateless era (MCP 2026-07-28): each is complete, with its own headers.

One long-lived peer for each backend and principal serves them all, each with a session state of its
own. It also serves single requests that name no revision, such as those of a script with `curl`.

A client that names `text/event-stream` in its `Accept` header gets an event stream if the answer
takes longer than `status_wait`; all others get one JSON message, however long it takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from mcpgw.front.http.asgi import (
    CLOSE,
    Headers,
    Receive,
    Refusal,
    Send,
    enter,
    names_events,
    respond,
    text,
)
from mcpgw.front.http.event_buffer import EventBuffer, MemoryBudget
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.front.http.responses import (
    FIRST_READER,
    send_whole,
    stream,
    wait_whole,
    watched,
)
from mcpgw.front.http.session_channel import SessionChannel
from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.http.standard_headers import HeaderCheck
from mcpgw.protocol.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
)
from mcpgw.protocol.jsonrpc import Message
from mcpgw.protocol.mcp import CAPABILITIES_META, MODERN_VERSION, PROFILE_META, VERSION_META
from mcpgw.transports.sse_codec import COMMENT

STATUS: Final[dict[int, int]] = {
    int(PARSE_ERROR): 400,
    int(INVALID_REQUEST): 400,
    int(INVALID_PARAMS): 400,
    int(HEADER_MISMATCH): 400,
    int(MISSING_CAPABILITY): 400,
    int(UNSUPPORTED_VERSION): 400,
    int(METHOD_NOT_FOUND): 404,
}
"""The HTTP status of a response by its error code; 200 for all others (MCP 2026-07-28)."""


PROFILE: Final = b"x-mcp-profile"
"""The header that names the routing profile of a session, or of a request without one."""
_OPEN_ENDED: Final = "subscriptions/listen"
"""A request whose answer comes when the stream ends, so it needs a stream."""


@attrs.define(eq=False)
class StatelessEndpoint:
    """Answers requests that need no session.

    Args:
      gateway_api: the gateway.
      settings: the limits.
      memory_budget: the bound of all event streams together.
    """

    gateway_api: GatewayApi
    settings: HttpSettings
    memory_budget: MemoryBudget
    _check: HeaderCheck = attrs.field(init=False)
    _channels: dict[tuple[str | None, str], SessionChannel] = attrs.field(factory=dict)
    _opening: dict[tuple[str | None, str], trio.Lock] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._check = HeaderCheck(self.gateway_api)

    async def post(
        self,
        message: Message,
        headers: Headers,
        target: str | None,
        principal: str,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request. A notification is accepted and ignored: this era has none by POST.

        Raises:
          Refusal: its headers do not match its body (400), or no backend has this name (404).
        """
        if "id" not in message:
            await respond(send, 202)
            return
        self._check(message, headers, target)
        await self._serve(message, headers, target, principal, STATUS, receive, send)

    async def post_without_session(
        self,
        message: Message,
        headers: Headers,
        target: str | None,
        principal: str,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request that names neither a revision nor a session.

        It is treated as one of this era without its headers. The HTTP status of an error is 200,
        as in the revisions with a handshake.

        Raises:
          Refusal: no backend has this name (404).
        """
        params = message.get("params") or {}
        meta = params.get("_meta")
        own = {VERSION_META: MODERN_VERSION, CAPABILITIES_META: {}}
        carried = {**meta, **own} if isinstance(meta, dict) else own
        message = {**message, "params": {**params, "_meta": carried}}
        await self._serve(message, headers, target, principal, {}, receive, send)

    async def _serve(
        self,
        message: Message,
        headers: Headers,
        target: str | None,
        principal: str,
        statuses: Mapping[int, int],
        receive: Receive,
        send: Send,
    ) -> None:
        streams = names_events(headers.get(b"accept"))
        if not streams and message["method"] == _OPEN_ENDED:
            raise Refusal(406, "the Accept header must name text/event-stream", id=message["id"])
        session_channel = await self._channel(target, principal, message)
        event_buffer = EventBuffer(self.settings, self.memory_budget, answer_only=not streams)
        try:
            await session_channel.post(_with_profile(message, headers), event_buffer)
            answer = await wait_whole(event_buffer, self.settings.answer_wait)
            if answer is None and not event_buffer.ended:
                longest = self.settings.status_wait if streams else math.inf
                async with watched(receive) as watch:
                    answer = await wait_whole(event_buffer, longest)
                if watch.disconnected:
                    return
            if answer is not None:
                await send_whole(send, statuses.get(event_buffer.failure or 0, 200), answer)
            elif streams:
                await stream(event_buffer, FIRST_READER, COMMENT, receive, send, self.settings)
            else:
                reason = "the gateway is shutting down"
                raise Refusal(503, reason, INTERNAL_ERROR, message["id"], headers=[CLOSE])
        finally:
            # A client of this era cancels by closing the stream.
            session_channel.abandon(event_buffer)

    async def _channel(
        self, target: str | None, principal: str, message: Message
    ) -> SessionChannel:
        key = (target, principal)
        session_channel = self._channels.get(key)
        if session_channel is not None and not session_channel.is_dead:
            return session_channel
        lock = self._opening.setdefault(key, trio.Lock())
        try:
            async with lock:
                session_channel = self._channels.get(key)
                if session_channel is None or session_channel.is_dead:
                    session_channel = SessionChannel(rewrite_ids=True)
                    await enter(
                        self.gateway_api,
                        session_channel,
                        target,
                        principal,
                        message["id"],
                        stateless=True,
                    )
                    self._channels[key] = session_channel
                return session_channel
        finally:
            if not lock.statistics().tasks_waiting:
                self._opening.pop(key, None)

    def close(self) -> None:
        """Accept no more requests; answers are still sent."""
        for session_channel in self._channels.values():
            session_channel.close()

    def end_streams(self) -> None:
        """End every stream, answered or not."""
        for session_channel in self._channels.values():
            session_channel.end()


def _with_profile(message: Message, headers: Headers) -> Message:
    """Return the message with the routing profile of its header in `_meta`."""
    profile = text(headers, PROFILE)
    params = message.get("params") or {}
    meta = params.get("_meta")
    if profile is None or not isinstance(meta, dict) or PROFILE_META in meta:
        return message
    return {**message, "params": {**params, "_meta": {**meta, PROFILE_META: profile}}}
