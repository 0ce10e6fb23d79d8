"""One-line summary of a tool's input schema, for search results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_LENGTH: Final = 160
"""Characters of a summary; parameters beyond it are only counted."""

MAX_CHOICES: Final = 4
"""Values of an enumeration that are shown."""

MAX_FORMS: Final = 3
"""Alternatives of a whole schema that are shown."""

_MAX_NAME: Final = 48
_MAX_CHOICE: Final = 16
_MORE_ROOM: Final = 12


def input_summary(schema: object) -> str:
    """Return `query*: string, limit: integer` for a tool's input schema.

    An asterisk marks required parameters, which come first; each group is in the schema's order.
    Enumerations show their first values, nested objects and arrays only their type. The result
    has at most `MAX_LENGTH` characters for each form and ends in `+N more` if parameters are left
    out. Alternatives of the whole schema are forms, joined by `or`. It is "" for a schema that is
    missing, malformed or without parameters.
    """
    if not isinstance(schema, Mapping):
        return ""
    forms = [_fitted(parts) for form in _forms(schema) if (parts := _parts(*form))]
    shown = list(dict.fromkeys(forms))
    more = f" or +{len(shown) - MAX_FORMS} more" if len(shown) > MAX_FORMS else ""
    return " or ".join(shown[:MAX_FORMS]) + more


def _forms(schema: Mapping[str, Any]) -> list[tuple[dict[str, Any], set[str]]]:
    """Return the parameters of a schema and the names of the required ones, for each form."""
    whole = _own(schema)
    for each in _list(schema.get("allOf")):
        properties, required = _own(_resolved(schema, each))
        whole = ({**whole[0], **properties}, whole[1] | required)
    alternatives = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
    found = [_own(_resolved(schema, each)) for each in alternatives]
    if not any(properties for properties, _ in found):
        return [whole]
    return [({**whole[0], **properties}, whole[1] | required) for properties, required in found]


def _own(schema: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    properties = schema.get("properties")
    required = {name for name in _list(schema.get("required")) if isinstance(name, str)}
    return dict(properties) if isinstance(properties, Mapping) else {}, required


def _resolved(document: Mapping[str, Any], schema: object) -> Mapping[str, Any]:
    """Return an alternative, or the definition of the document that it refers to."""
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(("#/$defs/", "#/definitions/")):
        _, place, name = reference.split("/", 2)
        definitions = document.get(place)
        found = definitions.get(name) if isinstance(definitions, Mapping) else None
        return found if isinstance(found, Mapping) else {}
    return schema


def _parts(properties: Mapping[Any, Any], required: set[str]) -> list[str]:
    names = [name for name in properties if isinstance(name, str)]
    names.sort(key=lambda name: name not in required)
    return [_part(name, properties[name], required=name in required) for name in names]


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
