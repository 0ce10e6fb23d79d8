"""The payload of a delivery: JSON, a form (GitHub's has JSON in a field), or a query string."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

MOST_FIELDS: Final = 1000
"""Fields of a form or a query string."""
DEEPEST: Final = 100
"""Levels of nesting of a payload."""

_FORM: Final = "application/x-www-form-urlencoded"
_OPENING: Final = re.compile(rb"[\[{]")


class PayloadProblem(ValueError):
    """A payload that cannot be read; the message says why, without quoting it."""


def payload_of(method: str, headers: Mapping[str, str], body: bytes, query: str) -> object:
    """Return the payload of a delivery.

    A GET request's is its query, and that of a DELETE request without a body is empty. A form
    with a field `payload` stands for the JSON in that field.

    Args:
      method: in capitals.
      headers: under their names in lower case.
      body: as it came.
      query: the query string, as it came.

    Raises:
      PayloadProblem: it is not what it should be.
    """
    if method == "GET":
        return _fields(query)
    if method == "DELETE" and not body:
        return {}
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return _json(body)
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise PayloadProblem("the form is not percent-encoded") from None
    fields = _fields(text)
    inner = fields.get("payload")
    return _json(inner.encode("utf-8", "replace")) if isinstance(inner, str) else fields


def _fields(text: str) -> dict[str, object]:
    """Return fields by name; one that stands there several times is a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise PayloadProblem(f"there are more than {MOST_FIELDS} fields") from None
    fields: dict[str, object] = {}
    for name, value in pairs:
        before = fields.get(name)
        if before is None:
            fields[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            fields[name] = [before, value]
    return fields


def _json(body: bytes) -> object:
    try:
        value: object = json.loads(
            body.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite
        )
    except UnicodeDecodeError:
        raise PayloadProblem("the text is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise PayloadProblem(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise PayloadProblem(f"it is nested more than {DEEPEST} deep") from None
    except ValueError:
        raise PayloadProblem("a number is too large, or is none") from None
    if len(_OPENING.findall(body)) > DEEPEST and _deeper_than(value, DEEPEST):
        raise PayloadProblem(f"it is nested more than {DEEPEST} deep")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _deeper_than(value: object, limit: int) -> bool:
    """Tell whether lists and objects are nested deeper than that; it uses no recursion."""
    level = [value]
    for _ in range(limit):
        following: list[object] = []
        for each in level:
            if isinstance(each, dict):
                following.extend(inner for inner in each.values() if isinstance(inner, dict | list))
            elif isinstance(each, list):
                following.extend(inner for inner in each if isinstance(inner, dict | list))
        if not following:
            return False
        level = following
    return True
