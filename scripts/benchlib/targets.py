"""Performance targets of the gateway, and their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs


@attrs.frozen
class Target:
    """A figure and its limit; `read` returns the figure from the parts of a report."""

    name: str
    limit: float
    unit: str
    at_least: bool
    read: Callable[[Mapping[str, Any]], float]

    def judged(self, parts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the figure and whether the target is met, or None if it was not measured."""
        try:
            value = self.read(parts)
        except KeyError:
            return None
        if value is None:
            return None
        met = value >= self.limit if self.at_least else value <= self.limit
        word = "at least" if self.at_least else "at most"
        target = f"{word} {self.limit:g} {self.unit}".rstrip()
        return {"name": self.name, "value": float(f"{value:.4g}"), "target": target, "met": met}


def _ratio(part: str, name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda parts: parts[part]["ratios"][name]  # type: ignore[no-any-return]


def _coverage(kind: str, place: int) -> Callable[[Mapping[str, Any]], float]:
    return lambda parts: parts["search"]["quality"]["ours"][kind]["mean"][place]  # type: ignore[no-any-return]


TARGETS: Final = (
    Target("start: gateway to bare", 1.15, "x", False, _ratio("start", "gateway/bare")),
    Target("start: FastMCP to gateway", 5, "x", True, _ratio("start", "FastMCP/gateway")),
    Target("start: 50 backends to none", 1.1, "x", False, _ratio("start", "50 backends/gateway")),
    Target("call: gateway to direct, p50", 4, "x", False, _ratio("calls", "gateway/direct, p50")),
    Target(
        "call: FastMCP to gateway, p50", 4, "x", True, _ratio("calls", "FastMCP proxy/gateway, p50")
    ),
    Target(
        "call: gateway to FastMCP, calls/s with 32 in flight",
        25,
        "x",
        True,
        _ratio("calls", "gateway/FastMCP proxy, rate"),
    ),
    *(
        Target(
            f"search: coverage of tasks, {kind} at {place}",
            limit,
            "",
            True,
            _coverage(kind, place),
        )
        for kind, place, limit in (
            ("steps", 5, 0.75),
            ("steps", 10, 0.82),
            ("question", 5, 0.42),
            ("question", 10, 0.50),
        )
    ),
    *(
        Target(
            f"HTTP: gateway to {peer}, calls/s at {count}",
            1,
            "x",
            True,
            _ratio("http", f"gateway/{peer}, {count} connections"),
        )
        for peer in ("supergateway", "mcp-proxy")
        for count in (1, 32)
    ),
    Target("APIs: files loaded warm", 10, "ms", False, lambda p: p["apis"]["loading"]["warm_ms"]),
    Target("APIs: 500 operations imported", 5, "s", False, lambda p: p["apis"]["import_seconds"]),
    Target("APIs: changed pin withdrawn", 2, "s", False, lambda p: p["apis"]["withdrawn_seconds"]),
    Target("memory of the gateway", 45, "MB", False, lambda p: p["calls"]["rss_mb"]["gateway"]),
)


def judge(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the evaluation of each target that was measured."""
    return [found for target in TARGETS if (found := target.judged(parts)) is not None]
