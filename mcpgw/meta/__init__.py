"""The meta-tools that an AI client sees. To add one, write its module and list it here."""

from __future__ import annotations

from typing import Any, Final

from mcpgw.meta import (
    code_mode,
    discovery,
    invoke,
    operator,
    playbook,
    routing,
    statistics,
    surfaced_tools,
)
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.tool import MetaTool
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params

META_TOOLS: Final[tuple[MetaTool, ...]] = (
    *discovery.TOOLS,
    *invoke.TOOLS,
    *statistics.TOOLS,
    *playbook.TOOLS,
    *operator.TOOLS,
    *routing.TOOLS,
    *code_mode.TOOLS,
)
"""All meta-tools in the order of `tools/list`."""

_BY_NAME: Final = {tool.name: tool for tool in META_TOOLS}


def is_meta_tool(name: str) -> bool:
    """Tell whether a tool of this name is one of the gateway's own."""
    return name in _BY_NAME


def listed(context: GatewayContext) -> list[MetaTool]:
    """Return the meta-tools of a configuration: in code mode its two, else all others."""
    if context.config.code_mode.enabled:
        return list(code_mode.TOOLS)
    return [tool for tool in META_TOOLS if tool.listed(context)]


def definitions(context: GatewayContext, session: SessionState) -> list[dict[str, Any]]:
    """Return the answer of `tools/list`: the meta-tools, then surfaced and promoted tools."""
    own = [tool.definition(context) for tool in listed(context)]
    if context.config.code_mode.enabled:
        return own
    return own + surfaced_tools.definitions(context, session, _BY_NAME)


async def call(tool_request: ToolRequest, name: str) -> Params:
    """Call a meta-tool, or a tool that stands beside them.

    Raises:
      RpcError: no such tool (with the nearest names), or the tool refused its arguments.
    """
    tool = _BY_NAME.get(name)
    if tool is None:
        server = surfaced_tools.owner(tool_request, name)
        if server is None:
            raise _unknown(tool_request, name)
        return await invoke.invoke_tool(
            tool_request, server, name, tool_request.arguments, direct=True
        )
    return await tool.call(tool_request)


def _unknown(tool_request: ToolRequest, name: str) -> RpcError:
    from mcpgw.text.did_you_mean import did_you_mean

    context = tool_request.context
    owners = [backend.name for backend in context.pool if name in backend.tools]
    if owners:
        hint = f" It is a tool of '{owners[0]}': call it with gateway_invoke."
    else:
        shown = [
            tool["name"] for tool in surfaced_tools.definitions(context, tool_request.session, ())
        ]
        hint = did_you_mean(name, [*_BY_NAME, *shown])
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name}.{hint}")
