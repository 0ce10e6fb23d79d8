"""The methods of an MCP server that need the whole gateway. Loaded after the first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcpgw import meta
from mcpgw.front import offers
from mcpgw.front.session import Method, Session
from mcpgw.meta import direct
from mcpgw.meta.surface import Ask, Surface
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Params, Request


async def list_tools(session: Session, surface: Surface, request: Request) -> Params:
    """Return the meta-tools; with `query` (proposal SEP-1821) the servers' tools that hold it."""
    _no_cursor(request.params)
    query = request.params.get("query")
    if isinstance(query, str) and query.strip():
        await surface.learn()
        return {"tools": direct.filtered(Ask(surface, session.state, {}, request), query)}
    return {"tools": meta.definitions(surface, session.state)}


async def resolve_tool(session: Session, surface: Surface, request: Request) -> Params:
    """Return one tool's whole definition by its name (proposal SEP-1862)."""
    await surface.learn()
    return direct.resolve(Ask(surface, session.state, request.params, request))


async def call_tool(session: Session, surface: Surface, request: Request) -> Params:
    """Call a meta-tool, or a tool that stands beside them."""
    params = request.params
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter of tools/call")
    arguments = params.get("arguments")
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "'arguments' is an object")
    return await meta.call(Ask(surface, session.state, arguments, request), name)


async def list_resources(session: Session, surface: Surface, request: Request) -> Params:
    """Return the resources of all servers."""
    _no_cursor(request.params)
    return {"resources": await offers.resources(surface, session.state)}


async def list_templates(session: Session, surface: Surface, request: Request) -> Params:
    """Return the resource templates of all servers."""
    _no_cursor(request.params)
    return {"resourceTemplates": await offers.resource_templates(surface, session.state)}


async def list_prompts(session: Session, surface: Surface, request: Request) -> Params:
    """Return the prompts of all servers."""
    _no_cursor(request.params)
    return {"prompts": await offers.prompts(surface, session.state)}


async def read_resource(session: Session, surface: Surface, request: Request) -> Params:
    """Read a resource from its server."""
    return await offers.read_resource(surface, session.state, request)


async def get_prompt(session: Session, surface: Surface, request: Request) -> Params:
    """Get a prompt from its server."""
    return await offers.get_prompt(surface, session.state, request)


async def set_level(session: Session, surface: Surface, request: Request) -> Params:
    """Take the level of log messages that the client wants."""
    level = request.params.get("level")
    if level not in LOG_LEVELS:
        raise RpcError(
            INVALID_PARAMS, f"unknown level {level!r:.40}; one of {', '.join(LOG_LEVELS)}"
        )
    session.log_level = level
    surface.log_level_changed()
    return {}


METHODS: Final[Mapping[str, Method]] = {
    "tools/list": list_tools,
    "tools/call": call_tool,
    "tools/resolve": resolve_tool,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/read": read_resource,
    "prompts/list": list_prompts,
    "prompts/get": get_prompt,
    "logging/setLevel": set_level,
}


def _no_cursor(params: Params) -> None:
    # The lists are given whole, so no cursor was ever handed out.
    if params.get("cursor") is not None:
        raise RpcError(INVALID_PARAMS, "unknown cursor; the list has one page")
