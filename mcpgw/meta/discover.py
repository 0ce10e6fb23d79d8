"""The discovery tools: which servers there are, which tools, and which fits a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from mcpgw.backends.backend import Backend
from mcpgw.backends.states import Unavailable
from mcpgw.catalog.suggest import did_you_mean
from mcpgw.catalog.summary import input_summary
from mcpgw.meta.surface import (
    LEARNING_PATIENCE,
    READS,
    MetaTool,
    Surface,
    answer,
    text_argument,
    whole_number,
)
from mcpgw.protocol.errors import INVALID_REQUEST, NOT_FOUND, RpcError
from mcpgw.protocol.peer import Params, Request

SCHEMAS_IN_SEARCH: Final = 3
"""Hits that come with their whole input schema; the others with one line."""
DESCRIPTION_LIMIT: Final = 500
"""Characters of a description in a search result."""
LISTED_DESCRIPTION_LIMIT: Final = 200
"""Characters of a description in the list of all tools."""
ROLES: Final = ("selector", "extractor", "enricher", "action")
_SELECTING: Final = frozenset({"search", "list", "find", "query", "discover", "browse"})


async def list_servers(surface: Surface, _arguments: Params, _request: Request | None) -> Params:
    """Return every server with its state, and the cause where it does not run."""
    payload: dict[str, Any] = {"servers": [describe_server(backend) for backend in surface.pool]}
    if surface.config_problem:
        payload["config_problem"] = surface.config_problem
    return answer(payload)


def describe_server(backend: Backend) -> dict[str, Any]:
    """Return a server's entry of the list."""
    breaker = backend.breaker.snapshot()
    entry: dict[str, Any] = {
        "name": backend.name,
        "description": backend.config.description,
        "running": backend.connection is not None,
        "state": backend.state.value,
        "status": "disabled" if backend.killed else "active",
        "transport": "stdio",
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
    return entry


async def list_tools(surface: Surface, arguments: Params, _request: Request | None) -> Params:
    """Return one server's whole definitions, or the names and descriptions of all tools."""
    role = _role(arguments)
    server = text_argument(arguments, "server", "backend", required=False)
    if server:
        backend = surface.pool.get(server)
        if backend is None:
            known = did_you_mean(server, surface.pool.names)
            raise RpcError(NOT_FOUND, f"Backend not found: {server}.{known}")
        problem = await _learn_one(backend)
        payload: dict[str, Any] = {
            "server": server,
            "status": "disabled" if backend.killed else "active",
            "tools": [tool for tool in backend.tools.values() if _plays(tool, role)],
        }
        if problem:
            payload["problem"] = problem
        return answer(payload)
    pending = await surface.learn()
    tools: list[dict[str, Any]] = []
    for backend in surface.pool:
        for tool in backend.tools.values():
            if _plays(tool, role):
                entry = {
                    "server": backend.name,
                    "name": tool["name"],
                    "description": _short(tool, LISTED_DESCRIPTION_LIMIT),
                }
                if backend.killed:
                    entry["status"] = "disabled"
                tools.append(entry)
    payload = {"tools": tools, "total": len(tools)}
    if pending:
        payload["starting"] = list(pending)
    return answer(payload)


async def _learn_one(backend: Backend) -> str:
    """Wait a little for a server that was never listed; return why it has no list."""
    if backend.known or backend.killed:
        return ""
    with trio.move_on_after(min(backend.config.timeout, 2 * LEARNING_PATIENCE)):
        try:
            await backend.learned()
        except Unavailable as error:
            return str(error)
        return ""
    return backend.situation()


async def search_tools(surface: Surface, arguments: Params, _request: Request | None) -> Params:
    """Return the tools that fit a query, best first, the best with their input schema."""
    query = text_argument(arguments, "query", "q")
    limit = whole_number(arguments, "limit", default=10, low=1, high=25)
    pending = await surface.learn()
    await surface.index.prepare()
    found = surface.index.search(query, limit=limit)
    surface.stats.searches += 1
    surface.stats.tools_found += found.total
    matches = []
    for position, hit in enumerate(found.hits):
        match: dict[str, Any] = {
            "server": hit.server,
            "tool": hit.tool,
            "description": _short(hit.definition, DESCRIPTION_LIMIT),
            "score": round(hit.score, 3),
        }
        schema = hit.definition.get("inputSchema")
        if position < SCHEMAS_IN_SEARCH and isinstance(schema, Mapping):
            match["inputSchema"] = schema
        else:
            match["input"] = input_summary(schema)
        backend = surface.pool.get(hit.server)
        if backend is not None and backend.killed:
            match["status"] = "disabled"
        matches.append(match)
    payload: dict[str, Any] = {
        "query": query,
        "matches": matches,
        "total": len(matches),
        "total_available": found.total,
    }
    if found.corrections:
        payload["corrections"] = dict(found.corrections)
    if pending:
        payload["starting"] = list(pending)
    if not matches:
        payload["hint"] = _no_match(surface, pending)
    return answer(payload, structured=True)


def _no_match(surface: Surface, pending: tuple[str, ...]) -> str:
    if pending:
        return f"No match yet. Still starting: {', '.join(pending)}; search again in a moment."
    if not len(surface.pool):
        return "No servers are configured. Add one under `backends` in gateway.yaml."
    failed = [backend.name for backend in surface.pool if backend.failure is not None]
    if failed:
        return f"No match. Not running: {', '.join(failed)}; gateway_list_servers says why."
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


def _plays(tool: Mapping[str, Any], role: str) -> bool:
    """Tell whether a tool has a role; it is inferred from the annotations and the name."""
    if not role:
        return True
    annotations = tool.get("annotations")
    reads = isinstance(annotations, Mapping) and annotations.get("readOnlyHint") is True
    if not reads:
        return role == "action"
    name = str(tool.get("name", "")).lower().replace("-", "_")
    return role == ("selector" if _SELECTING.intersection(name.split("_")) else "extractor")


def _counts(surface: Surface) -> str:
    tools, servers = surface.count_tools(), len(surface.pool)
    return (
        f"{tools} tool{'' if tools == 1 else 's'} on {servers} server{'' if servers == 1 else 's'}"
    )


TOOLS = (
    MetaTool(
        name="gateway_list_servers",
        title="List Servers",
        describe=lambda surface: (
            f"List the servers behind this gateway ({len(surface.pool)}): state, tool count,"
            " circuit breaker, cause of a failure."
        ),
        hints=READS,
        call=list_servers,
    ),
    MetaTool(
        name="gateway_list_tools",
        title="List Tools",
        describe=lambda surface: (
            f"List tools ({_counts(surface)}); with `server`, its whole definitions."
            " To find a tool for a task, gateway_search_tools is better."
        ),
        hints=READS,
        call=list_tools,
        properties={
            "server": {"type": "string", "description": "Only this server"},
            "role": {"type": "string", "enum": list(ROLES)},
        },
    ),
    MetaTool(
        name="gateway_search_tools",
        title="Search Tools",
        describe=lambda surface: (
            f"Find tools by task or keywords among {_counts(surface)}. Ranked; the best hits"
            " come with their input schema. Then call gateway_invoke."
        ),
        hints=READS,
        call=search_tools,
        properties={
            "query": {"type": "string", "description": "What the tool should do"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 25, "default": 10},
        },
        required=("query",),
        output_schema={
            "type": "object",
            "properties": {"matches": {"type": "array", "items": {"type": "object"}}},
            "required": ["matches"],
        },
    ),
)
