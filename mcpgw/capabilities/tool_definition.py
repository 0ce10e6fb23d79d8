"""Tool definitions of capabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcpgw.capabilities.model import Capability

WRAPPED: Final = "result"
"""The key of structured content that is not an object itself."""
MOST_HINTS: Final = 60
"""Keywords of one tool."""
_OPEN: Final = frozenset(
    {"additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames"}
    | {"allOf", "anyOf", "oneOf", "$ref", "if"}
)
"""Keywords of a schema that define other properties themselves."""


def tool_definition(capability: Capability) -> dict[str, Any]:
    """Return the definition for `tools/list` (MCP 2025-11-25, tools)."""
    metadata = capability.metadata
    definition: dict[str, Any] = {"name": capability.name}
    if capability.title:
        definition["title"] = capability.title
    definition["description"] = capability.description or capability.title or capability.name
    definition["inputSchema"] = _input_schema(capability)
    output = output_schema(capability)
    if output is not None:
        definition["outputSchema"] = output
    read_only = capability.read_only
    annotations: dict[str, Any] = {"readOnlyHint": read_only}
    # A hint that is not known is left out; its default assumes the worst (MCP 2025-11-25, schema).
    harmless = True if read_only else None
    destructive = False if metadata.destructive is None and harmless else metadata.destructive
    idempotent = harmless if metadata.idempotent is None else metadata.idempotent
    if destructive is not None:
        annotations["destructiveHint"] = destructive
    if idempotent is not None:
        annotations["idempotentHint"] = idempotent
    annotations["openWorldHint"] = True if metadata.open_world is None else metadata.open_world
    if capability.title:
        annotations["title"] = capability.title
    definition["annotations"] = annotations
    words = keywords(capability)
    if words:
        definition["_meta"] = {"mcpgw/keywords": words}
    return definition


def _input_schema(capability: Capability) -> dict[str, Any]:
    declared = capability.schema.input
    schema: dict[str, Any] = (
        {"type": "object", **declared} if declared else {"type": "object", "properties": {}}
    )
    if schema.get("properties") and not _OPEN & schema.keys():
        # Unknown arguments would be ignored silently.
        schema["additionalProperties"] = False
    examples = [dict(each.arguments) for each in capability.examples if each.arguments]
    if examples and "examples" not in schema:
        schema["examples"] = examples[:2]
    return schema


def output_schema(capability: Capability) -> dict[str, Any] | None:
    """Return the schema of structured content, None without one.

    Structured content must be an object (MCP 2025-11-25, tools), so other types are wrapped.
    """
    declared = capability.schema.output
    if declared is None:
        return None
    if declared.get("type", "object") == "object":
        schema = {"type": "object", **declared}
    else:
        schema = {
            "type": "object",
            "properties": {WRAPPED: dict(declared)},
            "required": [WRAPPED],
        }
    extras = _extras(capability)
    if extras and isinstance(schema.get("properties", {}), Mapping):
        schema["properties"] = {**schema.get("properties", {}), **extras}
    return schema


def _extras(capability: Capability) -> dict[str, Any]:
    """Return the schemas of what is added to results; see `outcomes.extras_of`."""
    found: dict[str, Any] = {}
    for provider in capability.providers:
        config = provider.config
        if config.response_headers:
            text = {"type": "string"}
            found["_headers"] = {"type": "object", "additionalProperties": text}
        if config.pagination is not None and config.pagination.returned_as:
            what = "Cursor of the next page; null after the last one."
            found[config.pagination.returned_as] = {"description": what}
    return found


def keywords(capability: Capability) -> list[str]:
    """Return keywords for search: tags, category and the properties of the output."""
    found: dict[str, None] = {}
    for text in (*capability.metadata.tags, capability.metadata.category):
        found[text.lower()] = None
    output = capability.schema.output
    properties = output.get("properties") if isinstance(output, Mapping) else None
    for name in properties if isinstance(properties, Mapping) else ():
        found[str(name).lower()] = None
    return [word for word in found if word][:MOST_HINTS]
