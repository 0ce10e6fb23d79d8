"""Discovery tools: list servers, list tools, search tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Unavailable
from mcpgw.backends.verdict import for_model
from mcpgw.capabilities.refusals import file_for_model
from mcpgw.catalog.index import Hit, SearchResult
from mcpgw.catalog.siblings import differential
from mcpgw.catalog.summary import input_summary
from mcpgw.meta.context import LEARNING_PATIENCE, GatewayContext, ToolRequest
from mcpgw.meta.signals import SignalReader
from mcpgw.meta.tool import READS, MetaTool, answer, flag, text_argument, whole_number
from mcpgw.protocol.errors import INVALID_REQUEST, NOT_FOUND, RpcError
from mcpgw.protocol.mcp import reads_only
from mcpgw.protocol.peer import Params
from mcpgw.text.did_you_mean import did_you_mean
from mcpgw.text.plural import plural

SCHEMAS_IN_SEARCH: Final = 3
"""Matches that include the full input schema; the others have a summary."""
NEAREST: Final = 5
"""Matches that are shown if none of them fits well."""
DESCRIPTION_LIMIT: Final = 500
"""Characters of a description in a search result."""
LISTED_DESCRIPTION_LIMIT: Final = 200
"""Characters of a description in the list of all tools."""
SKILLS_SHOWN: Final = 2
"""Skills in the result of one search."""
SKILL_FITS: Final = 60
"""The lowest score of a skill that is shown beside tools."""
WITHHELD_SHOWN: Final = 20
"""The most withheld definitions of one server in the list of servers."""
LISTED_AT_ONCE: Final = 200
"""Tools per answer of the list of all tools."""
ROLES: Final = ("selector", "extractor", "enricher", "action")
_SELECTING: Final = frozenset({"search", "list", "find", "query", "discover", "browse"})


async def list_servers(tool_request: ToolRequest) -> Params:
    """Return every server with its state, and the cause of a failure."""
    context = tool_request.context
    profile = context.profile_of(tool_request.session)[1]
    servers = []
    for backend in context.pool:
        entry = describe_server(context, backend)
        if not profile.allows_server(backend.name):
            entry["in_profile"] = False
        servers.append(entry)
    payload: dict[str, Any] = {"servers": servers}
    if context.config_problem:
        payload["config_problem"] = context.config_problem
    return answer(payload)


def describe_server(context: GatewayContext, backend: BackendServer) -> dict[str, Any]:
    """Return a server's entry in the list of servers."""
    breaker = backend.breaker.snapshot()
    entry: dict[str, Any] = {
        "name": backend.name,
        "description": backend.config.description,
        "running": any(each.connection is not None for each in backend),
        "state": backend.state.value,
        "status": "disabled" if backend.killed else "active",
        "transport": backend.config.transport,
        "tools_count": len(backend.tools),
        "circuit_breaker": breaker["state"],
    }
    if not entry["description"]:
        del entry["description"]
    if not backend.known:
        entry["tools_known"] = False
    if backend.failure is not None:
        entry["cause"] = backend.failure.reason
    elif backend.state.value == "starting":
        entry["cause"] = backend.situation()
    if breaker["retry_after_ms"]:
        entry["retry_after_ms"] = breaker["retry_after_ms"]
    entry |= trust_of(context, backend)
    remaining = context.pipeline.errors.remaining(backend.name, "")
    if remaining > 0:
        entry["disabled_for_s"] = round(remaining)
    return entry


def trust_of(context: GatewayContext, backend: BackendServer) -> dict[str, Any]:
    """Return what is withheld of a server, as a model may see it; {} if nothing is."""
    capability_service = context.capability_service
    if capability_service is not None and backend.name == capability_service.name:
        library = capability_service.library
        refused = library.refused if library is not None else {}
        found = [file_for_model(path, why) for path, why in refused.items()]
        return {"withheld": found[:WITHHELD_SHOWN]} if found else {}
    verdicts = [each.lists.verdict for each in backend if each.lists.verdict is not None]
    entry: dict[str, Any] = {}
    if blocked := next((each.blocked for each in verdicts if each.blocked), None):
        entry["blocked"] = blocked.for_model()
    withheld = dict.fromkeys(each for verdict in verdicts for each in verdict.withheld)
    if withheld:
        entry["withheld"] = for_model(withheld, WITHHELD_SHOWN)
        entry["withheld_count"] = len(withheld)
    doubts = dict.fromkeys(each.withheld for verdict in verdicts for each in verdict.doubts)
    if doubts:
        entry["warnings"] = for_model(doubts, WITHHELD_SHOWN)
    if problems := next((each.lists.problem for each in backend if each.lists.problem), ""):
        entry["problem"] = problems
    return entry


