"""Usage counters: calls by tool, transitions between tools, spending, and plain counters.

The same classes represent totals and the deltas added to them. All values except times are
integers, so that sums do not depend on the order of additions.
"""

from __future__ import annotations

import time
from typing import Final, TypeVar

import attrs

from mcpgw.usage.latency import percentile

ToolKey = tuple[str, str]
"""Server and tool. Both may contain any character, so they are never joined to one string."""
SpendKey = tuple[int, str, str, str]
"""Unix day (UTC), server, tool, caller."""

Key = TypeVar("Key")

HOURS_KEPT: Final = 48
DAYS_KEPT: Final = 30
SPEND_DAYS_KEPT: Final = 35
TOOLS_KEPT: Final = 10_000
"""Maximum number of tools; the most recently used ones are kept."""
MOVES_KEPT: Final = 20_000
"""Maximum number of transitions; the most frequent ones are kept."""
SPEND_KEPT: Final = 50_000
"""Maximum number of spending rows; the latest ones are kept."""

HOUR: Final = 3600
DAY: Final = 86400


@attrs.frozen
class Trend:
    """Calls of the last 24 hours, compared with the 24 hours before."""

    recent: int
    before: int

    @property
    def ratio(self) -> float | None:
        """Ratio of recent calls to previous ones; None if there were no calls before."""
        return self.recent / self.before if self.before else None


