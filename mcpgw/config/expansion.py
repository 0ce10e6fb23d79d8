"""`${NAME}` and `${NAME:-default}` in the text of a backend's settings."""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Mapping

import attrs

# Capitals, digits and underscore are the reference's rule; small letters are ours besides.
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MARK = "\0"


@attrs.frozen
class Expanded:
    """Text with its references replaced, and the variables that were not set."""

    text: str
    unset: tuple[str, ...] = ()


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace each reference by its variable's value, else by its default, else by nothing.

    One pass: what a value holds is not expanded again. A variable that is set and empty counts
    as set. There is no escape; anything that is not a reference stays as it is.
    """
    if "${" not in text:
        return Expanded(text)
    unset: dict[str, None] = {}

    def value_of(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in environ:
            return environ[name]
        if default is None:
            unset[name] = None
        return default or ""

    return Expanded(REFERENCE.sub(value_of, text), tuple(unset))


def malformed(text: str) -> bool:
    """Tell whether text holds a `${` that is no reference and so would be passed on as it is."""
    return "${" in REFERENCE.sub("", text)


def split_command(text: str) -> list[str]:
    """Split a command into words by the quoting rules of a POSIX shell, references kept whole.

    So a default with a blank, or a value with one, never becomes two words. Raises ValueError
    when a quote is left open, or the text holds a NUL.
    """
    if _MARK in text:
        raise ValueError("a NUL character cannot be part of a command")
    references: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        references.append(match[0])
        return f"{_MARK}{len(references) - 1}{_MARK}"

    try:
        words = shlex.split(REFERENCE.sub(put_away, text))
    except ValueError:
        raise ValueError("a quote or a backslash at the end is left open") from None
    return [
        re.sub(f"{_MARK}(\\d+){_MARK}", lambda match: references[int(match[1])], word)
        for word in words
    ]


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """Replace a leading `~` by HOME, and `~user` by that user's folder."""
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home.rstrip("/") + path[1:] or "/"
    return os.path.expanduser(path)  # noqa: PTH111  # an unknown user is left alone, not an error
