"""Surfaced and promoted tools: tools of servers that `tools/list` includes by their own name."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.usage.model import ToolKey


def definitions(
    context: GatewayContext, session: SessionState, taken: Container[str]
) -> list[dict[str, Any]]:
    """Return the definitions of the tools that are listed beside the meta-tools.

    If several tools have the same name, only the first is listed, and none if the name is in
    `taken`. Tools that are unknown or not visible to the session are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for key in _keys(context, session):
        tool = context.find(key)
        if tool is not None and key[1] not in taken and context.shows(session, *key):
            found.setdefault(key[1], tool)
    return list(found.values())


def owner(tool_request: ToolRequest, name: str) -> str | None:
    """Return the server of a tool that the session may call by its own name; None if unknown."""
    for server, tool in _keys(tool_request.context, tool_request.session):
        if tool == name:
            return server
    return None


def _keys(context: GatewayContext, session: SessionState) -> Iterator[ToolKey]:
    for each in context.config.meta_mcp.surfaced_tools:
        yield each.server, each.tool
    if context.config.spec_preview.enabled:
        yield from session.promoted


def filtered(tool_request: ToolRequest, query: str) -> list[dict[str, Any]]:
    """Return the full definitions of the tools whose name or description contains a text
    (proposal SEP-1821, `tools/list` with `query`)."""
    wanted = query.strip().lower()
    return [
        tool
        for _backend, name, tool in tool_request.context.tools(tool_request.session)
        if wanted in name.lower() or wanted in str(tool.get("description", "")).lower()
    ]


def resolve(tool_request: ToolRequest) -> Params:
    """Return the full definition of one tool by its name (proposal SEP-1862).

    Raises:
      RpcError: the name is missing, or there is no such tool (with similar names).
    """
    from mcpgw.text.did_you_mean import did_you_mean

    name, server = tool_request.arguments.get("name"), tool_request.arguments.get("server")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "tools/resolve requires a 'name' parameter")
    known = [
        (backend.name, offered, tool)
        for backend, offered, tool in tool_request.context.tools(tool_request.session)
        if server in (None, backend.name)
    ]
    for owner_name, offered, tool in known:
        if offered == name:
            return {"tool": tool, "_meta": {"gateway/server": owner_name}}
    hint = did_you_mean(name, [offered for _, offered, _ in known])
    missing = hint or " Search for it with gateway_search_tools."
    raise RpcError(METHOD_NOT_FOUND, f"Tool '{name}' not found.{missing}")