async def list_tools(tool_request: ToolRequest) -> Params:
    """Return one server's full definitions, or the names and descriptions of all tools."""
    arguments = tool_request.arguments
    role = _role(arguments)
    server = text_argument(arguments, "server", "backend", required=False)
    if server:
        return await _list_one(tool_request, server, role)
    offset = whole_number(arguments, "offset", default=0, low=0, high=10**9)
    pending = await tool_request.context.learn()
    tools: list[dict[str, Any]] = []
    for backend, name, tool in tool_request.context.tools(tool_request.session):
        if _has_role(tool, role):
            entry = {
                "server": backend.name,
                "name": name,
                "description": _short(tool, LISTED_DESCRIPTION_LIMIT),
            }
            if backend.killed:
                entry["status"] = "disabled"
            tools.append(entry)
    end = offset + LISTED_AT_ONCE
    payload: dict[str, Any] = {"tools": tools[offset:end], "total": len(tools)}
    if end < len(tools):
        payload["next_offset"] = end
        payload["hint"] = "Call again with `offset` for more, or use gateway_search_tools."
    if pending:
        payload["starting"] = list(pending)
    return answer(payload)


async def _list_one(tool_request: ToolRequest, server: str, role: str) -> Params:
    context = tool_request.context
    server = context.server_named(server)
    backend = context.pool.get(server)
    if backend is None:
        known = did_you_mean(server, context.pool.names)
        raise RpcError(NOT_FOUND, f"Backend not found: {server}.{known}")
    profile_name, profile = context.profile_of(tool_request.session)
    if not profile.allows_server(server):
        raise RpcError(
            INVALID_REQUEST,
            f"Backend '{server}' is not available in the '{profile_name}' routing profile",
        )
    problem = await _learn_one(backend) or backend.lists.problem
    tools = [
        tool
        for name, tool in backend.tools.items()
        if _has_role(tool, role) and context.shows(tool_request.session, server, name)
    ]
    payload: dict[str, Any] = {
        "server": server,
        "status": "disabled" if backend.killed else "active",
        "tools": tools,
    }
    if problem:
        payload["problem"] = problem
    return answer(payload)


async def _learn_one(backend: BackendServer) -> str:
    """Wait briefly for a server whose lists are unknown; return why there are none, or ""."""
    if backend.known or backend.killed:
        return ""
    with trio.move_on_after(min(backend.config.timeout, 2 * LEARNING_PATIENCE)):
        try:
            await backend.learned()
        except Unavailable as error:
            return str(error)
        return ""
    if backend.shared.connection is not None:
        return f"Server '{backend.name}' is still loading its tools; call again in a moment."
    return backend.situation()


async def search_tools(tool_request: ToolRequest) -> Params:
    """Return the tools that match a query, best first; the first ones with their input schema."""
    query = text_argument(tool_request.arguments, "query", "q")
    limit = whole_number(tool_request.arguments, "limit", default=10, low=1, high=25)
    explain = flag(tool_request.arguments, "explain")
    pending = await tool_request.context.learn()
    found = await find_tools(tool_request, query, limit=limit, explain=explain)
    hits = found.hits if found.fits else found.hits[:NEAREST]
    family = differential(hits)
    matches = []
    for position, hit in enumerate(hits):
        match = _match(tool_request.context, hit)
        if (text := family.get((hit.server, hit.tool))) is not None:
            match["differential_description"] = text
        schema = hit.definition.get("inputSchema")
        if position < SCHEMAS_IN_SEARCH and isinstance(schema, Mapping):
            match["inputSchema"] = schema
        else:
            match["input"] = input_summary(schema)
        matches.append(match)
    payload: dict[str, Any] = {
        "query": query,
        "matches": matches,
        "total": len(matches),
        "total_available": found.total,
    }
    if skills := _skills(tool_request.context, query):
        payload["skills"] = skills
    if found.corrections:
        payload["corrections"] = dict(found.corrections)
    if pending:
        payload["starting"] = list(pending)
    if not matches:
        payload["hint"] = _no_match(tool_request.context, pending)
    elif not found.fits:
        payload["fits"] = False
        payload["hint"] = (
            "No good match; these are the closest. Try other words, or there may be no such tool."
        )
    return answer(payload)


def _skills(context: GatewayContext, query: str) -> list[dict[str, str]]:
    """Return the skills that match a query; `uri` is the resource with the instructions."""
    if context.skills is None:
        return []
    found = [hit for hit in context.skills.search(query, SKILLS_SHOWN) if hit.score >= SKILL_FITS]
    return [
        {
            "name": hit.skill.name,
            "description": hit.skill.description[:DESCRIPTION_LIMIT],
            "uri": f"skill://{hit.skill.name}",
            "use": "Read this resource for instructions.",
        }
        for hit in found
    ]


