"""Live usage counters of a gateway: the totals of all gateways of the user, plus its own counts.

Recording only changes memory; `mcpgw.usage.sync` synchronizes the counters with the state file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import trio

from mcpgw.usage.latency import bucket_of
from mcpgw.usage.model import (
    DAY,
    HOUR,
    TOOLS_KEPT,
    Counts,
    Delta,
    Spend,
    SpendKey,
    ToolKey,
    ToolUsage,
    Totals,
)

LEAST_MOVES: Final = 3
"""Minimum number of transitions to a tool before it is suggested."""
LEAST_SHARE: Final = 0.30
"""Minimum share of all transitions from the previous tool."""
LARGEST: Final = 10**12
"""Maximum number of tokens or micro-USD counted for a call; servers may report any value."""
LONGEST_NAME: Final = 200
"""Maximum length of a name, which a model may have invented."""
LONGEST_CALL: Final = 10**9
"""Maximum duration of a call in seconds; longer ones are clock errors."""
TOTALS_PATIENCE: Final = 5.0
"""Seconds that a call with a budget, or a report, waits for the totals of earlier runs."""
OTHER: Final = "OTHER"
"""Replaces errors that are not codes, because texts of errors are never stored."""


@attrs.define
class Spent:
    """Micro-USD spent on one day, by tool and caller."""

    day: int
    """Unix day (UTC)."""
    total: int = 0
    by_tool: dict[ToolKey, int] = attrs.field(factory=dict)
    by_caller: dict[str, int] = attrs.field(factory=dict)

    def add(self, key: ToolKey, caller: str, cost: int) -> None:
        """Add the cost of a call."""
        self.total += cost
        self.by_tool[key] = self.by_tool.get(key, 0) + cost
        self.by_caller[caller] = self.by_caller.get(caller, 0) + cost


@attrs.define(eq=False)
class Usage:
    """Counters by tool, by pair of tools, by day and caller, and by name.

    The values are the totals last read from the state file, plus the counts recorded here since
    then. Only names and numbers are stored: no arguments, results or texts of errors.

    Args:
      clock: returns the Unix time in seconds.
    """

    clock: Callable[[], float] = time.time
    _live: Counts = attrs.field(factory=Counts, init=False)
    """All counts: the totals read last, plus `_sent` and `_fresh`."""
    _fresh: Counts = attrs.field(factory=Counts, init=False)
    """Recorded here since the last `take`."""
    _sent: Delta | None = attrs.field(default=None, init=False)
    """Returned by `take`, and not yet confirmed as written."""
    _written: Counts = attrs.field(factory=Counts, init=False)
    """Recorded here and confirmed as written."""
    _pairs: dict[ToolKey, tuple[ToolUsage, ToolUsage]] = attrs.field(factory=dict, init=False)
    """Entries in `_fresh` and `_live` of recently called tools."""
    _following: dict[ToolKey, tuple[int, int, tuple[int, float], list[tuple[ToolKey, float]]]] = (
        attrs.field(factory=dict, init=False)
    )
    """Cached results of `next_tools`, with the range of transitions for which they are valid."""
    _spent: Spent = attrs.field(factory=lambda: Spent(-1), init=False)
    _pruned: int = attrs.field(default=-1, init=False)
    """Unix hour of the last removal of old counts."""
    _first_exchange: trio.Event | None = attrs.field(default=None, init=False)
    """Set after the first exchange with the state file; None if there is none to wait for."""
    _totals_read: bool = attrs.field(default=False, init=False)
    """True once the state file was read."""
    _number: int = attrs.field(default=0, init=False)
    _writer: str = attrs.field(factory=lambda: os.urandom(12).hex(), init=False)

    # -- the totals of earlier runs ----------------------------------------------------------

    def expect_totals(self) -> None:
        """Have `totals` wait for the first exchange with the state file, which follows."""
        self._first_exchange = trio.Event()

    def exchanged(self) -> None:
        """Record that an exchange with the state file has ended, whether it succeeded or not."""
        if self._first_exchange is not None:
            self._first_exchange.set()

    async def totals(self, patience: float = TOTALS_PATIENCE) -> bool:
        """Wait until the totals of earlier runs and other gateways are included.

        Returns:
          False if the state file could not be read, or not within `patience` seconds: only the
          counts of this gateway are known.
        """
        event = self._first_exchange
        if event is None:
            return True
        if not event.is_set():
            with trio.move_on_after(patience):
                await event.wait()
        return self._totals_read

    # -- recording -------------------------------------------------------------------------

    def record(
        self,
        server: str,
        tool: str,
        *,
        seconds: float | None,
        error: str = "",
        cached: bool = False,
        tokens: int = 0,
        cost_micro_usd: int = 0,
        caller: str = "",
    ) -> None:
        """Count one finished call.

        Args:
          server: name of the server.
          tool: name of the tool.
          seconds: time from request to answer; None if the call did not reach the server, so
            that refused calls do not lower the latency.
          error: recovery code of a failed call, otherwise empty.
          cached: whether it was answered from the cache; its latency is not counted.
          tokens: tokens used, as reported by the server.
          cost_micro_usd: cost in millionths of a dollar.
          caller: who is charged, such as the name of an API key.
        """
        now = self.clock()
        pair = self._pairs.get((server, tool))
        if pair is None:
            pair = self._pair((server, tool))
        hour = int(now) // HOUR
        day = hour // 24
        bucket = -1
        microseconds = 0
        if seconds is not None and not cached:
            if not 0.0 <= seconds <= LONGEST_CALL:
                seconds = 0.0
            bucket = bucket_of(seconds)
            microseconds = int(seconds * 1e6)
        for usage in pair:
            usage.calls += 1
            usage.last_used = now
            slot = usage.hours.get(hour)
            if slot is None:
                slot = usage.hours[hour] = [0, 0]
            slot[0] += 1
            slot = usage.days.get(day)
            if slot is None:
                slot = usage.days[day] = [0, 0]
            slot[0] += 1
            if bucket >= 0:
                usage.microseconds += microseconds
                latency = usage.latency
                latency[bucket] = latency.get(bucket, 0) + 1
        if error or cached:
            _mark(pair, hour, error, cached)
        if tokens:
            tokens = min(max(int(tokens), 0), LARGEST)
            pair[0].tokens += tokens
            pair[1].tokens += tokens
        if cost_micro_usd or caller:
            self._charge((server, tool), pair, caller, tokens, cost_micro_usd)

    def count(self, name: str, amount: int = 1) -> None:
        """Increase a plain counter, such as `searches`."""
        if not (len(name) <= LONGEST_NAME and name.isascii() and 0 <= amount <= LARGEST):
            name, amount = _clean(name), min(max(amount, 0), LARGEST)
        for counters in (self._fresh.counters, self._live.counters):
            counters[name] = counters.get(name, 0) + amount

    def moved(self, before: ToolKey, after: ToolKey) -> None:
        """Count a transition: a session called one tool right after another."""
        fresh, live = self._fresh.moves.get(before), self._live.moves.get(before)
        if fresh is not None and live is not None and after in fresh and after in live:
            fresh[after] += 1
            live[after] += 1
            return
        before, after = _clean_key(before), _clean_key(after)
        for moves in (self._fresh.moves, self._live.moves):
            successors = moves.setdefault(before, {})
            successors[after] = successors.get(after, 0) + 1
        self._following.pop(before, None)

    # -- reading ---------------------------------------------------------------------------

    def tool(self, server: str, tool: str) -> ToolUsage | None:
        """Return the statistics of a tool, or None.

        The object must not be stored or changed: a sync replaces it.
        """
        return self._live.tools.get((server, tool))

    def tools(self) -> Mapping[ToolKey, ToolUsage]:
        """Return the statistics of all tools; the same restrictions apply as for `tool`."""
        return self._live.tools

    def counter(self, name: str) -> int:
        """Return a plain counter."""
        return self._live.counters.get(name, 0)

    def counters(self) -> Mapping[str, int]:
        """Return all plain counters."""
        return self._live.counters

    def next_tools(
        self, server: str, tool: str, *, least: int = LEAST_MOVES, share: float = LEAST_SHARE
    ) -> list[tuple[ToolKey, float]]:
        """Return the tools that were often called right after a tool, most frequent first.

        Args:
          server: server of the tool called last.
          tool: name of the tool called last.
          least: minimum number of transitions.
          share: minimum share of all transitions, from 0 to 1.

        Returns:
          Tools and their shares; equal shares are ordered by name.
        """
        key = (server, tool)
        successors = self._live.moves.get(key)
        if not successors:
            return []
        total = sum(successors.values())
        known = self._following.get(key)
        if known is not None and known[0] <= total < known[1] and known[2] == (least, share):
            return known[3]
        found = [
            (after, count / total)
            for after, count in successors.items()
            if count >= least and count >= share * total
        ]
        found.sort(key=lambda entry: (-entry[1], entry[0]))
        # After a hundred transitions, the next one changes little.
        self._following[key] = (total, total + 1 + total // 10, (least, share), found)
        return found

    def spent_today(self) -> Spent:
        """Return the spending of the current UTC day.

        It includes all calls of this gateway, and those of other gateways as of the last sync.
        """
        if self._spent.day != int(self.clock()) // DAY:
            self._sum_up_today()
        return self._spent

    def spend(self, *, days: int = 1) -> dict[SpendKey, Spend]:
        """Return the spending of the last days, including today, by day, tool and caller."""
        oldest = int(self.clock()) // DAY - days
        return {row: spend for row, spend in self._live.spend.items() if row[0] > oldest}

    def since_start(self) -> Counts:
        """Return a copy of the counts of this process alone."""
        own = Counts()
        own.add(self._written)
        if self._sent is not None:
            own.add(self._sent.counts)
        own.add(self._fresh)
        return own

    # -- writing ---------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """True if there are counts that are not confirmed as written."""
        return self._sent is not None or bool(self._fresh)

    def take(self) -> Delta:
        """Return the delta to write; the same one until `settle` confirms it."""
        now = self.clock()
        hour = int(now) // HOUR
        if hour != self._pruned or len(self._live.tools) > TOOLS_KEPT * 21 // 20:
            self._pruned = hour
            for counts in (self._live, self._fresh, self._written):
                counts.prune(now)
            self._pairs.clear()
        if self._sent is not None:
            return self._sent
        if not self._fresh:
            return Delta(self._writer, self._number, Counts())
        self._number += 1
        self._sent = Delta(self._writer, self._number, self._fresh)
        self._fresh = Counts()
        self._pairs.clear()
        return self._sent

    def settle(self, delta: Delta, totals: Totals) -> None:
        """Record that a delta was written, and adopt the totals read after it."""
        self._following.clear()
        self._totals_read = True
        if self._sent is delta:
            self._written.add(delta.counts)
            self._sent = None
        self._pairs.clear()
        if totals.complete:
            self._live = Counts()
            self._adopt(totals.counts)
            self._live.add(self._rest(totals.counts))
        else:
            self._adopt(totals.counts)
        if totals.complete or totals.counts.spend:
            self._sum_up_today()

    def _adopt(self, theirs: Counts) -> None:
        """Replace entries by the given totals, plus the counts recorded since then."""
        live, fresh = self._live, self._fresh
        for key, usage in theirs.tools.items():
            live.tools[key] = usage
            if key in fresh.tools:
                usage.add(fresh.tools[key])
        for name, value in theirs.counters.items():
            live.counters[name] = value + fresh.counters.get(name, 0)
        for before, successors in theirs.moves.items():
            ours = live.moves.setdefault(before, {})
            recent = fresh.moves.get(before, {})
            for after, count in successors.items():
                ours[after] = count + recent.get(after, 0)
        for row, spend in theirs.spend.items():
            live.spend[row] = spend
            if row in fresh.spend:
                spend.add(fresh.spend[row])

    def _rest(self, theirs: Counts) -> Counts:
        """Return the counts recorded since then for entries that are not in the totals."""
        fresh = self._fresh
        rest = Counts(
            tools={key: use for key, use in fresh.tools.items() if key not in theirs.tools},
            counters={n: value for n, value in fresh.counters.items() if n not in theirs.counters},
            spend={row: spend for row, spend in fresh.spend.items() if row not in theirs.spend},
        )
        for before, successors in fresh.moves.items():
            known = theirs.moves.get(before, {})
            missing = {after: n for after, n in successors.items() if after not in known}
            if missing:
                rest.moves[before] = missing
        return rest

    # -- details ---------------------------------------------------------------------------

    def _pair(self, key: ToolKey) -> tuple[ToolUsage, ToolUsage]:
        key = _clean_key(key)
        fresh = self._fresh.tools.setdefault(key, ToolUsage())
        live = self._live.tools.setdefault(key, ToolUsage())
        pair = self._pairs[key] = (fresh, live)
        return pair

    def _charge(
        self,
        key: ToolKey,
        pair: tuple[ToolUsage, ToolUsage],
        caller: str,
        tokens: int,
        cost: int,
    ) -> None:
        cost = cost if 0 <= cost <= LARGEST else LARGEST if cost > 0 else 0
        for usage in pair:
            usage.cost_micro_usd += cost
        spent = self.spent_today()
        key, caller = _clean_key(key), _clean(caller)
        spent.add(key, caller, cost)
        row = (spent.day, *key, caller)
        for rows in (self._fresh.spend, self._live.spend):
            spend = rows.get(row)
            if spend is None:
                spend = rows[row] = Spend()
            spend.calls += 1
            spend.cost_micro_usd += cost
            spend.tokens += tokens

    def _sum_up_today(self) -> None:
        self._spent = Spent(int(self.clock()) // DAY)
        for (day, server, tool, caller), spend in self._live.spend.items():
            if day == self._spent.day:
                self._spent.add((server, tool), caller, spend.cost_micro_usd)


def _mark(pair: tuple[ToolUsage, ToolUsage], hour: int, error: str, cached: bool) -> None:
    """Count a failure or an answer from the cache."""
    code = error if len(error) <= LONGEST_NAME and (not error or error.isidentifier()) else OTHER
    for usage in pair:
        if cached:
            usage.cached += 1
        if code:
            usage.failures += 1
            usage.hours[hour][1] += 1
            usage.days[hour // 24][1] += 1
            usage.errors[code] = usage.errors.get(code, 0) + 1


def _clean_key(key: ToolKey) -> ToolKey:
    return (_clean(key[0]), _clean(key[1]))


def _clean(name: str) -> str:
    """Return a name that can be stored: truncated, and without lone surrogates."""
    if len(name) <= LONGEST_NAME and name.isascii():
        return name
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode()
