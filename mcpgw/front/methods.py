"""MCP methods of the gateway as a server. Imported after the first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcpgw.front import aggregation
from mcpgw.front.paging import page
from mcpgw.front.services import Method
from mcpgw.front.session import Session
from mcpgw.meta import surfaced_tools
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Params, Request
from mcpgw.protocol.request import arguments_of


async def list_tools(session: Session, context: GatewayContext, request: Request) -> Params:
    """Return the meta-tools; with `query` (proposal SEP-1821) the servers' tools that match it."""
    query = request.params.get("query")
    if isinstance(query, str) and query.strip():
        await context.learn()
        found = surfaced_tools.filtered(ToolRequest(context, session.state, {}, request), query)
        return page(found, "tools", request.params)
    session.state.listed_tools = found = context.meta_tools.definitions(context, session.state)
    return page(found, "tools", request.params)


async def resolve_tool(session: Session, context: GatewayContext, request: Request) -> Params:
    """Return the full definition of one tool by its name (proposal SEP-1862)."""
    await context.learn()
    return surfaced_tools.resolve(ToolRequest(context, session.state, request.params, request))


async def call_tool(session: Session, context: GatewayContext, request: Request) -> Params:
    """Call a meta-tool, or a tool that is listed beside them."""
    params = request.params
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter of tools/call")
    return await context.meta_tools.call(
        ToolRequest(context, session.state, arguments_of(params), request), name
    )


async def list_resources(session: Session, context: GatewayContext, request: Request) -> Params:
    """Return the resources of all servers."""
    found = await aggregation.resources(context, session.state)
    return page(found, "resources", request.params)


async def list_templates(session: Session, context: GatewayContext, request: Request) -> Params:
    """Return the resource templates of all servers."""
    found = await aggregation.resource_templates(context, session.state)
    return page(found, "resourceTemplates", request.params)


async def list_prompts(session: Session, context: GatewayContext, request: Request) -> Params:
    """Return the prompts of all servers."""
    found = await aggregation.prompts(context, session.state)
    return page(found, "prompts", request.params)


async def read_resource(session: Session, context: GatewayContext, request: Request) -> Params:
    """Read a resource from its server."""
    return await aggregation.read_resource(context, session.state, request)


async def get_prompt(session: Session, context: GatewayContext, request: Request) -> Params:
    """Get a prompt from its server."""
    return await aggregation.get_prompt(context, session.state, request)


async def set_level(session: Session, context: GatewayContext, request: Request) -> Params:
    """Set the lowest level of log messages that the client wants."""
    level = request.params.get("level")
    if level not in LOG_LEVELS:
        raise RpcError(
            INVALID_PARAMS, f"'level' must be one of {', '.join(LOG_LEVELS)}, not {level!r:.40}"
        )
    session.log_level = level
    context.log_level_changed()
    return {}


async def complete(session: Session, context: GatewayContext, request: Request) -> Params:
    """Complete an argument of a prompt or a resource template."""
    return await aggregation.complete(context, session.state, request)


async def subscribe(session: Session, context: GatewayContext, request: Request) -> Params:
    """Subscribe the client to a resource."""
    await session.services.resource_subscriptions.subscribe(
        context, session, request, session, request.params.get("uri")
    )
    return {}


async def unsubscribe(session: Session, context: GatewayContext, request: Request) -> Params:
    """Unsubscribe the client from a resource."""
    await session.services.resource_subscriptions.unsubscribe(
        context, session, request, session, request.params.get("uri")
    )
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
    "completion/complete": complete,
    "resources/subscribe": subscribe,
    "resources/unsubscribe": unsubscribe,
    "logging/setLevel": set_level,
}
