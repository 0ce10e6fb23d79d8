"""Opening a conversation with a backend: which era it speaks, and its first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from mcpgw.backends.connection import CLIENT_INFO, Connection
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    RpcError,
)
from mcpgw.protocol.mcp import LATEST_PROTOCOL_VERSION, MODERN_VERSION, PROTOCOL_VERSIONS
from mcpgw.protocol.peer import Params, Peer

log = get_logger("mcpgw.backend")

AUTO: Final = "auto"
"""As `protocol_version`: try the stateless era first."""
PROBE_PATIENCE: Final = 5.0
"""Seconds that a probe for the stateless era waits: an old server may ignore it."""

_NOT_SPOKEN: Final = (UNSUPPORTED_VERSION, METHOD_NOT_FOUND)
"""Error codes by which a server may refuse `initialize` because it has no handshake."""


class HandshakeFailed(Exception):
    """The backend refused to begin, or speaks only what we do not."""


async def open_connection(
    peer: Peer,
    *,
    capabilities: Params,
    protocol_version: str | None,
    known_version: str | None,
) -> Connection:
    """Begin the conversation in the era that the backend speaks.

    A revision that is configured is kept to. Else the backend is opened by `initialize`, or
    without it where it was found to be of the stateless era earlier; where it refuses, in the
    other way. The caller sets the deadline; `initialize` is never cancelled on the wire.

    Args:
      peer: the running peer of the backend.
      capabilities: the client capabilities that can really be served.
      protocol_version: the configured revision, `auto`, or None.
      known_version: the revision of an earlier conversation.

    Raises:
      HandshakeFailed: the backend refused, or answered with a revision that we do not speak.
      ConnectionLost: the backend ended first.
    """
    if protocol_version == MODERN_VERSION:
        return await _discover(peer)
    if protocol_version == AUTO or (protocol_version is None and known_version == MODERN_VERSION):
        try:
            with trio.move_on_after(PROBE_PATIENCE):
                return await _discover(peer)
        except HandshakeFailed as error:
            log.debug("backend.no_stateless_era", server=peer.name, reason=str(error))
        return await _initialize(peer, capabilities, LATEST_PROTOCOL_VERSION)
    try:
        return await _initialize(peer, capabilities, protocol_version or LATEST_PROTOCOL_VERSION)
    except HandshakeFailed as refused:
        cause = refused.__cause__
        if protocol_version or not _names_the_stateless_era(cause):
            raise
        try:
            return await _discover(peer)
        except HandshakeFailed:
            raise refused from cause


def _names_the_stateless_era(cause: BaseException | None) -> bool:
    """Tell whether a refusal of `initialize` may come from a server without the handshake."""
    if not isinstance(cause, RpcError):
        return False
    supported = cause.data.get("supported") if isinstance(cause.data, Mapping) else None
    return cause.code in _NOT_SPOKEN or (
        isinstance(supported, list) and MODERN_VERSION in supported
    )


async def _initialize(peer: Peer, capabilities: Params, version: str) -> Connection:
    """Shake hands (MCP 2025-11-25, lifecycle)."""
    params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": CLIENT_INFO}
    try:
        result = await peer.request("initialize", params)
    except RpcError as error:
        raise HandshakeFailed(f"it refused `initialize`: {error}") from error
    answered = result.get("protocolVersion")
    if answered not in PROTOCOL_VERSIONS:
        raise HandshakeFailed(
            f"it speaks MCP {answered!r}; this gateway speaks"
            f" {', '.join((MODERN_VERSION, *PROTOCOL_VERSIONS))}"
        )
    peer.notify("notifications/initialized")
    return Connection(
        peer,
        answered,
        _mapping(result.get("serverInfo")),
        _mapping(result.get("capabilities")),
        _text(result.get("instructions")),
    )


async def _discover(peer: Peer) -> Connection:
    """Ask what the server is (MCP 2026-07-28, `server/discover`)."""
    from mcpgw.backends.stateless import StatelessConnection, server_info

    connection = StatelessConnection(peer, MODERN_VERSION, {}, {}, "")
    try:
        result = await connection.request("server/discover")
    except RpcError as error:
        if error.code == UNSUPPORTED_VERSION or error.code == INVALID_PARAMS:
            raise HandshakeFailed(f"it does not speak MCP {MODERN_VERSION}: {error}") from error
        raise HandshakeFailed(f"it refused `server/discover`: {error}") from error
    connection.server_info = server_info(result)
    connection.capabilities = _mapping(result.get("capabilities"))
    connection.instructions = _text(result.get("instructions"))
    return connection


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
