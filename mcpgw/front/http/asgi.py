"""ASGI helpers of the HTTP front: headers, request bodies and responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

import attrs
import trio

from mcpgw.front.http.gateway_api import FrontChannel, GatewayApi, NoSuchTarget
from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.errors import INVALID_REQUEST, NOT_FOUND, ErrorCode, RpcError
from mcpgw.protocol.jsonrpc import Message, RequestId, encode

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]
HeaderList = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
EVENTS: Final[HeaderList] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""Headers of an event stream, which proxies must neither buffer nor change."""


@attrs.frozen
class Refusal(Exception):
    """A request is answered with an HTTP status and a JSON-RPC error.

    Args:
      status: the HTTP status.
      reason: what is wrong and what to do.
      code: the JSON-RPC error code in the body.
      id: the id of the refused request, if it could be read.
      headers: further headers of the response.
      data: the error's `data`.
    """

    status: int
    reason: str
    code: ErrorCode | int = INVALID_REQUEST
    id: RequestId | None = None
    headers: HeaderList = attrs.field(factory=list)
    data: Any = None

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"

    def body(self) -> bytes:
        """Return the JSON-RPC error, without an id if that could not be read."""
        message: Message = {"jsonrpc": "2.0"}
        if self.id is not None:
            message["id"] = self.id
        message["error"] = {"code": int(self.code), "message": self.reason}
        if self.data is not None:
            message["error"]["data"] = self.data
        return encode(message)


async def enter(
    gateway_api: GatewayApi,
    channel: FrontChannel,
    target: str | None,
    principal: str,
    request: RequestId | None = None,
    *,
    stateless: bool = False,
) -> None:
    """Start a session over a channel; see `GatewayApi.open`.

    Raises:
      Refusal: no server has this name (404), or it cannot be started (503).
    """
    try:
        await gateway_api.open(channel, target, principal, stateless=stateless)
    except NoSuchTarget as missing:
        raise Refusal(404, str(missing), NOT_FOUND, request) from None
    except RpcError as error:
        raise Refusal(503, error.message, error.code, request) from None


def headers_of(scope: Scope) -> Headers:
    """Return the headers by name; repeated ones are joined (RFC 9110, section 5.3).

    So a repeated header cannot bypass a check of the first: the joined value fails it.
    """
    known: Headers | None = scope["state"].get("headers")
    if known is None:
        pairs = scope["headers"]
        known = dict(pairs)
        if len(known) != len(pairs):
            known = {}
            for name, value in pairs:
                known[name] = known[name] + b", " + value if name in known else value
        scope["state"]["headers"] = known
    return known


def text(headers: Headers, name: bytes) -> str | None:
    """Return a header as text, None if it is missing."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


async def respond(send: Send, status: int, body: bytes = b"", headers: Iterable[Any] = ()) -> None:
    """Send a response with a complete body."""
    head = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, refusal: Refusal) -> None:
    """Send a refusal as response."""
    await respond(send, refusal.status, refusal.body(), [JSON, *refusal.headers])


async def read_body(headers: Headers, receive: Receive, settings: HttpSettings) -> bytes:
    """Return the body of a request.

    Raises:
      Refusal: it is too large (413, at once), too slow (408), or the client disconnected (400).
    """
    limit = settings.max_body_size
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise too_large(limit)
    with trio.move_on_after(settings.body_timeout):
        event = await receive()
        body: bytes = event.get("body", b"")
        if event.get("more_body"):
            body = await _read_on(bytearray(body), receive, limit)
        elif event["type"] == "http.disconnect":
            raise Refusal(400, "the connection closed before the whole body arrived")
        if len(body) > limit:
            raise too_large(limit)
        return body
    raise Refusal(408, f"the body took longer than {settings.body_timeout:g} s", headers=[CLOSE])


async def _read_on(body: bytearray, receive: Receive, limit: int) -> bytes:
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Refusal(400, "the connection closed before the whole body arrived")
        body += event.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        if not event.get("more_body"):
            return bytes(body)


CLOSE: Final = (b"connection", b"close")


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body over the limit."""
    return Refusal(
        413, f"the body is larger than {limit} bytes (server.max_body_size)", headers=[CLOSE]
    )


def check_json(headers: Headers) -> None:
    """Refuse a body whose Content-Type is not JSON in UTF-8 (415)."""
    given = headers.get(b"content-type", b"")
    if given != b"application/json" and not _is_json(given):
        raise Refusal(415, "send the message as Content-Type: application/json")


@lru_cache(maxsize=64)
def _is_json(content_type: bytes) -> bool:
    media, _, parameters = content_type.partition(b";")
    if media.strip().lower() != b"application/json":
        return False
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset" and value.strip(b' "').lower() not in (
            b"utf-8",
            b"utf8",
            b"us-ascii",
        ):
            return False
    return True


def check_accepts(headers: Headers, *needed: bytes) -> None:
    """Refuse a client that does not accept all needed media types (406).

    A missing `Accept` accepts everything (RFC 9110, section 12.5.1).
    """
    given = headers.get(b"accept")
    if given is not None and not _accepts(given, needed):
        names = " and ".join(name.decode() for name in needed)
        raise Refusal(406, f"the Accept header must name {names}")


@lru_cache(maxsize=64)
def _accepts(accept: bytes, needed: tuple[bytes, ...]) -> bool:
    accepted: dict[bytes, bool] = {}
    for item in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        accepted[media] = not any(_is_zero(parameter) for parameter in parameters)
    return all(_is_accepted(accepted, name) for name in needed)


@lru_cache(maxsize=64)
def names_events(accept: bytes | None) -> bool:
    """Return whether a client names event streams: one that accepts any type may not read them."""
    if accept is None:
        return False
    media = b"text/event-stream"
    return any(
        item.partition(b";")[0].strip() == media and _accepts(item, (media,))
        for item in accept.lower().split(b",")
    )


@lru_cache(maxsize=64)
def prefers_events(accept: bytes | None) -> bool:
    """Return whether a client lists event streams before plain JSON."""
    if accept is None:
        return False
    events, plain = accept.find(b"text/event-stream"), accept.find(b"application/json")
    return 0 <= events < plain


def _is_accepted(accepted: dict[bytes, bool], name: bytes) -> bool:
    for candidate in (name, name.partition(b"/")[0] + b"/*", b"*/*"):
        if candidate in accepted:
            return accepted[candidate]
    return False


def _is_zero(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and value.strip().rstrip(b"0") in (b"", b"0.", b".")
