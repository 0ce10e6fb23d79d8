"""Descriptions and sample values of JSON schemas for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard
from urllib.parse import unquote

import attrs

DEEPEST: Final = 8
"""Levels of a sample; deeper values are left out."""
MOST_PROPERTIES: Final = 60

_OF_FORMAT: Final[Mapping[str, str]] = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}


@attrs.frozen
class Field:
    """One argument of a tool, as a page shows it."""

    name: str
    type: str
    required: bool
    description: str
    default: Any = None
    choices: tuple[Any, ...] = ()


def fields(schema: Any) -> list[Field]:
    """Return the arguments that a schema describes, the required ones first."""
    resolved = _resolved(schema, schema)
    required = _names(resolved.get("required"))
    found = []
    for name, inner in _properties(resolved).items():
        seen = _resolved(inner, schema)
        choices = seen.get("enum")
        found.append(
            Field(
                str(name),
                type_words(inner, schema),
                name in required,
                _text(seen.get("description")) or _text(seen.get("title")),
                seen.get("default"),
                tuple(choices) if isinstance(choices, list) else (),
            )
        )
    return sorted(found, key=lambda field: not field.required)


def type_words(schema: Any, root: Any, depth: int = 0) -> str:
    """Return the type of a schema in a few words."""
    seen = _resolved(schema, root)
    if depth > 3 or not seen:
        return "any"
    if "const" in seen:
        return repr(seen["const"])
    kind = seen.get("type")
    if isinstance(kind, list):
        return " or ".join(str(item) for item in kind)
    if kind == "array":
        return f"array of {type_words(seen.get('items', {}), root, depth + 1)}"
    if isinstance(kind, str):
        return kind
    for keyword in ("anyOf", "oneOf"):
        if isinstance(choices := seen.get(keyword), list):
            words = (type_words(choice, root, depth + 1) for choice in choices)
            return " or ".join(dict.fromkeys(words))
    if isinstance(seen.get("enum"), list):
        return "one of"
    return "object" if "properties" in seen else "any"


def sample(schema: Any, *, everything: bool = False) -> Any:
    """Return a sample value for a schema.

    Its own constants, defaults, examples and choices come first. Objects get their required
    properties, or all of them with `everything`.
    """
    return _sample(schema, schema, 0, everything)


def _sample(schema: Any, root: Any, depth: int, everything: bool) -> Any:
    seen = _resolved(schema, root)
    if (documented := _documented(seen)) is not _NOTHING:
        return documented
    for keyword in ("anyOf", "oneOf"):
        if isinstance(choices := seen.get(keyword), list) and choices and "type" not in seen:
            return _sample(choices[0], root, depth, everything) if depth < DEEPEST else None
    kind = seen.get("type", "object" if "properties" in seen else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object":
        return _sample_object(seen, root, depth, everything)
    if kind == "array":
        fills = depth < DEEPEST and (everything or _least(seen.get("minItems")) > 0)
        return [_sample(seen.get("items"), root, depth + 1, everything)] if fills else []
    if kind in ("integer", "number"):
        return _sample_number(seen)
    if kind == "boolean":
        return False
    if kind == "string":
        return _OF_FORMAT.get(str(seen.get("format")), "")
    return None


_NOTHING: Final = object()


def _documented(schema: Mapping[str, Any]) -> Any:
    """Return a value that the schema itself gives."""
    for keyword in ("const", "default", "example"):
        if schema.get(keyword) is not None:
            return schema[keyword]
    for keyword in ("examples", "enum"):
        if isinstance(values := schema.get(keyword), list) and values:
            return values[0]
    return _NOTHING


def _sample_object(
    schema: Mapping[str, Any], root: Any, depth: int, everything: bool
) -> dict[str, Any]:
    if depth >= DEEPEST:
        return {}
    required = _names(schema.get("required"))
    wanted = [
        (name, inner)
        for name, inner in _properties(schema).items()
        if everything or name in required
    ]
    return {
        name: _sample(inner, root, depth + 1, everything)
        for name, inner in wanted[:MOST_PROPERTIES]
    }


def _sample_number(schema: Mapping[str, Any]) -> Any:
    lowest = schema.get("minimum")
    if _is_number(lowest) and lowest > 0:
        return lowest
    above = schema.get("exclusiveMinimum")
    if _is_number(above) and above >= 0:
        return above + 1
    highest = schema.get("maximum")
    return highest if _is_number(highest) and highest < 0 else 0


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _least(value: Any) -> float:
    return value if _is_number(value) else 0


def _resolved(schema: Any, root: Any) -> Mapping[str, Any]:
    """Resolve references within the tool's own schema, and merge the parts of `allOf`."""
    for _ in range(DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        if not isinstance(reference := schema.get("$ref"), str):
            break
        others = {key: value for key, value in schema.items() if key != "$ref"}
        target = _at(root, reference)
        schema = {**target, **others} if isinstance(target, Mapping) else others
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema  # type: ignore[no-any-return]
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts[:DEEPEST]:
        found = _at(root, part["$ref"]) if _refers(part) else part
        if isinstance(found, Mapping):
            joined = {**_properties(merged), **_properties(found)}
            named = [*_names(merged.get("required")), *_names(found.get("required"))]
            merged = {**found, **merged}
            if joined:
                merged |= {"properties": joined, "required": named}
    return merged


def _refers(schema: Any) -> bool:
    return isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str)


def _at(root: Any, reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    node = root
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _names(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
