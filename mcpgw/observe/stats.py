"""Counters of calls, kept in memory for one run of the gateway."""

from __future__ import annotations

import attrs


@attrs.define(slots=True, eq=False)
class ToolStats:
    """What happened to the calls of one tool."""

    calls: int = 0
    failures: int = 0
    seconds: float = 0.0
    """Time from the request to its answer, summed over all calls."""


@attrs.define(slots=True, eq=False)
class Stats:
    """Counters by server and tool."""

    tools: dict[tuple[str, str], ToolStats] = attrs.field(factory=dict)
    searches: int = 0
    tools_found: int = 0

    def record(self, server: str, tool: str, *, seconds: float, failed: bool) -> None:
        """Count one finished call."""
        stats = self.tools.get((server, tool))
        if stats is None:
            stats = self.tools[server, tool] = ToolStats()
        stats.calls += 1
        stats.seconds += seconds
        if failed:
            stats.failures += 1

    @property
    def calls(self) -> int:
        """All calls so far."""
        return sum(stats.calls for stats in self.tools.values())
