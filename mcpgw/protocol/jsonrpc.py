"""JSON-RPC 2.0 messages: encoding, decoding and validation.

Messages stay plain dictionaries from the reader to the writer, so unknown members are kept.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable
from typing import Any, Final

import attrs

from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError

Message = dict[str, Any]
RequestId = str | int


def _make_encode(*, ascii_only: bool) -> Callable[[Any], str]:
    encoder = json.JSONEncoder(
        ensure_ascii=ascii_only, check_circular=False, allow_nan=False, separators=(",", ":")
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    escape = json.encoder.encode_basestring_ascii if ascii_only else json.encoder.encode_basestring
    # `encode` creates this encoder for every message, which takes a third of its time.
    chunks = make(None, encoder.default, escape, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _make_encode(ascii_only=False)
_encode_ascii = _make_encode(ascii_only=True)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not valid JSON")


def _finite(digits: str) -> float:
    """Return a number, unless it would become an infinite one that no peer can be sent."""
    number = float(digits)
    if number in (_INFINITE, -_INFINITE):
        raise ValueError(f"the number {digits:.20} is out of range")
    return number


def _finite_or_null(digits: str) -> float | None:
    number = float(digits)
    return None if number in (_INFINITE, -_INFINITE) else number


_INFINITE: Final = float("inf")
_decode_value = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).raw_decode
_decode_lenient = json.JSONDecoder(
    parse_constant=lambda _word: None, parse_float=_finite_or_null
).raw_decode
"""Reads NaN and numbers out of range as null, as `JSON.stringify` writes them (ECMA-262)."""


@attrs.frozen
class Malformed:
    """A line that is not a valid message.

    Args:
      code: the JSON-RPC error code.
      reason: what is wrong with it.
      id: its id, if that could be read.
      answers: whether it was meant as the response to a request of ours.
      excerpt: the beginning of the line; text of the other side.
      embedded: the response that follows other text on the same line, if there is one.
    """

    code: int
    reason: str
    id: RequestId | None = None
    answers: bool = False
    excerpt: str = attrs.field(default="", repr=False)
    embedded: Message | None = attrs.field(default=None, repr=False)


def encode(message: Message) -> bytes:
    """Return the message as one line of UTF-8, newline included.

    Raises:
      ValueError: JSON cannot represent the message (NaN, an unsupported type, deep nesting).
    """
    try:
        return _encode(message).encode() + b"\n"
    except UnicodeEncodeError:
        # JSON can escape a lone surrogate; UTF-8 cannot encode it.
        return _encode_ascii(message).encode() + b"\n"
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


_STARTS: Final = frozenset(bytes([byte]) for byte in b'{["-0123456789tfn')
"""The first bytes of JSON values: checking them first makes a flood of plain text cheap."""
_LARGE: Final = 500_000
"""Characters from which on a message is decoded without garbage collection."""
_BOM: Final = b"\xef\xbb\xbf"
_EXCERPT: Final = 120
_HEAD: Final = 4096
"""Characters in which the id of an unreadable message is looked for."""


def decode(line: bytes) -> Message | list[Any] | Malformed:
    """Return the message of a line, a batch as a list, or `Malformed`.

    Bytes that are not UTF-8 become U+FFFD, and a byte order mark is ignored (RFC 8259, section
    8.1), as in the official SDKs.
    """
    if line[:1] not in _STARTS:
        if line.startswith(_BOM):
            return decode(line[len(_BOM) :].lstrip())
        return _malformed(line, "a value cannot start like this")
    try:
        text = str(line, "utf-8")
    except UnicodeDecodeError:
        text = str(line, "utf-8", "replace")
    try:
        value, end = _decode_value(text) if len(text) < _LARGE else _decode_large(text)
        if end != len(text) and text[end:].strip(" \t\r\n"):
            return _malformed(line, f"more than one value (character {end})")
    except RecursionError:
        return _malformed(line, "nested too deeply")
    except ValueError as error:
        return _not_standard(line, text, error)
    if isinstance(value, (dict, list)):
        return value
    return Malformed(INVALID_REQUEST, "a message must be a JSON object", excerpt=text[:_EXCERPT])


def _decode_large(text: str) -> tuple[Any, int]:
    """Decode a message whose thousands of objects would each time be searched for garbage, which
    takes longer than decoding them."""
    if not gc.isenabled():
        return _decode_value(text)
    gc.disable()
    try:
        return _decode_value(text)
    finally:
        gc.enable()


def _not_standard(line: bytes, text: str, error: ValueError) -> Message | Malformed:
    """Return a response that is valid except for its numbers; `Malformed` for anything else.

    Numbers of requests are not replaced: that could change what they ask for.
    """
    try:
        value, end = _decode_lenient(text)
    except (ValueError, RecursionError):
        value, end = None, 0
    if not isinstance(value, dict) or text[end:].strip(" \t\r\n"):
        return _malformed(line, str(error))
    if "method" not in value and "result" in value:
        return value
    known = value.get("id")
    return Malformed(
        PARSE_ERROR,
        f"not JSON: {error}",
        known if valid_id(known) else None,
        answers="method" not in value,
        excerpt=text[:_EXCERPT],
    )


def _malformed(line: bytes, reason: str) -> Malformed:
    head = line[: _HEAD if line[:1] == b"{" else _EXCERPT].decode("utf-8", "replace")
    known, answers = _scan_head(head)
    return Malformed(
        PARSE_ERROR, f"not JSON: {reason}", known, answers, head[:_EXCERPT], _embedded(line)
    )


def _embedded(line: bytes) -> Message | None:
    """Return the response at the end of a line that begins with other text."""
    start = line.find(b'{"', 1)
    if start < 0 or line.find(b'"jsonrpc"', start) < 0:
        return None
    try:
        value, end = _decode_lenient(text := line[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    alone = isinstance(value, dict) and not text[end:].strip()
    return value if alone and "method" not in value and "result" in value else None


_ID_TYPES: Final = (str, int)
"""The classes of decoded ids; `bool` is a class of its own."""


def valid_id(value: Any) -> bool:
    """Return whether a value is a valid request id in MCP: a string or an integer, never null.

    An integer may be written as `1.0`: JSON has only one kind of number.
    """
    return value.__class__ in _ID_TYPES or (value.__class__ is float and value.is_integer())


def own_id(value: Any) -> Any:
    """Return the id of a request of ours (an integer) that a response or a token stands for.

    Some servers answer with the digits as a string; the official SDKs accept that.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS:
        return int(value)
    return value


