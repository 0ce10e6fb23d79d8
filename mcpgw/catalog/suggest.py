"""Suggestions of the names nearest to an unknown one ("did you mean")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mcpgw.catalog.words import identifier_parts, joined_key

MAX_DISTANCE: Final = 3
"""Greatest edit distance of a suggestion."""

MIN_CONTAINED: Final = 3
"""Least number of letters for a name to be searched for inside others."""


def nearest(wanted: str, candidates: Iterable[str], *, count: int = 3) -> list[str]:
    """Return at most `count` candidates that `wanted` may mean, most likely first.

    First come names within `MAX_DISTANCE` edits (a letter inserted, deleted, replaced or swapped
    with its neighbour), or for short names within a third of their letters, at least one. They
    are ordered by distance, then name. Case and separators are ignored: `a_b`, `a-b` and `aB` are
    the same name. Then come names whose words include those of the other in any order, then names
    that contain the other.
    """
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


def did_you_mean(wanted: str, candidates: Iterable[str]) -> str:
    """Return ` Did you mean: a, b?` to append to an error, or "" without suggestions."""
    names = nearest(wanted, candidates)
    return f" Did you mean: {', '.join(names)}?" if names else ""


def _distance(folded: str, key: str, candidate: str) -> int | None:
    from rapidfuzz.distance import OSA

    other = joined_key(candidate)
    if other == key:
        return 0
    found = []
    for one, two in ((folded, candidate.casefold()), (key, other)):
        limit = min(MAX_DISTANCE, max(1, len(one) // 3))
        distance = OSA.distance(one, two, score_cutoff=limit)
        if distance <= limit:
            found.append(distance)
    return min(found, default=None)


def _weaker(key: str, parts: frozenset[str], candidate: str) -> tuple[int, int] | None:
    """Return the rank of a suggestion with a different spelling, or None if it is unrelated."""
    other = frozenset(identifier_parts(candidate))
    if parts and other and (parts <= other or other <= parts):
        return 1, len(parts ^ other)
    other_key = joined_key(candidate)
    shorter, longer = sorted((key, other_key), key=len)
    if len(shorter) >= MIN_CONTAINED and shorter in longer:
        return 2, len(longer) - len(shorter)
    return None
