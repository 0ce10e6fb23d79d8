"""Schemas so plain that a few comparisons tell whether arguments fit.

Most tools want an object of texts, numbers and choices. For these the library that knows all
of JSON Schema, and takes 10 MB of memory, is loaded only once arguments do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

Check = Callable[[Any], bool]

MOST_PROPERTIES: Final = 200
_TALK_WORDS: Final = (
    "title description default examples deprecated readOnly writeOnly $schema $comment"
)
_TALK: Final = frozenset(_TALK_WORDS.split())
"""Keywords that say something and demand nothing (JSON Schema 2020-12, validation, section 9)."""
_DIALECT: Final = "://json-schema.org/"
"""Part of the address of every dialect in which these keywords mean what they do here."""
_OBJECT: Final = _TALK | {"type", "properties", "required", "additionalProperties"}
_VALUE: Final = _TALK | {"type", "enum", "minimum", "maximum", "format"}
"""`format` is an annotation unless asked for otherwise (section 7.2.1)."""
_TYPES: Final[Mapping[str, Check]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    ),
}
"""Stricter than the specification where that is simpler: a second look is no verdict."""


@attrs.frozen(eq=False)
class PlainSchema:
    """What an object's properties must be. `closed` allows no others."""

    checks: Mapping[str, Check]
    required: frozenset[str]
    closed: bool

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether arguments surely fit; False where another look is needed."""
        checks = self.checks
        for name, value in arguments.items():
            check = checks.get(name)
            if check is None:
                # What is not described may hold anything, also what JSON cannot carry.
                if self.closed or not _is_plain(value):
                    return False
            elif not check(value):
                return False
        return self.required <= arguments.keys()


def plain_schema(schema: object) -> PlainSchema | None:
    """Return the checks of a plain schema, None for one that says anything more."""
    if not isinstance(schema, dict) or not schema.keys() <= _OBJECT:
        return None
    properties, required = schema.get("properties", {}), schema.get("required", [])
    closed = schema.get("additionalProperties", True)
    dialect = schema.get("$schema", _DIALECT)
    if not (properties or required) and closed is True:
        return None  # nothing to check
    if (
        not isinstance(dialect, str)
        or _DIALECT not in dialect
        or schema.get("type") != "object"
        or not isinstance(properties, dict)
        or len(properties) > MOST_PROPERTIES
        or not isinstance(required, list)
        or not all(isinstance(name, str) for name in required)
        or not isinstance(closed, bool)
    ):
        return None
    checks: dict[str, Check] = {}
    for name, inner in properties.items():
        check = _check_of(inner)
        if check is None:
            return None
        checks[name] = check
    return PlainSchema(checks, frozenset(required), closed=not closed)


def _check_of(schema: object) -> Check | None:
    """Return the check of one property, None where it is not plain."""
    if not isinstance(schema, dict) or not schema.keys() <= _VALUE:
        return None
    kind = schema.get("type")
    if kind not in ("string", "boolean", "integer", "number"):
        return None
    right = _TYPES[kind]
    choices, low, high = schema.get("enum"), schema.get("minimum"), schema.get("maximum")
    if choices is not None:
        if kind != "string" or not isinstance(choices, list) or (low, high) != (None, None):
            return None
        if not all(isinstance(choice, str) for choice in choices):
            return None
        known = frozenset(choices)
        return lambda value: isinstance(value, str) and value in known
    if low is None and high is None:
        return right
    if kind not in ("integer", "number") or not _bound(low) or not _bound(high):
        return None
    return lambda value: (
        right(value) and (low is None or value >= low) and (high is None or value <= high)
    )


def _bound(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, bool, int))
