"""JSON-RPC 2.0 messages: encoding, decoding and validation.

Messages stay plain dictionaries from the reader to the writer, so unknown members are kept.
"""

from __future__ import annotations

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


_INFINITE: Final = float("inf")
_decode_value = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).raw_decode
_decode_any = json.JSONDecoder().raw_decode


@attrs.frozen
class Malformed:
    """A line that is not a valid message.

    Args:
      code: the JSON-RPC error code.
      reason: what is wrong with it.
      id: its id, if that could be read.
      answers: whether it was meant as the response to a request of ours.
    """

    code: int
    reason: str
    id: RequestId | None = None
    answers: bool = False


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


def decode(line: bytes) -> Message | list[Any] | Malformed:
    """Return the message of a line, a batch as a list, or `Malformed`."""
    if line[:1] not in _STARTS:
        return Malformed(PARSE_ERROR, "not JSON: a value cannot start like this")
    try:
        text = str(line, "utf-8")
        value, end = _decode_value(text)
        if end != len(text) and text[end:].strip(" \t\r\n"):
            return Malformed(PARSE_ERROR, f"not JSON: more than one value (character {end})")
    except RecursionError:
        return Malformed(PARSE_ERROR, "nested too deeply")
    except UnicodeDecodeError as error:
        return Malformed(PARSE_ERROR, f"not UTF-8: {error.reason} at byte {error.start}")
    except ValueError as error:
        return _not_json(text, error)
    if isinstance(value, (dict, list)):
        return value
    return Malformed(INVALID_REQUEST, "a message must be a JSON object")


def _not_json(text: str, error: ValueError) -> Malformed:
    """Return `Malformed`, with the id if only a number or constant in the message is invalid."""
    reason = f"not JSON: {error}"
    try:
        value, _ = _decode_any(text)
    except (ValueError, RecursionError):
        return Malformed(PARSE_ERROR, reason)
    known = value.get("id") if isinstance(value, dict) else None
    if not valid_id(known):
        return Malformed(PARSE_ERROR, reason)
    return Malformed(PARSE_ERROR, reason, known, answers="method" not in value)


_ID_TYPES: Final = (str, int)
"""The classes of decoded ids; `bool` is a class of its own."""


def valid_id(value: Any) -> bool:
    """Return whether a value is a valid request id in MCP: a string or an integer, never null."""
    return value.__class__ in _ID_TYPES


def check(message: Message) -> RpcError | None:
    """Return the error of an invalid message, None for a valid one (JSON-RPC 2.0, section 4)."""
    if message.get("jsonrpc") != "2.0":
        return RpcError(INVALID_REQUEST, 'a message must have "jsonrpc": "2.0"')
    if "id" in message and message["id"].__class__ not in _ID_TYPES:
        if "error" in message and message["id"] is None:
            return None
        return RpcError(INVALID_REQUEST, "an id must be a string or an integer")
    if "method" not in message:
        if "result" in message or "error" in message:
            return None
        return RpcError(INVALID_REQUEST, "a message must have a method, a result or an error")
    if message["method"].__class__ is not str:
        return RpcError(INVALID_REQUEST, "a method must be a string")
    if "params" in message and message["params"].__class__ is not dict:
        return RpcError(INVALID_PARAMS, "params must be an object")
    return None


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
            if key == "id" and valid_id(value):
                request_id = value
            position = _after_space(text, position)
            if text[position] != ",":
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
