"""HTTP responses from tool results and errors."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs

from mcpgw.backends.rate_limit import RateLimited
from mcpgw.pipeline.call import CallFailed, Recovery
from mcpgw.protocol.errors import (
    BACKEND_UNAVAILABLE,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_FOUND,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from mcpgw.shaping.results import blocks, dump, is_text, parse, texts

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

_STATUS_OF_RECOVERY: Final[Mapping[Recovery, int]] = {
    Recovery.INVALID_PARAM: 400,
    Recovery.TOOL_NOT_FOUND: 404,
    Recovery.BACKEND_ERROR: 502,
    Recovery.BACKEND_TIMEOUT: 504,
    Recovery.BACKEND_UNREACHABLE: 503,
    Recovery.CIRCUIT_OPEN: 503,
    Recovery.RATE_LIMITED: 429,
    Recovery.SERVER_DISABLED: 503,
    Recovery.TOOL_DISABLED: 503,
    Recovery.NOT_ALLOWED: 403,
    # The server refuses the gateway's credentials, not the client's.
    Recovery.NOT_AUTHORIZED: 502,
    Recovery.BUDGET_EXCEEDED: 429,
    Recovery.DUPLICATE_REQUEST: 409,
}
_STATUS_OF_CODE: Final[Mapping[int, int]] = {
    INVALID_PARAMS: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    NOT_FOUND: 404,
    RESOURCE_NOT_FOUND: 404,
    BACKEND_UNAVAILABLE: 503,
    INTERNAL_ERROR: 500,
}
_OTHER_CODE: Final = 502

_MEDIA: Final = re.compile(r"(image|audio)/[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}")
_SANDBOX: Final[Mapping[str, str]] = {"content-security-policy": "default-src 'none'; sandbox"}
"""For files that a server made: an SVG, opened as a page, could run scripts on our origin."""


@attrs.frozen
class Answer:
    """A complete response; `routes` adds the headers that all responses have."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict)


def from_result(result: Mapping[str, Any], accept: str = "") -> Answer:
    """Return the response for a tool's result.

    - A result with `isError` becomes a problem with status 422 and the tool's own message.
    - `structuredContent`, if present, is the body.
    - Else, with one content block: a text that is a JSON object or array is that JSON, any other
      text is `{"text": ...}`; an image or audio clip is sent as such if `accept` prefers its
      media type to JSON. Any other block is sent in its MCP form.
    - Else, with several blocks or none: the array of them.

    So the body matches a declared `outputSchema`, and is an object or an array without one.
    """
    found = dict(result)
    if found.get("isError") is True:
        return _failed(found)
    if found.get("structuredContent") is not None:
        return json_answer(found["structuredContent"])
    content = blocks(found)
    if len(content) != 1:
        return json_answer(content)
    block = content[0]
    if is_text(block):
        return json_answer(_text_body(block["text"]))
    return _raw(block, accept) or json_answer(block)


def _text_body(text: str) -> Any:
    try:
        found = parse(text)
    except RecursionError:
        found = None
    return {"text": text} if found is None else found


def _raw(block: Any, accept: str) -> Answer | None:
    """Return an image or audio clip as such, None for other blocks or if JSON is preferred."""
    if not isinstance(block, Mapping) or block.get("type") not in ("image", "audio"):
        return None
    media, data = block.get("mimeType"), block.get("data")
    if not isinstance(media, str) or not _MEDIA.fullmatch(media) or not isinstance(data, str):
        return None
    if quality(accept, media) <= quality(accept, JSON):
        return None
    try:
        return Answer(200, base64.b64decode(data, validate=True), media, _SANDBOX)
    except binascii.Error:
        return None


def _failed(result: dict[str, Any]) -> Answer:
    message = "\n".join(texts(result)) or "The tool failed without a message."
    more: dict[str, Any] = {}
    if result.get("structuredContent") is not None:
        more["data"] = result["structuredContent"]
    if others := [block for block in blocks(result) if not is_text(block)]:
        more["content"] = others
    return problem(422, message, title="The tool failed", **more)


def from_error(error: RpcError) -> Answer:
    """Return the response for an error; the kind of a `CallFailed` cause decides the status.

    `Retry-After` is set if a rate limit caused the error.
    """
    cause = error.__cause__
    headers: dict[str, str] = {}
    more: dict[str, Any] = {"code": error.code}
    status = _STATUS_OF_CODE.get(error.code, _OTHER_CODE)
    if isinstance(cause, CallFailed):
        status = _STATUS_OF_RECOVERY[cause.recovery]
        more["reason"] = cause.recovery.code
        if isinstance(cause.__cause__, RateLimited):
            headers["retry-after"] = str(math.ceil(cause.__cause__.retry_after))
    if error.data is not None:
        more["data"] = error.data
    return problem(status, error.message, headers=headers, **more)


def problem(
    status: int,
    detail: str,
    *,
    title: str = "",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Answer:
    """Return a problem response (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Answer(status, _json(body), PROBLEM, headers or {})


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return a JSON response."""
    return Answer(status, _json(value))


def _json(value: Any) -> bytes:
    try:
        return dump(value).encode()
    except UnicodeEncodeError:
        # JSON can escape a lone surrogate; UTF-8 cannot encode it.
        return json.dumps(value, separators=(",", ":")).encode()


def quality(accept: str, media_type: str) -> float:
    """Return the quality value of a media type, from 0 to 1 (RFC 9110, section 12.5.1).

    The most specific matching range counts; an empty header accepts everything.
    """
    if not accept.strip():
        return 1.0
    main = media_type.partition("/")[0]
    best, found = -1, 0.0
    for item in accept.lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        wanted = (media == "*/*", media == f"{main}/*", media == media_type.lower())
        if any(wanted) and wanted.index(True) > best:
            best, found = wanted.index(True), _weight(parameters)
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0
