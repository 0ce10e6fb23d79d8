"""Check that the headers of a stateless request match its body.

So a proxy that routes by headers and a server that reads the body see the same request
(MCP 2026-07-28, Streamable HTTP, standard and custom headers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.front.http.asgi import Headers, Refusal, text
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.protocol.errors import HEADER_MISMATCH
from mcpgw.protocol.header_params import (
    NAME_PARAMS,
    HeaderParam,
    InvalidHeaderParams,
    decode_header,
    header_of,
    header_params,
)
from mcpgw.protocol.jsonrpc import Message
from mcpgw.protocol.mcp import VERSION_META

_PREFIX: Final = b"mcp-param-"


@attrs.define(eq=False)
class HeaderCheck:
    """Compares the headers of a request with its body.

    Args:
      gateway_api: provides the tools, whose schemas name the parameters with headers.
    """

    gateway_api: GatewayApi
    _known: dict[tuple[str | None, str], tuple[Any, tuple[HeaderParam, ...]]] = attrs.field(
        factory=dict
    )

    def __call__(self, message: Message, headers: Headers, target: str | None) -> None:
        """Refuse a request whose headers are missing or differ from the body (400, -32020).

        A body that lacks the value of a header is left to the handler of the request.
        """
        params: Mapping[str, Any] = message.get("params") or {}
        meta = params.get("_meta")
        version = meta.get(VERSION_META) if isinstance(meta, dict) else None
        if version is None:
            return
        _compare(message, headers, b"mcp-protocol-version", version)
        method = message["method"]
        _compare(message, headers, b"mcp-method", method)
        named_by = NAME_PARAMS.get(method)
        if named_by is None:
            return
        name = params.get(named_by)
        if not isinstance(name, str):
            return
        _compare(message, headers, b"mcp-name", name)
        if method == "tools/call":
            self._check_params(message, headers, target, name)

    def _check_params(
        self, message: Message, headers: Headers, target: str | None, name: str
    ) -> None:
        tool = self.gateway_api.tool(target, name)
        if tool is None:
            return
        declared = self._params(tool, (target, name))
        if not declared:
            return
        arguments = message["params"].get("arguments")
        if not isinstance(arguments, dict):
            arguments = {}
        for param in declared:
            header = _PREFIX + param.name.lower().encode()
            try:
                expected = header_of(param, arguments)
            except UnicodeEncodeError:
                raise _mismatch(message, header, "a header cannot carry this argument") from None
            given = _decoded(message, headers, header)
            if expected is None:
                if given is not None:
                    raise _mismatch(message, header, "the arguments lack this value")
            elif given is None:
                raise _mismatch(message, header, "it is missing")
            elif not _is_same(param, given, decode_header(expected)):
                raise _mismatch(message, header, "the arguments have a different value")

    def _params(
        self, tool: Mapping[str, Any], key: tuple[str | None, str]
    ) -> tuple[HeaderParam, ...]:
        schema = tool.get("inputSchema")
        known = self._known.get(key)
        if known is not None and known[0] is schema:
            return known[1]
        try:
            declared = header_params(schema) if isinstance(schema, Mapping) else ()
        except InvalidHeaderParams:
            declared = ()  # such a tool has no headers; clients over HTTP do not call it
        self._known[key] = (schema, declared)
        return declared


def _compare(message: Message, headers: Headers, name: bytes, expected: object) -> None:
    given = _decoded(message, headers, name)
    if given is None:
        raise _mismatch(message, name, "it is missing")
    if given != expected:
        raise _mismatch(message, name, f"the body has {expected!r:.200}")


def _decoded(message: Message, headers: Headers, name: bytes) -> str | None:
    given = text(headers, name)
    if given is None:
        return None
    try:
        return decode_header(given.strip(" \t"))
    except ValueError as error:
        raise _mismatch(message, name, str(error)) from None


def _is_same(param: HeaderParam, given: str, expected: str) -> bool:
    if param.kind != "integer":
        return given == expected
    try:
        return int(given) == int(expected)
    except ValueError:
        return False


def _mismatch(message: Message, header: bytes, reason: str) -> Refusal:
    name = header.decode("latin-1").title()
    return Refusal(
        400, f"the header {name} does not match the body: {reason}", HEADER_MISMATCH, message["id"]
    )
