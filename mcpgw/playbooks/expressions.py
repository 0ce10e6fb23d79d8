"""References to earlier results in the arguments of a step: `$inputs.city`, `$search.items[0]`."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from mcpgw.config.json_path import JsonPath, PathError, parse_path

INPUTS: Final = "inputs"
PREVIOUS: Final = "prev"

# No hyphen outside of braces: `$inputs.year-$inputs.month` is two references.
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_INDEX: Final = r"\[(?:-?[0-9]+)?\]"
_PATH: Final = rf"(?:\.[A-Za-z0-9_]+|{_INDEX})*"
_ANY_PATH: Final = rf"(?:\.[^\s.\[\]{{}}]+|{_INDEX})*"
_REFERENCE: Final = re.compile(rf"\$(?:\$|\{{({_NAME}{_ANY_PATH})\}}|({_NAME}{_PATH}))")

WRITTEN: Final = rf"\$(?:\{{{_NAME}{_ANY_PATH}\}}|{_NAME}{_PATH})"
"""Pattern of one reference; in braces, keys may have other characters."""


@attrs.frozen
class Reference:
    """A reference in a text: its position, the step or input it names, and the path into it."""

    start: int
    end: int
    root: str
    path: JsonPath

    @property
    def text(self) -> str:
        """The reference without its dollar sign."""
        return f"{self.root}{'.' if self.path.text[:1] not in ('', '[') else ''}{self.path.text}"


def references(text: str) -> Iterator[Reference]:
    """Yield all references in a text; `$$` is not a reference."""
    for match in _REFERENCE.finditer(text):
        written = match[1] or match[2]
        if written:
            root, path = _split(written)
            yield Reference(match.start(), match.end(), root, path)


def interpolate(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return data with its references replaced by their values, at any depth.

    A string that is a single reference becomes the value itself, of any type. In other strings
    the value is inserted as text: data as JSON, a missing value as "". A dollar sign before a
    name that is not in the scope is kept, as in `$5`; `$$` is a dollar sign.
    """
    if isinstance(value, str):
        return _text(value, scope)
    if isinstance(value, Mapping):
        return {key: interpolate(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, scope) for inner in value]
    return value


def lookup(reference: str, scope: Mapping[str, Any]) -> Any:
    """Return the value of a reference (`$step.path`), or None if there is none."""
    root, path = _split(reference.removeprefix("$").removeprefix("{").removesuffix("}"))
    return path.pick(scope[root]) if root in scope else None


def unknown_roots(value: Any, known: Container[str]) -> Iterator[Reference]:
    """Yield the references in data whose root is not known."""
    if isinstance(value, str):
        yield from (found for found in references(value) if found.root not in known)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from unknown_roots(inner, known)
    elif isinstance(value, list):
        for inner in value:
            yield from unknown_roots(inner, known)


def as_text(value: Any) -> str:
    """Return a value as text: data as JSON, None as ""."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _text(text: str, scope: Mapping[str, Any]) -> Any:
    if "$" not in text:
        return text
    whole = _REFERENCE.fullmatch(text)
    if whole is not None and (written := whole[1] or whole[2]):
        root, path = _split(written)
        return path.pick(scope[root]) if root in scope else text

    def fill(match: re.Match[str]) -> str:
        written = match[1] or match[2]
        if not written:
            return "$"
        root, path = _split(written)
        return as_text(path.pick(scope[root])) if root in scope else match[0]

    return _REFERENCE.sub(fill, text)


@lru_cache(maxsize=1024)
def _split(written: str) -> tuple[str, JsonPath]:
    root = re.match(_NAME, written)
    name = root[0] if root else written
    rest = written[len(name) :].removeprefix(".")
    try:
        return name, parse_path(rest)
    except PathError:  # cannot happen: the pattern matches valid paths only
        return name, JsonPath(rest, (rest,))
