"""Handshake with a backend: finds out which era it speaks, and opens the connection."""

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
"""Seconds to wait for the answer to `server/discover`: an old server may ignore it."""

_NO_HANDSHAKE: Final = (UNSUPPORTED_VERSION, METHOD_NOT_FOUND)
"""Error codes of a server that refuses `initialize` because it has no handshake."""


class HandshakeFailed(Exception):
    """The backend refused the handshake, or speaks no protocol version that we support."""


async def open_in_time(
    peer: Peer,
    seconds: float,
    *,
    capabilities: Params,
    protocol_version: str | None,
    known_version: str | None,
) -> Connection:
    """Open a connection as `open_connection` does, within a number of seconds.

    Raises:
      HandshakeFailed: as `open_connection` does, or the time is over.
      ConnectionLost: the connection ended first.
    """
    with trio.move_on_after(seconds):
        return await open_connection(
            peer,
            capabilities=capabilities,
            protocol_version=protocol_version,
            known_version=known_version,
        )
    noise = peer.noise.described()
    reason = f"it did not answer `initialize` within {seconds:g} s"
    raise HandshakeFailed(f"{reason}; {noise}" if noise else reason)


async def open_connection(
    peer: Peer,
    *,
    capabilities: Params,
    protocol_version: str | None,
    known_version: str | None,
) -> Connection:
    """Open a connection in the era that the backend speaks.

    A configured revision is used as it is. Otherwise `initialize` is tried first, or
    `server/discover` with `auto` or if the backend spoke the stateless era before; if the backend
    refuses one, the other is tried. The caller sets the deadline; an `initialize` that exceeds it
    is not cancelled on the wire (MCP 2025-11-25, cancellation).

    Args:
      peer: the running peer of the backend.
      capabilities: the client capabilities to declare.
      protocol_version: the configured revision, `auto`, or None.
      known_version: the revision of an earlier connection; None if there was none.

    Raises:
      HandshakeFailed: the backend refused, or answered with a revision that we do not support.
      ConnectionLost: the connection ended first.
    """
    if protocol_version == MODERN_VERSION:
        return await _discover(peer)
    if protocol_version == AUTO or (protocol_version is None and known_version == MODERN_VERSION):
        try:
            with trio.move_on_after(PROBE_PATIENCE):
                return await _discover(peer)
        except HandshakeFailed as error:
            log.debug("backend.legacy_protocol", server=peer.name, reason=str(error))
        return await _initialize(peer, capabilities, LATEST_PROTOCOL_VERSION)
    try:
        return await _initialize(peer, capabilities, protocol_version or LATEST_PROTOCOL_VERSION)
    except HandshakeFailed as refused:
        cause = refused.__cause__
        if protocol_version or not _has_no_handshake(cause):
            raise
        try:
            return await _discover(peer)
        except HandshakeFailed:
            raise refused from cause


def _has_no_handshake(cause: BaseException | None) -> bool:
    """Tell whether a refusal of `initialize` may come from a server without a handshake."""
    if not isinstance(cause, RpcError):
        return False
    supported = cause.data.get("supported") if isinstance(cause.data, Mapping) else None
    return cause.code in _NO_HANDSHAKE or (
        isinstance(supported, list) and MODERN_VERSION in supported
    )


async def _initialize(peer: Peer, capabilities: Params, version: str) -> Connection:
    """Open a connection by `initialize` (MCP 2025-11-25, lifecycle)."""
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
    """Open a connection by `server/discover` (MCP 2026-07-28)."""
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
