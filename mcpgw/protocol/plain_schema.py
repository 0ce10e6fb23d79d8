"""Schemas so plain that a few comparisons tell whether arguments fit.

Most tools want an object of strings, numbers and choices. For these the JSON Schema library, which
takes 10 MB of memory, is loaded only once arguments do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

Check = Callable[[Any], bool]

MAX_PROPERTIES: Final = 200
_ANNOTATIONS: Final = frozenset(
    ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
) | {"$schema", "$comment"}
"""Keywords that require nothing (JSON Schema 2020-12, validation, section 9)."""
_OBJECT: Final = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties"}
_VALUE: Final = _ANNOTATIONS | {"type", "enum", "minimum", "maximum", "format"}
"""`format` is an annotation by default (section 7.2.1)."""
_DIALECT: Final = "://json-schema.org/"
"""Part of the address of every dialect in which these keywords have this meaning."""


@attrs.frozen(eq=False)
class PlainSchema:
    """The checks of an object's properties. `closed` allows no others."""

    checks: Mapping[str, Check]
    required: frozenset[str]
    closed: bool

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether arguments certainly fit; False if the full schema must decide."""
        checks = self.checks
        for name, value in arguments.items():
            check = checks.get(name)
            if check is None:
                # Others may hold anything, including what JSON cannot carry.
                if self.closed or not (value is None or isinstance(value, (str, bool, int))):
                    return False
            elif not check(value):
                return False
        return self.required <= arguments.keys()


def plain_schema(schema: object) -> PlainSchema | None:
    """Return the checks of a plain schema, None for any other and for one without checks."""
    if not isinstance(schema, dict) or not schema.keys() <= _OBJECT:
        return None
    properties, required = schema.get("properties", {}), schema.get("required", [])
    closed = schema.get("additionalProperties", True) is False
    if (
        schema.get("type") != "object"
        or _DIALECT not in str(schema.get("$schema", _DIALECT))
        or not isinstance(schema.get("additionalProperties", True), bool)
        or not isinstance(properties, dict)
        or len(properties) > MAX_PROPERTIES
        or not isinstance(required, list)
        or not all(isinstance(name, str) for name in required)
        or not (properties or required or closed)
    ):
        return None
    checks = {name: check for name, value in properties.items() if (check := _check(value))}
    if len(checks) < len(properties):
        return None
    return PlainSchema(checks, frozenset(required), closed)


def _check(schema: object) -> Check | None:
    """Return the check of one property, None if it is not plain."""
    if not isinstance(schema, dict) or not schema.keys() <= _VALUE:
        return None
    kind, choices = schema.get("type"), schema.get("enum")
    low, high = schema.get("minimum", -1e300), schema.get("maximum", 1e300)
    if type(low) not in (int, float) or type(high) not in (int, float):
        return None
    if choices is not None:
        if kind != "string" or not isinstance(choices, list):
            return None
        if not all(isinstance(choice, str) for choice in choices):
            return None
        known = frozenset(choices)
        return lambda value: isinstance(value, str) and value in known
    match kind:
        case "string":
            return lambda value: isinstance(value, str)
        case "boolean":
            return lambda value: isinstance(value, bool)
        case "integer":
            return lambda value: type(value) is int and low <= value <= high
        case "number":
            return lambda value: type(value) in (int, float) and low <= value <= high
    return None
