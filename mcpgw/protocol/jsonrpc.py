"""JSON-RPC 2.0 messages to and from bytes, and the shape that each must have.

Messages stay plain dictionaries from the reader to the writer: what we do not know
survives the way through.
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
    # What `encode` makes anew for each message, made once: a third of its time.
    chunks = make(None, encoder.default, escape, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _make_encode(ascii_only=False)
_encode_ascii = _make_encode(ascii_only=True)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_decode_value = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


@attrs.frozen
class Malformed:
    """A line that is no message: what is wrong with it, and its id where it could be read.

    `answers` is True where the line was to be the answer to a request of ours.
    """

    code: int
    reason: str
    id: RequestId | None = None
    answers: bool = False


def encode(message: Message) -> bytes:
    """Return the message as one line of UTF-8, newline included.

    Raises:
      ValueError: the message holds what JSON cannot carry (NaN, an odd type, deep nesting).
    """
    try:
        return _encode(message).encode() + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate is legal in JSON text as an escape, but not in UTF-8.
        return _encode_ascii(message).encode() + b"\n"
    except (TypeError, RecursionError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from error


_STARTS: Final = frozenset(bytes([byte]) for byte in b'{["-0123456789tfn')
"""What a JSON value may start with: a look at it saves the work for a flood of plain text."""


def decode(line: bytes) -> Message | list[Any] | Malformed:
    """Read one line. Return an object, a batch as a list, or what is wrong with the line."""
    if line[:1] not in _STARTS:
        return Malformed(PARSE_ERROR, "not JSON: no value starts like this")
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
        return Malformed(PARSE_ERROR, f"not JSON: {error}")
    if isinstance(value, (dict, list)):
        return value
    return Malformed(INVALID_REQUEST, "a message is a JSON object")


def valid_id(value: Any) -> bool:
    """Tell whether a value may be a request's id in MCP: a string or an integer, never null."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def check(message: Message) -> RpcError | None:
    """Return what is wrong with the shape of a message, or None (JSON-RPC 2.0, section 4)."""
    if message.get("jsonrpc") != "2.0":
        return RpcError(INVALID_REQUEST, 'the message lacks "jsonrpc": "2.0"')
    if "id" in message and not valid_id(message["id"]):
        if "error" in message and message["id"] is None:
            return None
        return RpcError(INVALID_REQUEST, "an id is a string or an integer")
    if "method" not in message:
        if "result" in message or "error" in message:
            return None
        return RpcError(INVALID_REQUEST, "a message has a method, a result or an error")
    if not isinstance(message["method"], str):
        return RpcError(INVALID_REQUEST, "a method is a string")
    if not isinstance(message.get("params", {}), dict):
        return RpcError(INVALID_PARAMS, "params is an object")
    return None


_ID_AT_END: Final = rb',\s*"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,256}")\s*}\s*$'


def oversized(head: bytes, tail: bytes, size: int, limit: int) -> Malformed:
    """Describe a line that was too large to keep, from its first and last bytes.

    The id is read where it stands before the large value or at the very end, so that the
    one request can be answered and the pipe goes on.
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
    """Read the leading members of a cut-off JSON object; return its id and if it answers."""
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
        pass  # the head ends inside a value: what was read so far stands
    return request_id, answers


def _after_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position
