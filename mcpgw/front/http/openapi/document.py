"""OpenAPI documents of MCP servers: each tool is a POST operation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from mcpgw.front.http.openapi.schemas import embed

OPENAPI: Final = "3.1.0"
SCHEMAS: Final = "#/components/schemas/"

_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
"""Characters that are not allowed in the name of a component (OpenAPI 3.1, components)."""

_FAULTS: Final[Mapping[str, str]] = {
    "400": "The body is not JSON, or the arguments are not valid for the tool.",
    "401": "The token is missing or wrong.",
    "403": "This client may not use the tool.",
    "404": "There is no such server or tool.",
    "409": "The same call is still being answered.",
    "413": "The body is too large.",
    "415": "The Content-Type is not application/json.",
    "422": "The tool ran and failed; `detail` is its own message.",
    "429": "Too many calls; `Retry-After` may give the time to wait.",
    "500": "Internal gateway error (see the log).",
    "502": "The server behind the gateway failed.",
    "503": "The server behind the gateway cannot be reached.",
    "504": "The server behind the gateway did not answer in time.",
}

_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do next."},
        "code": {"type": "integer", "description": "The JSON-RPC error code, if there is one."},
        "reason": {"type": "string", "description": "The kind of failure, for programs."},
        "data": {"description": "The `data` of the server's error."},
        "content": {"type": "array", "description": "MCP content other than text."},
    },
}

_ANSWER: Final[Mapping[str, Any]] = {
    "description": (
        "The tool does not declare a schema for its result. A single text block with a JSON object"
        ' or array is returned as that JSON, any other text as `{"text": ...}`. A single image or'
        " audio clip is returned as such if `Accept` prefers its media type. Anything else is MCP"
        " content: one block as an object, several or none as an array."
    ),
    "type": ["object", "array"],
}


def document(
    server: str,
    info: Mapping[str, Any],
    tools: Sequence[Mapping[str, Any]],
    *,
    base_url: str,
    secured: bool,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server's tools.

    The tools' schemas are `NAME.arguments` and `NAME.result` under `components.schemas`, with the
    same meaning as in MCP; see `embed` for their references.

    Args:
      server: the server's name.
      info: its own `title`, `name`, `version`, `instructions` and `description`.
      tools: its tools, as in the result of `tools/list`.
      base_url: the URL before `/{tool}`; may be a path alone.
      secured: whether requests need a bearer token.
    """
    schemas: dict[str, Any] = {"Problem": dict(_PROBLEM), "Answer": dict(_ANSWER)}
    paths: dict[str, Any] = {}
    for name, tool in operation_names(tools).items():
        path = tool_path(str(tool["name"]))
        paths[path] = {"post": _operation(server, name, tool, schemas, secured=secured)}
    found: dict[str, Any] = {
        "openapi": OPENAPI,
        "info": _info(server, info),
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {"schemas": schemas, "responses": _responses(secured=secured)},
    }
    if secured:
        found["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"bearer": []}]
    return found


def tool_path(name: str) -> str:
    """Return the path of a tool below its server, percent-encoded."""
    return "/" + quote(name, safe="", errors="replace")


def operation_names(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the tools by operation id: the tool's name in the characters that OpenAPI allows.

    Tools without a name, or with the name of an earlier tool, are left out: they cannot be called.
    """
    named: dict[str, Mapping[str, Any]] = {}
    seen: set[str] = set()
    for tool in tools:
        name = tool.get("name")
        if not isinstance(name, str) or not name or name in seen:
            continue
        seen.add(name)
        plain = unique = _NAME.sub("_", name)
        number = 1
        while unique in named:
            number += 1
            unique = f"{plain}_{number}"
        named[unique] = tool
    return named


def title_of(tool: Mapping[str, Any]) -> str:
    """Return the display name of a tool."""
    annotations = tool.get("annotations")
    hinted = annotations.get("title") if isinstance(annotations, Mapping) else None
    return _text(tool.get("title")) or _text(hinted) or _text(tool.get("name"))


def _info(server: str, info: Mapping[str, Any]) -> dict[str, Any]:
    described = {
        "title": _text(info.get("title")) or _text(info.get("name")) or server,
        "version": _text(info.get("version")) or "0",
    }
    parts = _text(info.get("description")), _text(info.get("instructions"))
    if any(parts):
        described["description"] = "\n\n".join(filter(None, parts))
    return described


def _operation(
    server: str, name: str, tool: Mapping[str, Any], schemas: dict[str, Any], *, secured: bool
) -> dict[str, Any]:
    taken = schemas[f"{name}.arguments"] = embed(
        tool.get("inputSchema"), f"{SCHEMAS}{name}.arguments"
    )
    given = f"{SCHEMAS}Answer"
    if isinstance(tool.get("outputSchema"), Mapping):
        given = f"{SCHEMAS}{name}.result"
        schemas[f"{name}.result"] = embed(tool["outputSchema"], given)
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": title_of(tool),
        "requestBody": {
            "description": "The arguments; an empty body is the same as `{}`.",
            "required": bool(taken.get("required")),
            "content": _json({"$ref": f"{SCHEMAS}{name}.arguments"}),
        },
        "responses": {
            "200": {"description": "The tool's result.", "content": _json({"$ref": given})},
            **{
                status: {"$ref": f"#/components/responses/Problem{status}"}
                for status in _faults(secured=secured)
            },
        },
        "x-mcp": _mcp(server, tool),
    }
    if description := _text(tool.get("description")):
        operation["description"] = description
    return operation


def _mcp(server: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a tool that OpenAPI has no field for."""
    kept = {key: tool[key] for key in ("annotations", "icons", "execution") if tool.get(key)}
    return {"server": server, "tool": tool["name"], **kept}


def _faults(*, secured: bool) -> list[str]:
    return [status for status in _FAULTS if secured or status != "401"]


def _responses(*, secured: bool) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": f"{SCHEMAS}Problem"}}}
    return {
        f"Problem{status}": {"description": _FAULTS[status], "content": problem}
        for status in _faults(secured=secured)
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
