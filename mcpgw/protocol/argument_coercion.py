"""Coerce arguments to the types that a schema wants: "5" becomes 5 for an integer.

Models often give the right value in the wrong type. A value and its schema are walked side by
side, with an eye to the most common keywords; the validator judges the result.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.protocol.argument_schema import CompiledSchema, Schema, applied

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MAX_STEPS: Final = 10_000
"""Pairs of a value and a subschema that are looked at. Alternatives multiply at every level of a
recursive schema, also in the validator's list of errors."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MAX_NUMBER: Final = 200
"""Characters of a number."""

_TYPES: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_LIMITS: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)


class TooManySteps(Exception):
    """Arguments too large, or with too many alternatives, to look for what is wrong in them."""


def coerce(arguments: dict[str, Any], schema: CompiledSchema) -> dict[str, Any]:
    """Return the arguments with the types that a schema wants.

    Parts that fit, or that cannot be coerced, stay as they are. The given object is never changed,
    and is returned itself if there is nothing to coerce.

    Raises:
      TooManySteps: it would take more than `MAX_STEPS`.
    """
    coerced: dict[str, Any] = _Coercion(schema).coerce(arguments, schema.document)[0]
    return coerced


@attrs.define
class _Coercion:
    """One walk. Its methods return the coerced value, and whether it seems to fit."""

    schema: CompiledSchema
    steps: int = 0
    limits: dict[int, Validator | None] = attrs.field(factory=dict)
    """Validators of the limits of subschemas, by id."""

    def coerce(self, value: Any, schema: object) -> tuple[Any, bool]:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooManySteps
        if not isinstance(schema, dict):
            return value, schema is not False
        types = schema.get("type")
        types = types if isinstance(types, list) else [types]
        if types == [None] or any(self._has_type(value, each) for each in types):
            return self._inside(value, schema)
        best = value
        for reading in _readings(value, types):
            if self.schema.can_check([reading]):
                coerced, fits = self._inside(reading, schema)
                if fits:
                    return coerced, True
                if best is value and reading != [value]:
                    best = coerced  # read from JSON, so that an error can name the wrong part
        return best, False

    def _has_type(self, value: object, name: str) -> bool:
        if isinstance(value, float) and name == "integer":
            return value.is_integer() and "draft-04" not in str(self.schema.document.get("$schema"))
        return name == _TYPES.get(type(value)) or (name == "number" and type(value) is int)

    def _within_limits(self, value: object, schema: Schema) -> bool:
        if id(schema) not in self.limits:
            limits: Schema = {each: schema[each] for each in _LIMITS if each in schema}
            self.limits[id(schema)] = self.schema.compile_part(limits) if limits else None
        validator = self.limits[id(schema)]
        return validator is None or validator.is_valid(value)

    def _inside(self, value: Any, schema: Schema) -> tuple[Any, bool]:
        """Coerce a value of the right type by all other keywords."""
        checks = [self._within_limits(value, schema)]
        value, fits = _choice(value, schema)
        checks.append(fits)
        if isinstance(value, dict):
            value, fits = self._object(value, schema)
            checks.append(fits)
        elif isinstance(value, list):
            value, fits = self._array(value, schema)
            checks.append(fits)
        for part in applied(schema, self.schema.document):
            value, fits = self.coerce(value, part)
            checks.append(fits)
        for keyword in ("anyOf", "oneOf"):
            if alternatives := _list(schema, keyword):
                value, count = self._nearest(value, alternatives)
                checks.append(count == 1 or (count > 1 and keyword == "anyOf"))
        return value, all(checks)

    def _object(self, value: dict[str, Any], schema: Schema) -> tuple[Any, bool]:
        properties, required = schema.get("properties") or {}, _list(schema, "required")
        other = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        fits, coerced = all(name in value for name in required), {}
        for name, given in value.items():
            part = properties.get(name, other)
            new, ok = self.coerce(given, part)
            if given is None and not ok and part is not False and name not in required:
                continue  # models write null for "not given"
            coerced[name], fits = new, fits and ok
        same = len(coerced) == len(value) and all(coerced[name] is value[name] for name in value)
        return (value if same else coerced), fits

    def _array(self, value: list[Any], schema: Schema) -> tuple[Any, bool]:
        first, rest = _list(schema, "prefixItems") or _list(schema, "items"), schema.get("items")
        pairs = [
            self.coerce(given, first[index] if index < len(first) else rest)
            for index, given in enumerate(value)
        ]
        same = all(new is given for (new, _), given in zip(pairs, value, strict=True))
        return (value if same else [new for new, _ in pairs]), all(ok for _, ok in pairs)

    def _nearest(self, value: Any, alternatives: list[Any]) -> tuple[Any, int]:
        """Coerce to the alternative that changes the value least, and count those that fit."""
        results = [self.coerce(value, each) for each in alternatives]
        fitting = [new for new, fits in results if fits]
        if not fitting:
            changed = [new for new, _ in results if new is not value]
            return (changed[0] if len(changed) == 1 else value), 0
        parsed = _parsed(value)
        # As it is, else as the JSON it is, else something else than an array of this one value.
        best = min(
            fitting, key=lambda new: (new is not value, new != parsed, isinstance(new, list))
        )
        return best, sum(new is best for new in fitting)


def _readings(value: object, types: list[str]) -> Iterator[Any]:
    """Yield what a value may have been meant as if it has none of the types, likeliest first."""
    word = value.strip().casefold() if isinstance(value, str) else None
    number = _number(value)
    if number is not None and "number" in types:
        yield number
    elif number is not None and "integer" in types and number == int(number):
        yield int(number)
    if "boolean" in types and word in ("true", "false"):
        yield word == "true"
    if "string" in types and isinstance(value, bool | int | float):
        yield json.dumps(value)
    if "null" in types and word in ("null", ""):
        yield None
    parsed = _parsed(value)
    if parsed is not None and ("array" if isinstance(parsed, list) else "object") in types:
        yield parsed
    elif "array" in types and value is not None and word not in ("null", ""):
        yield [value]


def _number(value: object) -> int | float | None:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _MAX_NUMBER or not _NUMBER.fullmatch(text):
            return None
        if text.lstrip("+-").isdigit():
            return int(text)
        value = float(text)
    return value if isinstance(value, float) and math.isfinite(value) else None


def _parsed(value: object) -> dict[str, Any] | list[Any] | None:
    """Return the object or array that a string is the JSON of."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        parsed: dict[str, Any] | list[Any] = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return parsed


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _choice(value: object, schema: Schema) -> tuple[Any, bool]:
    """Return the choice that a value is, else the only one that differs by case or quotes."""
    choices = [schema["const"]] if "const" in schema else _list(schema, "enum")
    if not choices or value in choices:
        return value, True
    word = _word(value)
    alike = [choice for choice in choices if word is not None and _word(choice) == word]
    return (alike[0], True) if len(alike) == 1 else (value, False)


def _word(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip().casefold()
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _list(schema: Schema, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []
