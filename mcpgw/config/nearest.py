"""The name that a misspelt one surely meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` is surely a misspelling of, or None.

    At most a third of its letters differ, at least one; a swap with the neighbour is one slip.
    """
    from rapidfuzz.distance import OSA

    limit = max(1, len(name) // 3)
    ranked = sorted((OSA.distance(name, other), other) for other in candidates)
    return ranked[0][1] if ranked and ranked[0][0] <= limit else None
