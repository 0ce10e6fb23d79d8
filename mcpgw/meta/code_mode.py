"""Code mode: two tools instead of all meta-tools, one to search and one to execute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.discovery import counts, find_tools
from mcpgw.meta.invoke import OWN, beside, invoke_tool, names_of
from mcpgw.meta.tool import (
    INVOKES,
    READS,
    MetaTool,
    answer,
    flag,
    object_argument,
    text_argument,
    whole_number,
)
from mcpgw.protocol.errors import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.shaping.results import texts
from mcpgw.text.did_you_mean import did_you_mean

_ARGUMENTS: Final = ("tool", "arguments", "chain", "args", "params")
MAX_STEPS: Final = 50
"""The most steps of one chain."""


async def search(tool_request: ToolRequest) -> Params:
    """Search by words, or match names and `server:name` against a pattern with `*` or `?`."""
    query = text_argument(tool_request.arguments, "query", "q")
    limit = whole_number(tool_request.arguments, "limit", default=10, low=1, high=25)
    with_schema = flag(tool_request.arguments, "include_schema", default=True)
    pending = await tool_request.context.learn()
    server, colon, rest = query.partition(":")
    only = server if colon and tool_request.context.pool.get(server) is not None else ""
    words = rest if only else query
    found: list[tuple[str, Mapping[str, Any], float | None]]
    if "*" in words or "?" in words:
        found = _by_pattern(tool_request, words, only, limit)
    else:
        hits = await find_tools(tool_request, words or query, limit=limit, server=only)
        found = [(hit.server, hit.definition, round(hit.score, 3)) for hit in hits.hits]
    rows = []
    for owner, definition, score in found:
        row: dict[str, Any] = {
            "tool": f"{owner}:{definition['name']}",
            "description": definition.get("description", ""),
        }
        if score is not None:
            row["score"] = score
        if with_schema:
            row["inputSchema"] = definition.get("inputSchema", {"type": "object"})
        rows.append(row)
    payload: dict[str, Any] = {"query": query, "matches": rows, "total": len(rows)}
    if pending:
        payload["starting"] = list(pending)
    return answer(payload)


def _by_pattern(
    tool_request: ToolRequest, pattern: str, only: str, limit: int
) -> list[tuple[str, Mapping[str, Any], float | None]]:
    wanted = pattern.lower()
    found: list[tuple[str, Mapping[str, Any], float | None]] = []
    for backend, name, tool in tool_request.context.tools(tool_request.session):
        names = (name.lower(), f"{backend.name}:{name}".lower())
        if only in ("", backend.name) and any(_matches(wanted, each) for each in names):
            found.append((backend.name, tool, None))
    return found[:limit]


def _matches(pattern: str, name: str) -> bool:
    """Match a pattern of `*` and `?`; brackets have no special meaning."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


async def execute(tool_request: ToolRequest) -> Params:
    """Call one tool by `server:name`, or a chain of tools that may use earlier results.

    Raises:
      RpcError: the arguments are invalid, or a step of a chain failed.
    """
    chain = tool_request.arguments.get("chain")
    if isinstance(chain, str):
        try:
            chain = json.loads(chain)
        except ValueError as error:
            raise RpcError(INVALID_PARAMS, f"'chain' is not valid JSON: {error}") from error
    if chain is None:
        server, tool = _target(tool_request, text_argument(tool_request.arguments, "tool"))
        arguments = _arguments(tool_request, tool_request.arguments, server, tool)
        return await invoke_tool(tool_request, server, tool, arguments)
    if not isinstance(chain, list) or not 0 < len(chain) <= MAX_STEPS:
        raise RpcError(INVALID_PARAMS, f"'chain' must be a list of 1 to {MAX_STEPS} steps")
    beside(tool_request.arguments, {}, _ARGUMENTS, {})
    return await _run(tool_request, chain)


async def _run(tool_request: ToolRequest, chain: list[Any]) -> Params:
    from mcpgw.playbooks.expressions import interpolate
    from mcpgw.playbooks.runner import payload_of

    results: list[dict[str, Any]] = []
    scope: dict[str, Any] = {}
    for number, step in enumerate(chain):
        if not isinstance(step, dict):
            raise RpcError(INVALID_PARAMS, f"Chain step {number} must be an object")
        reference = text_argument(step, "tool")
        server, tool = _target(tool_request, reference)
        arguments = interpolate(_arguments(tool_request, step, server, tool), scope)
        result = await invoke_tool(tool_request, server, tool, arguments, full=True)
        if result.get("isError") is True:
            text = " ".join(texts(result))
            raise RpcError(
                INTERNAL_ERROR,
                f"Chain step {number} ({reference}) failed: {text or 'no reason given'}",
                {"step": number, "completed": results},
            )
        payload = payload_of(result)
        scope[f"step{number}"] = scope["prev"] = payload
        results.append({"step": number, "tool": f"{server}:{tool}", "result": payload})
    return answer({"steps": len(results), "results": results})


def _arguments(tool_request: ToolRequest, call: Params, server: str, tool: str) -> Params:
    """Return the arguments of a call or of a step of a chain."""
    given = object_argument(call, "arguments", "args", "params")
    return beside(call, given, _ARGUMENTS, names_of(tool_request, server, tool))


def _target(tool_request: ToolRequest, reference: str) -> tuple[str, str]:
    """Return the server and tool of `server:name`, or of a name that only one server has."""
    server, colon, name = reference.partition(":")
    if colon and (server == OWN or tool_request.context.pool.get(server) is not None):
        return server, name
    owners = [
        backend.name
        for backend, offered, _ in tool_request.context.tools(tool_request.session)
        if offered == reference
    ]
    if len(owners) == 1:
        return owners[0], reference
    if owners:
        choices = ", ".join(f"{each}:{reference}" for each in owners)
        raise RpcError(
            INVALID_PARAMS, f"Several servers have a tool '{reference}'; use one of: {choices}"
        )
    known = [
        f"{backend.name}:{offered}"
        for backend, offered, _ in tool_request.context.tools(tool_request.session)
    ]
    raise RpcError(
        INVALID_PARAMS,
        f"Unknown tool '{reference}'; give it as server:name.{did_you_mean(reference, known)}",
    )


def _on(context: GatewayContext) -> bool:
    return context.config.code_mode.enabled


TOOLS = (
    MetaTool(
        name="gateway_search",
        title="Search",
        describe=lambda context: (
            f"Find tools among {counts(context)} by task, keywords, or a name pattern with *."
            " Returns server:name, description and input schema."
        ),
        hints=READS,
        call=search,
        properties={
            "query": {"type": "string"},
            "limit": {"type": "integer", "maximum": 25, "default": 10},
            "include_schema": {"type": "boolean", "default": True},
        },
        required=("query",),
        result_keys=("matches",),
        listed=_on,
        unlisted=("q",),
    ),
    MetaTool(
        name="gateway_execute",
        title="Execute",
        describe=lambda _context: (
            "Call a tool (server:name) with arguments, or a `chain` of {tool, arguments} in order;"
            " later steps may use $prev.path or $step0.path of earlier results."
        ),
        hints=INVOKES,
        call=execute,
        properties={
            "tool": {"type": "string"},
            "arguments": {"type": "object"},
            "chain": {"type": "array", "items": {"type": "object"}},
        },
        listed=_on,
        takes_others=True,
    ),
)
