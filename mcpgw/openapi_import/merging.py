"""Merging of JSON Schemas: the parts of an `allOf`, and null as a further type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_LATER: Final = ("description", "title", "deprecated", "format", "contentMediaType")
"""Keywords of which the later part counts."""
_LOWER: Final = (
    *("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    "minContains",
)
_UPPER: Final = (
    *("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
    "maxContains",
)
_CLOSED: Final = ("additionalProperties", "unevaluatedProperties")
_COMPOSED: Final = ("allOf", "anyOf", "oneOf", "not", "if", "$ref", "const")


def merged(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema for the values that are valid for both schemas.

    Keywords that JSON Schema cannot express together stay apart in `allOf`. A part that closes
    its properties (`additionalProperties: false`) is opened if the other one has properties of
    its own, since otherwise no value would be valid.
    """
    if not one or not other:
        return dict(other or one)
    made = dict(one)
    if "properties" in one and "properties" in other:
        for key in _CLOSED:
            if made.get(key) is False and other.get(key) is not False:
                del made[key]
        other = {k: v for k, v in other.items() if k not in _CLOSED or v is not False or k in made}
    apart: dict[str, Any] = {}
    for key, value in other.items():
        if key not in made or made[key] == value:
            made[key] = value
        elif (combine := _combination(key, made[key], value)) is not None:
            made[key] = combine(made[key], value)
        else:
            apart[key] = value
    if apart:
        made["allOf"] = [*made.get("allOf", ()), apart]
    return made


def _combination(key: str, one: Any, other: Any) -> Callable[[Any, Any], Any] | None:
    """Return how two values of a keyword become one, None if they cannot."""
    if key == "items":
        plain = isinstance(one, Mapping) and isinstance(other, Mapping)
        return merged if plain else None
    if key in _CLOSED:
        return _narrower if True in (one, other) else None
    if key in _LATER:
        return lambda _, later: later
    return _COMBINATIONS.get(key)


def _narrower(one: Any, other: Any) -> Any:
    return one if other is True else other


def _enum(one: list[Any], other: list[Any]) -> list[Any]:
    return [each for each in one if each in other] or other


def _members(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(one)
    for name, each in other.items():
        known = made.get(name)
        if isinstance(known, Mapping) and isinstance(each, Mapping):
            made[name] = merged(dict(known), each)
        else:
            made[name] = each
    return made


def _types(one: Any, other: Any) -> Any:
    mine = one if isinstance(one, list) else [one]
    theirs = other if isinstance(other, list) else [other]
    both = [each for each in mine if each in theirs]
    for narrow, wide in (("integer", "number"), ("number", "integer")):
        if narrow in mine and wide in theirs and "integer" not in both:
            both.append("integer")
    if not both:
        return other
    return both[0] if len(both) == 1 else both


_COMBINATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "properties": _members,
    "patternProperties": _members,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "type": _types,
    "enum": _enum,
    "allOf": lambda one, other: [*one, *other],
    **dict.fromkeys(_LOWER, max),
    **dict.fromkeys(_UPPER, min),
}


def with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also allows null."""
    kind = schema.get("type")
    if kind is not None and not any(key in schema for key in _COMPOSED):
        kinds = kind if isinstance(kind, list) else [kind]
        made = {**schema, "type": list(dict.fromkeys([*kinds, "null"]))}
        if "enum" in schema:
            made["enum"] = [*schema["enum"], *(() if None in schema["enum"] else (None,))]
        return made
    if kind is None and "enum" in schema and not any(key in schema for key in _COMPOSED):
        return {**schema, "enum": [*schema["enum"], *(() if None in schema["enum"] else (None,))]}
    kept = ("title", "description", "deprecated")
    about: dict[str, Any] = {key: schema[key] for key in kept if key in schema}
    rest = {key: value for key, value in schema.items() if key not in about}
    if not rest:
        return about
    alternatives = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    if {"type": "null"} in alternatives:
        return schema
    return {**about, "anyOf": [*alternatives, {"type": "null"}]}
