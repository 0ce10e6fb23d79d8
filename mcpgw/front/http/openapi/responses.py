"""What a tool gave, or how it failed, as an answer of HTTP."""

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
    # It is the gateway's credentials that the server refuses, not the client's.
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
_SHUT: Final[Mapping[str, str]] = {"content-security-policy": "default-src 'none'; sandbox"}
"""For bytes of a server's making: an SVG, opened as a page, could run scripts here."""


@attrs.frozen
class Answer:
    """A whole answer; what every answer has besides is added where it is sent."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict)


def from_result(result: Mapping[str, Any], accept: str = "") -> Answer:
    """Answer with a tool's result.

    - A result with `isError` is a problem with status 422 and the tool's own words.
    - `structuredContent`, where there is any, is the answer.
    - Else, of one content block: a text that is a JSON object or array is that JSON, another
      text is `{"text": ...}`; an image or audio clip is sent as itself where `accept` prefers
      its media type to JSON. Any other block is sent as MCP has it.
    - Else, of several blocks or none: the array of them.

    So a declared `outputSchema` holds, and without one the answer is an object or an array.
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
        return json_answer(_spoken(block["text"]))
    return _raw(block, accept) or json_answer(block)


def _spoken(text: str) -> Any:
    try:
        found = parse(text)
    except RecursionError:
        found = None
    return {"text": text} if found is None else found


def _raw(block: Any, accept: str) -> Answer | None:
    """Return an image or audio clip as itself, None where it is none or JSON will do."""
    if not isinstance(block, Mapping) or block.get("type") not in ("image", "audio"):
        return None
    media, data = block.get("mimeType"), block.get("data")
    if not isinstance(media, str) or not _MEDIA.fullmatch(media) or not isinstance(data, str):
        return None
    if quality(accept, media) <= quality(accept, JSON):
        return None
    try:
        return Answer(200, base64.b64decode(data, validate=True), media, _SHUT)
    except binascii.Error:
        return None


def _failed(result: dict[str, Any]) -> Answer:
    said = "\n".join(texts(result)) or "The tool failed and does not say why."
    more: dict[str, Any] = {}
    if result.get("structuredContent") is not None:
        more["data"] = result["structuredContent"]
    if others := [block for block in blocks(result) if not is_text(block)]:
        more["content"] = others
    return problem(422, said, title="The tool failed", **more)


def from_error(error: RpcError) -> Answer:
    """Answer with an error; a `CallFailed` that is its cause tells the status best.

    `Retry-After` is given where the way of the call knows it.
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
    """Answer with a problem (RFC 9457) of the kind that its status names."""
    told = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Answer(status, _json(told), PROBLEM, headers or {})


def json_answer(value: Any, status: int = 200) -> Answer:
    """Answer with JSON."""
    return Answer(status, _json(value))


def _json(value: Any) -> bytes:
    try:
        return dump(value).encode()
    except UnicodeEncodeError:
        # A lone surrogate can be an escape in JSON, but no part of UTF-8.
        return json.dumps(value, separators=(",", ":")).encode()


def quality(accept: str, media_type: str) -> float:
    """Return how welcome a media type is, from 0 to 1 (RFC 9110, section 12.5.1).

    The most precise range that names it counts; an empty header takes all there is.
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
