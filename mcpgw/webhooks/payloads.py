"""Parsing of payloads: JSON, forms (GitHub's hold JSON in a field) and query strings."""

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
    """A payload that cannot be parsed; the message does not quote it."""


def payload_of(method: str, headers: Mapping[str, str], body: bytes, query: str) -> object:
    """Parse the payload of a delivery.

    The payload of a GET request is its query; that of a DELETE request without a body is empty.
    If a form has a field `payload`, the JSON in it is the payload.

    Args:
      method: the HTTP method, in upper case.
      headers: the headers by their names in lower case.
      body: the raw body.
      query: the raw query string.

    Raises:
      PayloadProblem: the payload is malformed.
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
        raise PayloadProblem("the form must be percent-encoded") from None
    fields = _fields(text)
    inner = fields.get("payload")
    return _json(inner.encode("utf-8", "replace")) if isinstance(inner, str) else fields


def _fields(text: str) -> dict[str, object]:
    """Return the fields by name; a repeated field becomes a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise PayloadProblem(f"more than {MOST_FIELDS} fields") from None
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
        raise PayloadProblem("the text must be UTF-8") from None
    except json.JSONDecodeError as error:
        raise PayloadProblem(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise PayloadProblem(f"nested more than {DEEPEST} levels deep") from None
    except ValueError:
        raise PayloadProblem("a number is too large, or not finite") from None
    if len(_OPENING.findall(body)) > DEEPEST and _deeper_than(value, DEEPEST):
        raise PayloadProblem(f"nested more than {DEEPEST} levels deep")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _deeper_than(value: object, limit: int) -> bool:
    """Return whether lists and objects are nested deeper than a limit, without recursion."""
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
