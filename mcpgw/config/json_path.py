"""Paths into JSON data (`a.b`, `items[0].id`, `items[].id`) and the walking that they need.

Other syntaxes for paths, such as templates, references and JSON Pointers, parse their own texts
and walk with the functions here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

_KEY: Final = re.compile(r"[^.\[\]]+")
_INDEX: Final = re.compile(r"\[(-?[0-9]{0,9})\]")
_DIGITS: Final = re.compile(r"[0-9]{1,9}")

Step = str | int | None
"""A key of an object, an index of an array (negative from its end), or None for all its items."""


class PathError(ValueError):
    """An invalid path; the message names the position."""


@attrs.frozen
class JsonPath:
    """A parsed path: object keys as strings, array indexes as numbers, None for all items."""

    text: str
    steps: tuple[Step, ...]

    @property
    def many(self) -> bool:
        """True if the path may select several values."""
        return None in self.steps

    def select(self, data: Any) -> list[Any]:
        """Return every value that the path selects, in order; missing steps select nothing."""
        found = [data]
        for step in self.steps:
            found = [value[key] for value in found for key in selected(value, step)]
        return found

    def pick(self, data: Any, default: Any = None) -> Any:
        """Return a single value as it is, several values as a list, `default` if there are none.

        A path with `[]` returns a list only if it selects more than one value.
        """
        found = self.select(data)
        if not found:
            return default
        return found[0] if len(found) == 1 else found


def parse_path(text: str) -> JsonPath:
    """Parse a path; the empty path selects the whole document.

    Raises:
      PathError: the text is not a path.
    """
    steps: list[Step] = []
    place = 0
    while place < len(text):
        if text[place] == "[":
            index = _INDEX.match(text, place)
            if index is None:
                raise PathError(
                    f"{text!r}: '[' at position {place + 1} must be followed by ']' or a number"
                    " and ']'"
                )
            steps.append(int(index[1]) if index[1] not in ("", "-") else None)
            place = index.end()
            continue
        if text[place] == "." and steps:
            place += 1
        key = _KEY.match(text, place)
        if key is None:
            raise PathError(f"{text!r}: a name is missing at position {place + 1}")
        steps.append(key[0])
        place = key.end()
    if text.endswith("."):
        raise PathError(f"{text!r}: a name is missing at the end")
    return JsonPath(text, tuple(steps))


def selected(value: Any, step: Step) -> Sequence[str | int]:
    """Return the keys or indexes of a value that a step selects; none if it does not apply."""
    if isinstance(step, str):
        return (step,) if isinstance(value, Mapping) and step in value else ()
    if not isinstance(value, list):
        return ()
    if step is None:
        return range(len(value))
    return (step % len(value),) if -len(value) <= step < len(value) else ()


def resolve(
    data: Any, steps: Sequence[Step], default: Any = None, *, digit_keys: bool = False
) -> Any:
    """Follow steps to a single value.

    Args:
      data: JSON data.
      steps: the steps; None gives a list with one value for each item of an array.
      default: the value of a step that does not apply.
      digit_keys: whether a key of digits is an index if the value is an array.
    """
    for place, step in enumerate(steps):
        if step is None:
            items = data if isinstance(data, list) else []
            rest = steps[place + 1 :]
            return [resolve(item, rest, default, digit_keys=digit_keys) for item in items]
        if digit_keys and isinstance(data, list) and is_digit_key(step):
            step = int(step)
        keys = selected(data, step)
        data = data[keys[0]] if keys else default
    return data


def is_digit_key(step: Step) -> bool:
    """Return whether a step is a key that may also be an index of an array."""
    return isinstance(step, str) and _DIGITS.fullmatch(step) is not None


def replaced(data: Any, steps: Sequence[Step], value: Any) -> Any:
    """Return a copy of the data with another value at a place.

    A key of digits is an index if the value is an array. Data in which a step does not apply is
    returned as it is, and so is an array of which a step selects all items.
    """
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(data, Mapping) and isinstance(step, str):
        return {**data, step: replaced(data.get(step), rest, value)}
    if isinstance(step, str) and is_digit_key(step):
        step = int(step)
    if step is None or isinstance(step, str) or not (keys := selected(data, step)):
        return data
    copied = list(data)
    copied[int(keys[0])] = replaced(data[keys[0]], rest, value)
    return copied
