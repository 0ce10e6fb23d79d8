"""Names of servers: which are usable, and what takes the place of one that is not."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 128
"""Characters of a name."""
NAME_RULE: Final = f"Use 1 to {LONGEST} letters (a-z, A-Z), digits, '-', '_' or '.'."
_ALLOWED: Final = frozenset(string.ascii_letters + string.digits + "-_.")
_HASH: Final = 6
"""Digits of the hash in a name that has no usable letter."""


def why_unusable(name: str) -> str:
    """Return why a name cannot be used; "" if it can."""
    if not name:
        return "the name of a backend must not be empty"
    if len(name) > LONGEST:
        return f"the name has {len(name)} characters; at most {LONGEST} are allowed"
    letters = dict.fromkeys(letter for letter in name if letter not in _ALLOWED)
    return f"the name must not contain {', '.join(map(repr, letters))}" if letters else ""


def usable_names(titles: Iterable[str]) -> dict[str, str]:
    """Return a usable name for each name in a file; no two are equal.

    A usable one stays. In others, each run of characters that are not allowed becomes a hyphen,
    after accents are removed: `My Server` becomes `My-Server`, and `Büro` becomes `Buro`.
    """
    titles = list(titles)
    names = {title: title for title in titles if not why_unusable(title)}
    taken = set(names)
    for title in titles:
        if title in names:
            continue
        name = base = _slug(title)
        number = 1
        while name in taken:
            number += 1
            ending = f"-{number}"
            name = base[: LONGEST - len(ending)] + ending
        names[title] = name
        taken.add(name)
    return names


def _slug(title: str) -> str:
    import unicodedata

    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", title)
        if not unicodedata.combining(letter)
    )
    words = "".join(letter if letter in _ALLOWED else " " for letter in plain).split()
    name = "-".join(words)[:LONGEST].strip("-.")
    if name:
        return name
    return f"server-{hashlib.sha256(title.encode('utf-8', 'replace')).hexdigest()[:_HASH]}"
