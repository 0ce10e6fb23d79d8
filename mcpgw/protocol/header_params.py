"""Tool parameters that are repeated as HTTP headers (MCP 2026-07-28, `x-mcp-header`)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import attrs

from mcpgw.protocol.mcp import VERSION_META

ANNOTATION: Final = "x-mcp-header"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_PREFIX: Final = "=?base64?"
_SUFFIX: Final = "?="

Kind = Literal["string", "integer", "boolean"]
_KINDS: Final = ("string", "integer", "boolean")


@attrs.frozen
class InvalidHeaderParams(Exception):
    """An invalid annotation, which makes a tool unusable over HTTP."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class HeaderParam:
    """A parameter, by its path from the root of the arguments, and the name of its header."""

    name: str
    path: tuple[str, ...]
    kind: Kind


def header_params(input_schema: Mapping[str, Any]) -> tuple[HeaderParam, ...]:
    """Return the annotated parameters of a tool.

    Raises:
      InvalidHeaderParams: a name is not a token (RFC 9110, section 5.6.2) or is used twice, or an
        annotated value is not a string, an integer or a boolean that is reached through
        `properties` alone.
    """
    found: dict[str, HeaderParam] = {}
    for path, schema in _annotated(input_schema, (), 0):
        name, kind = schema[ANNOTATION], schema.get("type")
        where = ".".join(path)
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise InvalidHeaderParams(f"'{where}': {name!r:.40} is not a valid header name")
        if kind not in _KINDS:
            raise InvalidHeaderParams(f"'{where}': its type must be one of {', '.join(_KINDS)}")
        if name.lower() in found:
            raise InvalidHeaderParams(f"'{where}': the header {name} is used twice")
        found[name.lower()] = HeaderParam(name, path, kind)
    return tuple(found.values())


_DEEPEST: Final = 32


def _annotated(
    schema: Any, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the annotated properties; refuse annotations anywhere else."""
    if depth > _DEEPEST or not isinstance(schema, Mapping):
        return
    for key, value in schema.items():
        if key == "properties" and isinstance(value, Mapping):
            for name, below in value.items():
                if isinstance(below, Mapping):
                    if ANNOTATION in below:
                        yield (*path, str(name)), below
                    yield from _annotated(below, (*path, str(name)), depth + 1)
        elif key != ANNOTATION and _has_annotation(value, depth + 1):
            raise InvalidHeaderParams(f"'{key}' contains an annotation outside of `properties`")


_NOT_SCHEMAS: Final = ("default", "const", "enum", "examples")


def _has_annotation(value: Any, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(value, Mapping):
        return ANNOTATION in value or any(
            _has_annotation(below, depth + 1)
            for key, below in value.items()
            if key not in _NOT_SCHEMAS
        )
    return isinstance(value, list) and any(_has_annotation(below, depth + 1) for below in value)


def header_of(param: HeaderParam, arguments: Mapping[str, Any]) -> str | None:
    """Return the header's value for a call; None if the argument is null or missing."""
    value: Any = arguments
    for name in param.path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    if value is None or isinstance(value, (Mapping, list)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return encode_header(str(value))


def encode_header(value: str) -> str:
    """Return a string as header value: unchanged if it is plain ASCII, else in base64."""
    looks_encoded = value.startswith(_PREFIX) and value.endswith(_SUFFIX)
    if _PLAIN.fullmatch(value) and value == value.strip(" \t") and not looks_encoded:
        return value
    return f"{_PREFIX}{base64.b64encode(value.encode()).decode()}{_SUFFIX}"


def decode_header(text: str) -> str:
    """Return the string that a header value encodes.

    Raises:
      ValueError: it is marked as base64 and is not valid.
    """
    if not (text.startswith(_PREFIX) and text.endswith(_SUFFIX)):
        return text
    inner = text[len(_PREFIX) : -len(_SUFFIX)]
    try:
        return base64.b64decode(inner, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"not base64 of UTF-8: {error}") from None


NAME_PARAMS: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter of each method that `Mcp-Name` repeats (MCP 2026-07-28, Streamable HTTP)."""


def modern_headers(
    message: Mapping[str, Any],
    params: Mapping[str, Any],
    tool_params: Mapping[str, tuple[HeaderParam, ...]],
) -> dict[str, str]:
    """Return the headers that repeat parts of a request of the stateless era.

    Args:
      message: the request.
      params: its params, with the revision in their `_meta`.
      tool_params: the parameters with headers, by tool.
    """
    method = message["method"]
    headers = {"MCP-Protocol-Version": str(params["_meta"][VERSION_META]), "Mcp-Method": method}
    if isinstance(name := params.get(NAME_PARAMS.get(method, "")), str):
        headers["Mcp-Name"] = encode_header(name)
    if method == "tools/call":
        arguments = params.get("arguments")
        for param in tool_params.get(str(params.get("name")), ()):
            value = header_of(param, arguments if isinstance(arguments, dict) else {})
            if value is not None:
                headers[f"Mcp-Param-{param.name}"] = value
    return headers
