"""Ranking: how what is known of tools beside their texts moves them in a page of hits."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

MAX_BOOST: Final = 0.15
"""What frequent use adds to a tool's relevance at most."""

USES_AT_HALF: Final = 10
"""Uses that give half of the boost; the rest comes ever more slowly, all of it at 120."""

MAX_PENALTY: Final = 0.4
"""What being ill, failing, slow and dear take away together at most."""

SHARES: Final = {"health": 0.4, "success": 0.35, "latency": 0.15, "cost": 0.1}
"""How the penalty is shared; what makes calls fail counts more than what makes them slow."""

LOW: Final = 0.75
"""A signal below this is worth naming as a reason."""

MIN_TRUST: Final = 0.2
"""Trust below which a tool is not shown at all."""


@attrs.frozen
class Signals:
    """What is known of a tool: 1.0 where nothing speaks against it, 0.0 at worst.

    `uses` counts its successful calls so far; `disabled` tells that it cannot be called now.
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
        """Whether the tool must not be shown: nobody may call it, or it is not trusted."""
        return self.grant <= 0 or self.trust < MIN_TRUST


NEUTRAL: Final = Signals()


def factor(signals: Signals) -> float:
    """Return what a tool's relevance is multiplied by: at least 0.6, at most 1.15.

    The bounds keep relevance in charge: use never lifts a tool above one that fits 1.2 times
    as well.
    """
    if signals == NEUTRAL:
        return 1.0
    parts: dict[str, float] = {name: getattr(signals, name) for name in SHARES}
    lost = sum(share * (1.0 - min(1.0, max(0.0, parts[name]))) for name, share in SHARES.items())
    boost = min(1.0, math.log1p(max(0, signals.uses)) / (2.0 * math.log1p(USES_AT_HALF)))
    return (1.0 - MAX_PENALTY * lost) * (1.0 + MAX_BOOST * boost)


def explained(relevance: float, signals: Signals) -> dict[str, Any]:
    """Return why a tool stands where it does: its relevance, and the signals that moved it.

    Reasons are fixed labels, never text of the query.
    """
    values = {
        name: round(getattr(signals, name), 3)
        for name in (*SHARES, "trust", "grant")
        if getattr(signals, name) != 1.0
    }
    reasons = [f"{name}_downgraded" for name, value in values.items() if value < LOW]
    told: dict[str, Any] = {"relevance": round(relevance, 6)}
    if signals.uses > 0:
        values["uses"] = signals.uses
        reasons.append("used_before")
    if signals.disabled:
        reasons.append("disabled")
    if values:
        told["signals"] = values
    if reasons:
        told["reasons"] = reasons
    return told
