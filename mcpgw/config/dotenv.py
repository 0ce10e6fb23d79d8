"""Parser for dotenv files (`NAME=value` lines)."""

from __future__ import annotations

import re

import attrs

_LINE_START = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_QUOTED = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}


@attrs.frozen
class Dotenv:
    """The variables of a dotenv file (later lines win) and its invalid lines."""

    variables: dict[str, str] = attrs.field(repr=False)
    faults: tuple[tuple[int, str], ...]


def parse_dotenv(text: str) -> Dotenv:
    """Parse the text of a dotenv file. Never raises: invalid lines are skipped and reported.

    The syntax: `NAME=value`, `export NAME=value`, comments from `#` (at the start of a line or
    after a blank), single quotes (literal), double quotes (with backslash escapes). Quoted values
    may span several lines. Nothing is expanded. Each fault is a line number, counted from 1, and
    a message without the value.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    variables: dict[str, str] = {}
    faults: list[tuple[int, str]] = []
    place = 0
    while place < len(text):
        blank = _BLANK.match(text, place)
        if blank is not None:
            place = blank.end()
            continue
        line = text.count("\n", 0, place) + 1
        start = _LINE_START.match(text, place)
        if start is None:
            faults.append((line, "not of the form NAME=value; line skipped"))
            place = _line_end(text, place)
            continue
        read = _value(text, start.end())
        if read is None:
            faults.append(
                (line, "unbalanced quotes, or text after the closing quote; line skipped")
            )
            place = _line_end(text, place)
            continue
        variables[start[1]], place = read
    return Dotenv(variables, tuple(faults))


def _value(text: str, place: int) -> tuple[str, int] | None:
    """Return a value and the position of the next line, or None if the value is malformed."""
    if text[place : place + 1] in ("'", '"'):
        quoted = _QUOTED.match(text, place)
        rest = _BLANK.match(text, quoted.end()) if quoted is not None else None
        if quoted is None or rest is None:
            return None
        literal, escaped = quoted.groups()
        value = literal if escaped is None else _ESCAPE.sub(_unescaped, escaped)
        return value, rest.end()
    end = _line_end(text, place)
    bare = re.split(r"(?:^|[ \t])#", text[place:end].rstrip("\n"), maxsplit=1)[0]
    return bare.strip(), end


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1
