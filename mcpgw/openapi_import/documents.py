"""The contents of capability files: what an operation becomes, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcpgw.openapi_import.operations import Request
from mcpgw.openapi_import.responses import Response
from mcpgw.openapi_import.security import Credentials
from mcpgw.openapi_import.texts import identifier, sentence
from mcpgw.openapi_import.values import as_list

TIMEOUT: Final = 30
"""Seconds."""
_READS: Final = ("get", "head", "options", "query")
_CURSORS: Final = ("cursor", "page_token", "pageToken", "next_token", "nextToken", "after")
_NEXT: Final = ("next_cursor", "nextCursor", "nextPageToken", "next_page_token", "nextToken")


def provider_config(
    base_url: str,
    path: str,
    method: str,
    request: Request,
    credentials: Credentials,
    response: Response,
) -> dict[str, Any]:
    """Return the `config` of the provider that sends an operation's request."""
    config: dict[str, Any] = {"base_url": base_url, "path": path, "method": method.upper()}
    headers = {**request.headers, **credentials.headers}
    params = {**request.params, **credentials.params}
    cookies = {**request.cookies, **credentials.cookies}
    parts = (("params", params), ("headers", headers), ("cookies", cookies))
    config |= {key: value for key, value in parts if value}
    if request.body is not None:
        config["body"] = request.body
        if request.content_type:
            config["body_content_type"] = request.content_type
        if request.body_required:
            config["body_required"] = True
    if request.styles:
        config["styles"] = request.styles
    if response.form:
        config["response_format"] = response.form
    if (pages := _pagination(request, response.schema)) is not None:
        config["pagination"] = pages
    return config


def capability_document(
    name: str,
    method: str,
    operation: Mapping[str, Any],
    request: Request,
    config: dict[str, Any],
    input_schema: dict[str, Any],
    *,
    cost_per_call: float = 0.0,
) -> dict[str, Any]:
    """Return a capability file without `auth` and output schema.

    Args:
      name: name of the capability.
      method: HTTP method, in lower case.
      operation: the operation.
      request: its request.
      config: its provider's `config`.
      input_schema: the schema of its inputs.
      cost_per_call: price of a call, in USD.
    """
    title = sentence(operation.get("summary"), 80)
    provider: dict[str, Any] = {"service": "rest", "timeout": TIMEOUT, "config": config}
    if cost_per_call:
        provider["cost_per_call"] = cost_per_call
    document: dict[str, Any] = {"fulcrum": "1.0", "name": name}
    if title:
        document["title"] = title
    document["description"] = _description(operation, method, config["path"])
    document["schema"] = {"input": input_schema}
    document["providers"] = {"primary": provider}
    document["metadata"] = _metadata(operation, method)
    if (example := request.example()) is not None:
        document["examples"] = [{"description": "From the document.", "arguments": example}]
    return document


def tags_of(operation: Mapping[str, Any]) -> list[str]:
    """Return the tags of an operation."""
    return [str(tag) for tag in as_list(operation.get("tags"))]


def _metadata(operation: Mapping[str, Any], method: str) -> dict[str, Any]:
    own = [identifier(tag) for tag in tags_of(operation) if identifier(tag)]
    metadata: dict[str, Any] = {
        "category": "api",
        "tags": list(dict.fromkeys(["openapi", *own]))[:8],
        "cost_category": "unknown",
        "execution_time": "medium",
        "read_only": method in _READS,
    }
    # Hints that the document does not give are left out; clients then assume the worst.
    if method == "delete":
        metadata["destructive"] = True
    if method in (*_READS, "put", "delete"):
        metadata["idempotent"] = True
    docs = operation.get("externalDocs")
    if isinstance(docs, Mapping) and str(docs.get("url", "")).startswith("http"):
        metadata["docs"] = str(docs["url"])
    return metadata


def _description(operation: Mapping[str, Any], method: str, path: str) -> str:
    summary, more = sentence(operation.get("summary")), sentence(operation.get("description"))
    if summary and more and summary.rstrip(".").lower() not in more.lower():
        stop = "" if summary.endswith((".", "!", "?", "…")) else "."
        return sentence(f"{summary}{stop} {more}")
    return more or summary or f"{method.upper()} {path}"


def _pagination(request: Request, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the pagination of an operation if its parameters and output make it plain."""
    properties = schema.get("properties") if schema else None
    if not isinstance(properties, Mapping):
        return None
    parameter = next((name for name in _CURSORS if name in request.params), None)
    following = next((name for name in _NEXT if name in properties), None)
    lists = [
        name
        for name, each in properties.items()
        if isinstance(each, Mapping) and _is_array(each.get("type"))
    ]
    if parameter is None or following is None or len(lists) != 1:
        return None
    return {"style": "cursor", "parameter": parameter, "next": following, "items": lists[0]}


def _is_array(kind: Any) -> bool:
    return "array" in (kind if isinstance(kind, list) else [kind])
