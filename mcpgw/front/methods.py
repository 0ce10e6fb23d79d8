"""The methods of an MCP server that need the whole gateway. Loaded after the first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcpgw import meta
from mcpgw.front import offers
from mcpgw.front.session import Method, Session
from mcpgw.meta.surface import Surface
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Params, Request


async def list_tools(_session: Session, surface: Surface, request: Request) -> Params:
    """Return the meta-tools."""
    _no_cursor(request.params)
    return {"tools": meta.definitions(surface)}


async def call_tool(_session: Session, surface: Surface, request: Request) -> Params:
    """Call a meta-tool."""
    params = request.params
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter of tools/call")
    arguments = params.get("arguments")
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "'arguments' is an object")
    return await meta.call(surface, name, arguments, request)


async def list_resources(_session: Session, surface: Surface, request: Request) -> Params:
    """Return the resources of all servers."""
    _no_cursor(request.params)
    return {"resources": await offers.resources(surface)}


async def list_templates(_session: Session, surface: Surface, request: Request) -> Params:
    """Return the resource templates of all servers."""
    _no_cursor(request.params)
    return {"resourceTemplates": await offers.resource_templates(surface)}


async def list_prompts(_session: Session, surface: Surface, request: Request) -> Params:
    """Return the prompts of all servers."""
    _no_cursor(request.params)
    return {"prompts": await offers.prompts(surface)}


async def read_resource(_session: Session, surface: Surface, request: Request) -> Params:
    """Read a resource from its server."""
    return await offers.read_resource(surface, request)


async def get_prompt(_session: Session, surface: Surface, request: Request) -> Params:
    """Get a prompt from its server."""
    return await offers.get_prompt(surface, request)


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
