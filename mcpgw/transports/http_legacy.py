"""The legacy HTTP+SSE transport, client side (MCP 2024-11-05, transports), and its detection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin

import trio

from mcpgw.protocol.errors import HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION
from mcpgw.protocol.jsonrpc import Message
from mcpgw.transports.http_exchange import Exchange, Fatal, RequestLost, described, same_origin
from mcpgw.transports.sse_codec import Event, EventTooLarge
from mcpgw.transports.sse_stream import SseStream

_NEWER_ERRORS: Final = (HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION)
_LEGACY_STATUSES: Final = (400, 404, 405)
"""The statuses with which a server without Streamable HTTP answers the first POST."""


def has_legacy_path(url: str) -> bool:
    """Return whether a URL looks like that of an HTTP+SSE stream."""
    return url.partition("?")[0].rstrip("/").endswith("/sse")


def may_be_legacy(status: int, answers: list[Message]) -> bool:
    """Return whether the first POST may have failed because the server has only HTTP+SSE.

    An error code of the stateless era rules that out (MCP 2026-07-28, transports, backwards
    compatibility).
    """
    errors = [each["error"] for each in answers if isinstance(each.get("error"), dict)]
    newer = any(error.get("code") in _NEWER_ERRORS for error in errors)
    return status in _LEGACY_STATUSES and not newer


async def read_legacy_stream(
    exchange: Exchange,
    url: str,
    limit: int,
    *,
    opened: Callable[[str], None],
    event: Callable[[Event], object],
) -> str:
    """Read an HTTP+SSE stream until the server ends it; return why it ended.

    Args:
      exchange: sends the request.
      url: the stream.
      limit: the largest message accepted, in bytes.
      opened: called once with the URL to POST to.
      event: called with each further event.

    Raises:
      RequestLost, Fatal: the server does not offer this stream.
    """
    stream = SseStream(limit)
    is_open = False
    problem: EventTooLarge | Fatal | None = None
    try:
        async with exchange.open("GET", url, {}) as response:
            kind = response.headers.get("content-type", "")
            if response.status_code != 200 or "text/event-stream" not in kind:
                reason = f"no event stream: HTTP {response.status_code}"
                raise RequestLost(reason, sent=False)
            stream.begin()
            with trio.CancelScope() as reading:
                async for chunk in response.aiter_bytes():
                    try:
                        for each in stream.take(chunk):
                            if each.event == "endpoint" and not is_open:
                                opened(_endpoint(url, each.data))
                                is_open = True
                            elif is_open:
                                event(each)
                    except (EventTooLarge, Fatal) as error:
                        problem = error
                        reading.cancel()
    except exchange.broken as error:
        if not is_open:
            raise RequestLost(f"the event stream broke: {error}", sent=False) from None
    if isinstance(problem, Fatal):
        raise problem
    if problem is not None and is_open:
        return f"a message from the server is too large: {problem}"
    if not is_open:
        raise RequestLost("the event stream sent no endpoint", sent=False)
    return "the server ended its event stream"


def _endpoint(url: str, given: str) -> str:
    endpoint = urljoin(url, given.strip())
    if not same_origin(url, endpoint):
        raise Fatal(
            f"the server sent an endpoint at another origin, {described(endpoint)};"
            " credentials are not sent there",
            sent=False,
        )
    return endpoint
