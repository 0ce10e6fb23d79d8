"""One-line summary of a tool's input schema, for search results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_LENGTH: Final = 160
"""Characters of a summary; parameters beyond it are only counted."""

MAX_CHOICES: Final = 4
"""Values of an enumeration that are shown."""

_MAX_NAME: Final = 48
_MAX_CHOICE: Final = 16
_MORE_ROOM: Final = 12


def input_summary(schema: object) -> str:
    """Return `query*: string, limit: integer` for a tool's input schema.

    An asterisk marks required parameters, which come first; each group is in the schema's order.
    Enumerations show their first values, nested objects and arrays only their type. The result
    has at most `MAX_LENGTH` characters and ends in `+N more` if parameters are left out. It is ""
    for a schema that is missing, malformed or without parameters.
    """
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(schema, Mapping) or not isinstance(properties, Mapping):
        return ""
    required = {name for name in _list(schema.get("required")) if isinstance(name, str)}
    names = [name for name in properties if isinstance(name, str)]
    names.sort(key=lambda name: name not in required)
    parts = [_part(name, properties[name], required=name in required) for name in names]
    return _fitted(parts)


def _fitted(parts: list[str]) -> str:
    text = ", ".join(parts)
    if len(text) <= MAX_LENGTH:
        return text
    shown: list[str] = []
    length = 0
    for part in parts:
        if length + len(part) + 2 > MAX_LENGTH - _MORE_ROOM:
            break
        shown.append(part)
        length += len(part) + 2
    shown.append(f"+{len(parts) - len(shown)} more")
    return ", ".join(shown)


def _part(name: str, schema: object, *, required: bool) -> str:
    return f"{_cut(name, _MAX_NAME)}{'*' if required else ''}: {_kind(schema)}"


def _kind(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    choices = _list(schema.get("enum"))
    if choices:
        return _choices(choices)
    if "const" in schema:
        return _choices([schema["const"]])
    kind = _named_kind(schema)
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        inner = _named_kind(schema["items"])
        return "array" if inner == "any" else f"{inner}[]"
    return kind


def _named_kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return _cut(kind, _MAX_CHOICE)
    for kinds in (_list(kind), _list(schema.get("anyOf")), _list(schema.get("oneOf"))):
        if kinds:
            return _alternatives([_plain_kind(each) for each in kinds[:8]])
    if isinstance(schema.get("properties"), Mapping) or "$ref" in schema:
        return "object"
    return "array" if "items" in schema else "any"


def _alternatives(kinds: list[str]) -> str:
    kept = [kind for kind in dict.fromkeys(kinds) if kind != "null"]
    return "|".join(_cut(kind, _MAX_CHOICE) for kind in kept[:MAX_CHOICES]) or "any"


def _plain_kind(schema: object) -> str:
    """Return the type that an alternative names itself; nested alternatives are not read."""
    kind = schema.get("type") if isinstance(schema, Mapping) else schema
    return kind if isinstance(kind, str) else "object"


def _choices(choices: list[Any]) -> str:
    shown = [_choice(value) for value in choices[:MAX_CHOICES]]
    if len(choices) > MAX_CHOICES:
        shown.append("…")
    return "|".join(shown)


def _choice(value: object) -> str:
    if isinstance(value, str):
        return _cut(value, _MAX_CHOICE) or '""'
    if isinstance(value, bool | int | float) or value is None:
        return json.dumps(value)
    return "object" if isinstance(value, Mapping) else "array"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _cut(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
