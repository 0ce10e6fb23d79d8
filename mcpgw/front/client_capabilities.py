"""Client capabilities: checks of requests and log messages for a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcpgw.front.server_profile import ServerProfile
from mcpgw.protocol.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Params


def with_logger(server_profile: ServerProfile, server: str, params: Params) -> Params:
    """Return a log message with the server's name in `logger`, unless the session shows only it."""
    if server_profile.target is not None:
        return params
    logger = params.get("logger")
    return {
        **params,
        "logger": f"{server}/{logger}" if isinstance(logger, str) and logger else server,
    }


def is_wanted(level: object, wanted: str | None) -> bool:
    """Tell whether the level of a log message is at least the wanted one; None wants all."""
    if level not in LOG_LEVELS:
        return False
    return wanted is None or LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(wanted)


def elicitation_modes(capabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the elicitation modes that a client declared; by default only `form`."""
    declared = capabilities.get("elicitation")
    return (declared or {"form": {}}) if isinstance(declared, dict) else {}


_NEEDS: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}


def missing_capability(
    capabilities: Mapping[str, Any], method: str, params: Params
) -> tuple[RpcError, Params] | None:
    """Return the error for a request that the client does not support.

    Returns:
      The error and the missing capabilities (MCP 2025-11-25, client features); None if the client
      declared what the request needs.
    """
    needed = _NEEDS.get(method)
    if needed is None:
        return RpcError(METHOD_NOT_FOUND, f"Method not found: {method}"), {}
    declared = capabilities.get(needed)
    if not isinstance(declared, dict):
        refusal = RpcError(METHOD_NOT_FOUND, f"the client does not support {needed}")
        return refusal, {needed: {}}
    if needed == "elicitation":
        mode = params.get("mode", "form")
        if mode not in elicitation_modes(capabilities):
            refusal = RpcError(INVALID_PARAMS, f"the client does not support elicitation by {mode}")
            return refusal, {needed: {str(mode): {}}}
    if method == "sampling/createMessage" and "tools" in params and "tools" not in declared:
        refusal = RpcError(INVALID_PARAMS, "the client does not support sampling with tools")
        return refusal, {needed: {"tools": {}}}
    return None
