"""OpenAPI documents of single operations, and the requests that imported operations make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcpgw.capabilities.http_sender import HttpRequest
from mcpgw.capabilities.inputs import with_defaults
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.requests import draft, values_of
from mcpgw.openapi_import import Imported, convert
from mcpgw.openapi_import.writing import rendered

SOURCE = "https://api.example.com/openapi.json"


def document(paths: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a document of OpenAPI 3.1."""
    base = {"openapi": "3.1.0", "info": {"title": "Example"}, "paths": dict(paths)}
    return {**base, "servers": [{"url": "https://api.example.com/v1"}], **more}


def imported(operation: Mapping[str, Any], method: str = "post", **more: Any) -> Imported:
    """Return the capability of one operation, at `/x`."""
    found = convert(document({"/x": {method: dict(operation)}}, **more), source=SOURCE)
    assert () == found.skipped
    return found.capabilities[0]


def body(schema: Any, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    """Return an operation with a required body of a schema."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema, **more}}}}


def input_of(made: Imported) -> dict[str, Any]:
    """Return the input schema."""
    schema: dict[str, Any] = made.document["schema"]["input"]
    return schema


def field_of(schema: Any, **more: Any) -> dict[str, Any]:
    """Return what a schema becomes as the field `f` of a body."""
    made = imported(body({"type": "object", "properties": {"f": schema}}), **more)
    found: dict[str, Any] = input_of(made)["properties"]["f"]
    return found


def request_of(
    made: Imported, secrets: Any = None, credential: str = "", **inputs: Any
) -> HttpRequest:
    """Read the file of a capability back and return the request of a call."""
    capability, _ = read_capability(Path(f"{made.name}.yaml"), rendered(made))
    assert capability.primary is not None
    values = with_defaults(capability, inputs)
    return draft(
        capability.primary, values, values_of(values, secrets or {}), capability.auth, credential
    ).outgoing()
