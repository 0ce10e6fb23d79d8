"""Paths into JSON data: `a.b`, `items[0].id`, `items[].id`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

_KEY: Final = re.compile(r"[^.\[\]]+")
_INDEX: Final = re.compile(r"\[(-?[0-9]{0,9})\]")


class PathError(ValueError):
    """An invalid path; the message names the position."""


@attrs.frozen
class JsonPath:
    """A parsed path: object keys as strings, array indexes as numbers, None for all items."""

    text: str
    steps: tuple[str | int | None, ...]

    @property
    def many(self) -> bool:
        """Whether the path may select several values."""
        return None in self.steps

    def select(self, data: Any) -> list[Any]:
        """Return every value that the path selects, in order; missing steps select nothing."""
        found = [data]
        for step in self.steps:
            found = [inner for value in found for inner in _step(value, step)]
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
    steps: list[str | int | None] = []
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


def _step(value: Any, step: str | int | None) -> list[Any]:
    if isinstance(step, str):
        return [value[step]] if isinstance(value, Mapping) and step in value else []
    if not isinstance(value, list):
        return []
    if step is None:
        return list(value)
    return [value[step]] if -len(value) <= step < len(value) else []