_DIGITS: Final = 19


def check(message: Message) -> RpcError | None:
    """Return the error of an invalid message, None for a valid one (JSON-RPC 2.0, section 4).

    `params` that stand for none are removed.
    """
    if message.get("jsonrpc") != "2.0":
        return RpcError(INVALID_REQUEST, 'a message must have "jsonrpc": "2.0"')
    if "id" in message and message["id"].__class__ not in _ID_TYPES and not valid_id(message["id"]):
        if "error" in message and message["id"] is None:
            return None
        return RpcError(INVALID_REQUEST, "an id must be a string or an integer")
    if "method" not in message:
        if "result" in message or "error" in message:
            return None
        return RpcError(INVALID_REQUEST, "a message must have a method, a result or an error")
    if message["method"].__class__ is not str:
        return RpcError(INVALID_REQUEST, "a method must be a string")
    params = message.get("params")
    if params.__class__ is not dict:
        if params not in _NO_PARAMS:
            return RpcError(INVALID_PARAMS, "params must be an object")
        message.pop("params", None)
    return None


def invalid(message: Message, fault: RpcError) -> Malformed:
    """Return `Malformed` for a JSON object that is not a valid message."""
    known = message.get("id")
    return Malformed(
        fault.code,
        fault.message,
        known if valid_id(known) else None,
        answers="method" not in message,
    )


_NO_PARAMS: Final[tuple[Any, ...]] = (None, [])
"""Values that stand for no parameters; PHP writes an empty object as `[]`."""


_ID_AT_END: Final = rb',\s*"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,256}")\s*}\s*$'


def oversized(head: bytes, tail: bytes, size: int, limit: int) -> Malformed:
    """Return `Malformed` for a line over the limit, from its first and last bytes.

    The id can be read if it comes before the large value or at the very end. Then the request can
    be answered, and the conversation goes on.
    """
    request_id, answers = _scan_head(head.decode("utf-8", "replace"))
    if request_id is None and (found := re.search(_ID_AT_END, tail)):
        value = json.loads(found[1])
        request_id = value if valid_id(value) else None
    return Malformed(
        INVALID_REQUEST,
        f"the message has {size} bytes, the limit is {limit} (server.max_body_size)",
        request_id,
        answers,
    )


def _scan_head(text: str) -> tuple[RequestId | None, bool]:
    """Parse the first members of a truncated JSON object; return its id, and whether it is a
    response."""
    request_id: RequestId | None = None
    answers = False
    position = _after_space(text, 0)
    if text[position : position + 1] != "{":
        return None, False
    try:
        while True:
            position = _after_space(text, position + 1)
            key, position = _decode_value(text, position)
            position = _after_space(text, position)
            if text[position] != ":":
                break
            answers = answers or key in ("result", "error")
            position = _after_space(text, position + 1)
            value, position = _decode_value(text, position)
            position = _after_space(text, position)
            if text[position] not in ",}":
                break
            if key == "id" and valid_id(value):
                request_id = value  # a number before the end could be longer
            if text[position] == "}":
                break
    except (ValueError, IndexError, RecursionError):
        pass  # the head ends inside a value: use the members before it
    return request_id, answers


def _after_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def error_response(request_id: RequestId | None, error: RpcError) -> Message:
    """Return the response that carries an error; without an id if that could not be read."""
    response: Message = {"jsonrpc": "2.0"}
    if request_id is not None:
        response["id"] = request_id
    response["error"] = error.to_wire()
    return response


def is_response(message: Message) -> bool:
    """Return whether a message is a JSON-RPC response, and not just JSON with an `error` in it."""
    is_error = isinstance(message.get("error"), dict)
    return message.get("jsonrpc") == "2.0" and (is_error or "result" in message)


def is_response_to(message: Message, request: RequestId) -> bool:
    """Return whether a message is the response to a request."""
    known = message.get("id")
    return "method" not in message and (known == request or own_id(known) == own_id(request))
