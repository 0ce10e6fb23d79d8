"""The meta-tools that an AI client sees. To add one, write its module and list it here."""

from __future__ import annotations

from typing import Any

from mcpgw.meta import discover, invoke, operate
from mcpgw.meta.surface import MetaTool, Surface
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params, Request

META_TOOLS: tuple[MetaTool, ...] = (*discover.TOOLS, *invoke.TOOLS, *operate.TOOLS)
"""All meta-tools in the order of `tools/list`."""

_BY_NAME = {tool.name: tool for tool in META_TOOLS}


def definitions(surface: Surface) -> list[dict[str, Any]]:
    """Return the answer of `tools/list`."""
    return [tool.definition(surface) for tool in META_TOOLS]


async def call(surface: Surface, name: str, arguments: Params, request: Request | None) -> Params:
    """Call a meta-tool.

    Raises:
      RpcError: no such tool (with the nearest names), or the tool refused its arguments.
    """
    tool = _BY_NAME.get(name)
    if tool is None:
        raise _unknown(surface, name)
    if tool.own_scope or request is None:
        return await tool.call(surface, arguments, request)
    with request.scope():
        return await tool.call(surface, arguments, request)
    return {}  # cancelled: nobody is told


def _unknown(surface: Surface, name: str) -> RpcError:
    from mcpgw.catalog.suggest import did_you_mean

    owners = [backend.name for backend in surface.pool if name in backend.tools]
    if owners:
        hint = f" It is a tool of '{owners[0]}': call it with gateway_invoke."
    else:
        hint = did_you_mean(name, _BY_NAME)
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name}.{hint}")
