"""Ranking signals: use, health, success, latency, cost and trust, and their effect on a score."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

MAX_BOOST: Final = 0.15
"""Greatest boost of a tool's relevance by frequent use."""

USES_AT_HALF: Final = 10
"""Uses that give half of the boost; it grows logarithmically to the full boost at 120 uses."""

MAX_PENALTY: Final = 0.4
"""Greatest penalty by poor health, failures, latency and cost together."""

SHARES: Final = {"health": 0.4, "success": 0.35, "latency": 0.15, "cost": 0.1}
"""Shares of the penalty; failures count more than latency."""

LOW: Final = 0.75
"""A signal below this is reported as a reason."""

MIN_TRUST: Final = 0.2
"""A tool with less trust is withheld."""


@attrs.frozen
class Signals:
    """Signals of a tool, each from 0.0 (worst) to 1.0 (best).

    `uses` is the number of its successful calls; `disabled` means that it cannot be called now.
    """

    health: float = 1.0
    success: float = 1.0
    latency: float = 1.0
    cost: float = 1.0
    trust: float = 1.0
    grant: float = 1.0
    uses: int = 0
    disabled: bool = False

    @property
    def withheld(self) -> bool:
        """True if the tool must not be shown, because of `grant` or `trust`."""
        return self.grant <= 0 or self.trust < MIN_TRUST


NEUTRAL: Final = Signals()


def factor(signals: Signals) -> float:
    """Return the factor for a tool's relevance, from 0.6 to 1.15.

    The bounds keep relevance decisive: use never lifts a tool above one with 1.2 times its
    relevance.
    """
    if signals == NEUTRAL:
        return 1.0
    parts: dict[str, float] = {name: getattr(signals, name) for name in SHARES}
    lost = sum(share * (1.0 - min(1.0, max(0.0, parts[name]))) for name, share in SHARES.items())
    boost = min(1.0, math.log1p(max(0, signals.uses)) / (2.0 * math.log1p(USES_AT_HALF)))
    return (1.0 - MAX_PENALTY * lost) * (1.0 + MAX_BOOST * boost)


def explained(relevance: float, signals: Signals) -> dict[str, Any]:
    """Return the `ranking` of a hit: its relevance and the signals that changed its score.

    Reasons are fixed labels and never contain text of the query.
    """
    values = {
        name: round(getattr(signals, name), 3)
        for name in (*SHARES, "trust", "grant")
        if getattr(signals, name) != 1.0
    }
    reasons = [f"{name}_downgraded" for name, value in values.items() if value < LOW]
    ranking: dict[str, Any] = {"relevance": round(relevance, 6)}
    if signals.uses > 0:
        values["uses"] = signals.uses
        reasons.append("used_before")
    if signals.disabled:
        reasons.append("disabled")
    if values:
        ranking["signals"] = values
    if reasons:
        ranking["reasons"] = reasons
    return ranking
