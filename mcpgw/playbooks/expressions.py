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
"""Pattern of one reference as it is written; in braces the keys may hold other characters."""


@attrs.frozen
class Reference:
    """A reference in a text: where it stands, whose result it means, and which part."""

    start: int
    end: int
    root: str
    path: JsonPath

    @property
    def text(self) -> str:
        """The reference as it is written without its dollar."""
        return f"{self.root}{'.' if self.path.text[:1] not in ('', '[') else ''}{self.path.text}"


def references(text: str) -> Iterator[Reference]:
    """Go through the references of a text, whoever they mean; `$$` is none."""
    for match in _REFERENCE.finditer(text):
        written = match[1] or match[2]
        if written:
            root, path = _split(written)
            yield Reference(match.start(), match.end(), root, path)


def interpolate(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return data with its references filled in, at any depth.

    A text that is one reference and nothing else becomes the value, of whatever type; in other
    texts the value stands as text, data as JSON, a missing one as nothing. A dollar before a
    name that is not in the scope stays as it is, and so does `$5`; `$$` is a dollar.
    """
    if isinstance(value, str):
        return _text(value, scope)
    if isinstance(value, Mapping):
        return {key: interpolate(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, scope) for inner in value]
    return value


def lookup(reference: str, scope: Mapping[str, Any]) -> Any:
    """Return the value that a reference (`$step.path`) means, None where there is none."""
    root, path = _split(reference.removeprefix("$").removeprefix("{").removesuffix("}"))
    return path.pick(scope[root]) if root in scope else None


def unknown_roots(value: Any, known: Container[str]) -> Iterator[Reference]:
    """Go through the references in data that mean nobody who is known."""
    if isinstance(value, str):
        yield from (found for found in references(value) if found.root not in known)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from unknown_roots(inner, known)
    elif isinstance(value, list):
        for inner in value:
            yield from unknown_roots(inner, known)


def as_text(value: Any) -> str:
    """Write a value into a text."""
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
    except PathError:  # the pattern lets no such text through
        return name, JsonPath(rest, (rest,))
