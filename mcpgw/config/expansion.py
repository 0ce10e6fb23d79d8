"""Expansion of `${NAME}` and `${NAME:-default}` in the settings of backends."""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Mapping

import attrs

# The reference implementation accepts upper-case names only; lower-case ones are our extension.
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MARK = "\0"


@attrs.frozen
class Expanded:
    """Text with its references replaced, the unset variables, and the used ones with values."""

    text: str
    unset: tuple[str, ...] = ()
    used: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace each reference by the variable's value, its default, or the empty string.

    Expansion is a single pass: references in values are not expanded again. A variable that is
    set to an empty value counts as set. There is no escape; other text is left unchanged.
    """
    if "${" not in text:
        return Expanded(text)
    unset: dict[str, None] = {}
    used: dict[str, str] = {}

    def value_of(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in environ:
            used[name] = environ[name]
            return environ[name]
        if default is None:
            unset[name] = None
        return default or ""

    return Expanded(REFERENCE.sub(value_of, text), tuple(unset), used)


def malformed(text: str) -> bool:
    """Return true if the text contains a `${` that is not a valid reference."""
    return "${" in REFERENCE.sub("", text)


def split_command(text: str) -> list[str]:
    """Split a command into words by the quoting rules of a POSIX shell.

    References are kept whole, so that a value or default with a blank stays one word.

    Raises:
      ValueError: a quote is not closed, or the text contains NUL.
    """
    if _MARK in text:
        raise ValueError("must not contain NUL")
    references: list[str] = []

    def replace_by_mark(match: re.Match[str]) -> str:
        references.append(match[0])
        return f"{_MARK}{len(references) - 1}{_MARK}"

    try:
        words = shlex.split(REFERENCE.sub(replace_by_mark, text))
    except ValueError:
        raise ValueError("has an unclosed quote, or a backslash at its end") from None
    return [
        re.sub(f"{_MARK}(\\d+){_MARK}", lambda match: references[int(match[1])], word)
        for word in words
    ]


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """Replace a leading `~` by HOME, or `~user` by the home folder of that user."""
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home.rstrip("/") + path[1:] or "/"
    return os.path.expanduser(path)  # noqa: PTH111  # an unknown user is left unchanged
