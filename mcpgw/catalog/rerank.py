"""Reranking of hits by relevance and by signals such as health, latency and cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mcpgw.catalog.page import pick
from mcpgw.catalog.ranking import Signals, explained, factor
from mcpgw.catalog.scoring import Candidate, order

MIN_POOL: Final = 40
"""Least number of tools, best first, whose signals are read, if four pages are fewer."""

DISABLED_SHARE: Final = 3
"""At most one hit in this many may be a disabled tool if enough others match."""


def rerank(
    candidates: list[Candidate], limit: int, signals: Callable[[str, str], Signals]
) -> tuple[list[Candidate], int, dict[int, dict[str, Any]]]:
    """Return the page, the number of withheld tools, and the reasons by candidate.

    Only the signals of the best candidates are read. Disabled tools relevant enough for the page
    stay at its end, but never so many that they displace the others.
    """
    pool: list[Candidate] = []
    disabled: list[Candidate] = []
    reasons: dict[int, dict[str, Any]] = {}
    withheld = 0
    for candidate in candidates:
        if len(pool) + len(disabled) >= max(MIN_POOL, 4 * limit):
            break
        document = candidate.document
        known = signals(document.server, document.tool)
        if known.withheld:
            withheld += 1
            continue
        reasons[candidate.number] = explained(candidate.score, known)
        candidate.score *= factor(known)
        (disabled if known.disabled else pool).append(candidate)
    pool.sort(key=order)
    disabled.sort(key=order)
    page = pick(pool, limit - _kept(pool, disabled, limit))
    last = page[-1].score if page else None
    for candidate in disabled[: limit - len(page)]:
        candidate.exact = 0
        if last is not None:
            candidate.score = min(candidate.score, last)
        last = candidate.score
        page.append(candidate)
    return page, withheld, reasons


def _kept(pool: list[Candidate], disabled: list[Candidate], limit: int) -> int:
    """Return the number of places in the page reserved for disabled tools."""
    if not disabled:
        return 0
    ranked = sorted([*pool, *disabled], key=order)[:limit]
    belonging = len(ranked) - sum(candidate in pool for candidate in ranked)
    return min(belonging, (limit + DISABLED_SHARE - 2) // DISABLED_SHARE)