async def find_tools(
    tool_request: ToolRequest, query: str, *, limit: int, explain: bool = False, server: str = ""
) -> SearchResult:
    """Search the tools visible to the session, ranked by match and by past performance."""
    context = tool_request.context
    await context.index.prepare()
    reader = SignalReader(context)

    def allowed(owner: str, tool: str) -> bool:
        return (not server or owner == server) and context.shows(tool_request.session, owner, tool)

    restricted = server or context.config.routing_profiles or context.has_states
    found = context.index.search(
        query,
        limit=limit,
        signals=reader.signals,
        allowed=allowed if restricted else None,
        explain=explain,
    )
    context.usage.count("searches")
    context.usage.count("tools_found", found.total)
    return found


def _match(context: GatewayContext, hit: Hit) -> dict[str, Any]:
    match: dict[str, Any] = {
        "server": hit.server,
        "tool": hit.tool,
        "description": _short(hit.definition, DESCRIPTION_LIMIT),
        "score": round(hit.score, 3),
    }
    backend = context.pool.get(hit.server)
    if (backend is not None and backend.killed) or context.pipeline.errors.remaining(
        hit.server, hit.tool
    ) > 0:
        match["status"] = "disabled"
    if hit.ranking is not None:
        match["ranking"] = hit.ranking
    return match


def _no_match(context: GatewayContext, pending: tuple[str, ...]) -> str:
    if pending:
        return f"No match yet. Still starting: {', '.join(pending)}. Search again in a moment."
    if not len(context.pool):
        return "No servers are configured. Add one under `backends` in gateway.yaml."
    failed = [backend.name for backend in context.pool if backend.failure is not None]
    if failed:
        return (
            f"No match. Not running: {', '.join(failed)}; see gateway_list_servers for the cause."
        )
    return "No match. Try other words, or list all tools with gateway_list_tools."


def _short(tool: Mapping[str, Any], limit: int) -> str:
    text = tool.get("description") or tool.get("title")
    if not isinstance(text, str):
        return ""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _role(arguments: Params) -> str:
    role = arguments.get("role")
    if role is None:
        return ""
    if not isinstance(role, str) or role.lower() not in ROLES:
        raise RpcError(
            INVALID_REQUEST, f"Invalid role filter {role!r:.40} (expected {'|'.join(ROLES)})"
        )
    return role.lower()


def _has_role(tool: Mapping[str, Any], role: str) -> bool:
    """Tell whether a tool has a role: its declared `role`, else by its annotations and name."""
    if not role:
        return True
    own = tool.get("role")
    if isinstance(own, str) and own.lower() in ROLES:
        return own.lower() == role
    if not reads_only(tool):
        return role == "action"
    name = str(tool.get("name", "")).lower().replace("-", "_")
    return role == ("selector" if _SELECTING.intersection(name.split("_")) else "extractor")


def counts(context: GatewayContext) -> str:
    """Return the number of tools and servers, such as `12 tools on 3 servers and APIs`.

    Clients keep definitions in their prompt caches, so the text must not change while a gateway
    starts: the tools are counted once those of all servers are known, and those of the built-in
    server, which is loaded later, are not counted.
    """
    service = context.capability_service
    builtin = service.name if service is not None else ""
    servers = [backend for backend in context.pool if backend.name != builtin]
    apis = len(servers) < len(context.pool)
    if not servers and apis:
        return "tools for APIs"
    known = all(backend.known for backend in servers)
    number = sum(len(backend.tools) for backend in servers)
    text = f"{plural(number, 'tool')} on" if known else "tools of"
    return f"{text} {plural(len(servers), 'server')}{' and APIs' if apis else ''}"


TOOLS = (
    MetaTool(
        name="gateway_list_servers",
        title="List Servers",
        describe=lambda context: (
            f"List the {plural(len(context.pool), 'connected server')}: status, tool count, circuit"
            " breaker, cause of failure."
        ),
        hints=READS,
        call=list_servers,
        result_keys=("servers",),
    ),
    MetaTool(
        name="gateway_list_tools",
        title="List Tools",
        describe=lambda context: (
            f"List all {counts(context)} in brief, or one server's full definitions."
            " To find a tool, search instead."
        ),
        hints=READS,
        call=list_tools,
        properties={
            "server": {"type": "string"},
            "role": {"type": "string", "enum": list(ROLES)},
        },
        result_keys=("tools",),
        unlisted=("backend", "offset"),
    ),
    MetaTool(
        name="gateway_search_tools",
        title="Search Tools",
        describe=lambda context: (
            f"Find tools for a task in {counts(context)}. Returns ranked matches (synonyms"
            " understood), the best with input schema; then use gateway_invoke."
        ),
        hints=READS,
        call=search_tools,
        properties={
            "query": {"type": "string"},
            "limit": {"type": "integer", "maximum": 25, "default": 10},
            "explain": {"type": "boolean"},
        },
        required=("query",),
        result_keys=("matches",),
        unlisted=("q",),
    ),
)
