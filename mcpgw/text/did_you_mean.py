"""Suggestions for names that do not exist: the similar names that do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_DISTANCE: Final = 3
"""Edits beyond which two names do not count as spellings of the same one."""

MIN_CONTAINED: Final = 3
"""Characters that a name must have to be looked for inside other names."""


def nearest(wanted: str, candidates: Iterable[str], *, count: int = 3) -> list[str]:
    """Return at most `count` candidates that `wanted` may mean, most likely first.

    Misspellings come first: names within `MAX_DISTANCE` edits (a letter inserted, dropped,
    replaced or swapped with its neighbour). Short names allow fewer edits: a third of their
    letters, at least one, and none for a single letter. Misspellings are ordered by distance,
    then by name. Case is ignored, and so is the way in which words are joined: `a_b`, `a-b` and
    `aB` are the same name. Names with the same words in another order follow, then names that
    contain `wanted` or are contained in it.
    """
    from mcpgw.text.words import identifier_parts, joined_key

    if count < 1 or not wanted:
        return []
    folded, key, parts = wanted.casefold(), joined_key(wanted), frozenset(identifier_parts(wanted))
    ranked: list[tuple[int, int, str]] = []
    for candidate in dict.fromkeys(candidates):
        distance = _distance(folded, key, candidate)
        if distance is not None:
            ranked.append((0, distance, candidate))
            continue
        weaker = _weaker(key, parts, candidate)
        if weaker is not None:
            ranked.append((*weaker, candidate))
    ranked.sort()
    return [name for _, _, name in ranked[:count]]


def correction(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` is a misspelling of, or None.

    The limits are those of `nearest`; names that only share words or letters do not count.
    """
    from mcpgw.text.words import joined_key

    folded, key = name.casefold(), joined_key(name)
    ranked = [
        (distance, candidate)
        for candidate in candidates
        if (distance := _distance(folded, key, candidate)) is not None
    ]
    return min(ranked)[1] if ranked else None


def did_you_mean(wanted: str, candidates: Iterable[str]) -> str:
    """Return ` Did you mean: a, b?` for the end of an error message, or "" without suggestions."""
    names = nearest(wanted, candidates)
    return f" Did you mean: {', '.join(names)}?" if names else ""


def _distance(folded: str, key: str, candidate: str) -> int | None:
    from rapidfuzz.distance import OSA

    from mcpgw.text.words import joined_key

    other = joined_key(candidate)
    if other == key:
        return 0
    found = []
    for one, two in ((folded, candidate.casefold()), (key, other)):
        limit = min(MAX_DISTANCE, max(int(len(one) > 1), len(one) // 3))
        distance = OSA.distance(one, two, score_cutoff=limit)
        if distance <= limit:
            found.append(distance)
    return min(found, default=None)


def _weaker(key: str, parts: frozenset[str], candidate: str) -> tuple[int, int] | None:
    """Return the rank of a suggestion that is not a misspelling, or None if it does not fit."""
    from mcpgw.text.words import identifier_parts, joined_key

    other = frozenset(identifier_parts(candidate))
    if parts and other and (parts <= other or other <= parts):
        return 1, len(parts ^ other)
    other_key = joined_key(candidate)
    shorter, longer = sorted((key, other_key), key=len)
    if len(shorter) >= MIN_CONTAINED and shorter in longer:
        return 2, len(longer) - len(shorter)
    return None