@attrs.define
class ToolUsage:
    """Statistics of the calls of one tool."""

    calls: int = 0
    """All calls, including failed ones and those answered from the cache."""
    failures: int = 0
    cached: int = 0
    """Calls answered from the cache, whose latency is not measured."""
    errors: dict[str, int] = attrs.field(factory=dict)
    """Failures by recovery code."""
    microseconds: int = 0
    """Total latency of all measured calls."""
    latency: dict[int, int] = attrs.field(factory=dict)
    """Measured calls by bucket; see `mcpgw.usage.latency`."""
    tokens: int = 0
    cost_micro_usd: int = 0
    last_used: float = 0.0
    """Unix time in seconds."""
    hours: dict[int, list[int]] = attrs.field(factory=dict)
    """Calls and failures by Unix hour, for the last `HOURS_KEPT` hours."""
    days: dict[int, list[int]] = attrs.field(factory=dict)
    """Calls and failures by Unix day (UTC), for the last `DAYS_KEPT` days."""

    def add(self, other: ToolUsage) -> None:
        """Add the counts of another object; no mutable state is shared."""
        self.calls += other.calls
        self.failures += other.failures
        self.cached += other.cached
        self.microseconds += other.microseconds
        self.tokens += other.tokens
        self.cost_micro_usd += other.cost_micro_usd
        self.last_used = max(self.last_used, other.last_used)
        _add(self.errors, other.errors)
        _add(self.latency, other.latency)
        _add_pairs(self.hours, other.hours)
        _add_pairs(self.days, other.days)

    def prune(self, now: float) -> None:
        """Remove hours and days that are too old."""
        hour, day = int(now // HOUR) - HOURS_KEPT, int(now // DAY) - DAYS_KEPT
        if any(key <= hour for key in self.hours):
            self.hours = {key: pair for key, pair in self.hours.items() if key > hour}
        if any(key <= day for key in self.days):
            self.days = {key: pair for key, pair in self.days.items() if key > day}

    @property
    def seconds(self) -> float:
        """Total latency of all measured calls, in seconds."""
        return self.microseconds / 1e6

    @property
    def mean(self) -> float | None:
        """Mean latency in seconds; None if no call was measured."""
        measured = sum(self.latency.values())
        return self.seconds / measured if measured else None

    def percentile(self, percent: float) -> float | None:
        """Return a percentile of the latency in seconds; None if no call was measured."""
        return percentile(self.latency, percent)

    @property
    def p50(self) -> float | None:
        """Median latency in seconds."""
        return self.percentile(50)

    @property
    def p95(self) -> float | None:
        """95th percentile of the latency in seconds."""
        return self.percentile(95)

    @property
    def p99(self) -> float | None:
        """99th percentile of the latency in seconds."""
        return self.percentile(99)

    @property
    def error_rate(self) -> float:
        """Share of failed calls, from 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def trend(self) -> Trend:
        """Calls of the last 24 hours, compared with the 24 hours before."""
        return self.trend_at(time.time())

    def trend_at(self, now: float) -> Trend:
        """Return the trend at a time; the current hour is the last of the 24."""
        hours = self.calls_by_hour(now)
        return Trend(sum(hours[24:]), sum(hours[:24]))

    def calls_by_hour(self, now: float) -> list[int]:
        """Return the calls of each of the last `HOURS_KEPT` hours; the current one is last."""
        last = int(now // HOUR)
        nothing = (0, 0)
        return [self.hours.get(hour, nothing)[0] for hour in range(last - HOURS_KEPT + 1, last + 1)]


@attrs.define
class Spend:
    """Spending of one day, tool and caller."""

    calls: int = 0
    cost_micro_usd: int = 0
    tokens: int = 0

    def add(self, other: Spend) -> None:
        """Add the counts of another object."""
        self.calls += other.calls
        self.cost_micro_usd += other.cost_micro_usd
        self.tokens += other.tokens


@attrs.define
class Counts:
    """All counters; true if any of them is set."""

    tools: dict[ToolKey, ToolUsage] = attrs.field(factory=dict)
    counters: dict[str, int] = attrs.field(factory=dict)
    moves: dict[ToolKey, dict[ToolKey, int]] = attrs.field(factory=dict)
    """Transitions, the number of calls of a tool right after another: `moves[before][after]`."""
    spend: dict[SpendKey, Spend] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.tools or self.counters or self.moves or self.spend)

    def add(self, other: Counts) -> None:
        """Add the counts of another object; no mutable state is shared."""
        for key, usage in other.tools.items():
            self.tools.setdefault(key, ToolUsage()).add(usage)
        _add(self.counters, other.counters)
        for before, successors in other.moves.items():
            _add(self.moves.setdefault(before, {}), successors)
        for row, spend in other.spend.items():
            self.spend.setdefault(row, Spend()).add(spend)

    def prune(self, now: float) -> None:
        """Remove old counts, and the least recently used tools if there are too many."""
        for usage in self.tools.values():
            usage.prune(now)
        if len(self.tools) > TOOLS_KEPT:
            by_age = sorted(self.tools, key=lambda key: self.tools[key].last_used)
            for key in by_age[: len(self.tools) - TOOLS_KEPT]:
                del self.tools[key]
        if sum(map(len, self.moves.values())) > MOVES_KEPT:
            self.moves = _most_frequent(self.moves)
        oldest = int(now // DAY) - SPEND_DAYS_KEPT
        if any(row[0] <= oldest for row in self.spend):
            self.spend = {row: spend for row, spend in self.spend.items() if row[0] > oldest}


@attrs.frozen
class Delta:
    """Counts of one process since its last write; false if there are none.

    A delta with the same writer and number is added to a file only once. It can therefore be sent
    again after a failure that leaves open whether it was written.
    """

    writer: str
    number: int
    counts: Counts

    def __bool__(self) -> bool:
        return bool(self.counts)


@attrs.frozen
class Totals:
    """Total counts of all gateways, as read from the state file.

    If `complete` is false, only the entries that have changed since the last read are included;
    each of them is a total, too.
    """

    counts: Counts = attrs.field(factory=Counts)
    complete: bool = False


def _most_frequent(
    moves: dict[ToolKey, dict[ToolKey, int]],
) -> dict[ToolKey, dict[ToolKey, int]]:
    rows = [(count, a, b) for a, successors in moves.items() for b, count in successors.items()]
    rows.sort(reverse=True)
    kept: dict[ToolKey, dict[ToolKey, int]] = {}
    for count, before, after in rows[:MOVES_KEPT]:
        kept.setdefault(before, {})[after] = count
    return kept


def _add(into: dict[Key, int], other: dict[Key, int]) -> None:
    for key, count in other.items():
        into[key] = into.get(key, 0) + count


def _add_pairs(into: dict[int, list[int]], other: dict[int, list[int]]) -> None:
    for key, (calls, failures) in other.items():
        pair = into.get(key)
        if pair is None:
            into[key] = [calls, failures]
        else:
            pair[0] += calls
            pair[1] += failures
