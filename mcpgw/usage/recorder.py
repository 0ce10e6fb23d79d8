"""The live counters of a gateway: what all gateways of the user counted, and what it adds.

Recording is arithmetic in memory; `mcpgw.usage.sync` carries it to the state file and back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import attrs

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
"""How often a tool must have followed another before that is worth a word."""
LEAST_SHARE: Final = 0.30
"""Its share of all that followed."""
LARGEST: Final = 10**12
"""Most tokens or micro-USD that one call counts; a server may claim anything."""
LONGEST_NAME: Final = 200
"""Characters of a name that are kept; a name may come from a model that made it up."""
LONGEST_CALL: Final = 10**9
"""Seconds; a longer time is a mistake of a clock."""
OTHER: Final = "OTHER"
"""Stands for an error that is not given as a code: texts of errors are never kept."""


@attrs.define
class Spent:
    """Micro-USD spent on one day, by whom and on what."""

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

    What it shows are the totals as last read from the state file and all that was recorded
    here since. Only names and numbers are kept: no arguments, results or texts of errors.

    Args:
      clock: gives the Unix time in seconds.
    """

    clock: Callable[[], float] = time.time
    _live: Counts = attrs.field(factory=Counts, init=False)
    """Everything: the totals as read last, and what is in `_sent` and `_fresh`."""
    _fresh: Counts = attrs.field(factory=Counts, init=False)
    """Recorded here since `take` gave the rest away."""
    _sent: Delta | None = attrs.field(default=None, init=False)
    """Given away, and not yet known to be written."""
    _written: Counts = attrs.field(factory=Counts, init=False)
    """Recorded here and written."""
    _pairs: dict[ToolKey, tuple[ToolUsage, ToolUsage]] = attrs.field(factory=dict, init=False)
    """The entries in `_fresh` and `_live` of each tool that was called lately."""
    _following: dict[ToolKey, tuple[int, int, tuple[int, float], list[tuple[ToolKey, float]]]] = (
        attrs.field(factory=dict, init=False)
    )
    """What `next_tools` found, with the numbers of moves for which that holds."""
    _spent: Spent = attrs.field(factory=lambda: Spent(-1), init=False)
    _pruned: int = attrs.field(default=-1, init=False)
    """The Unix hour in which old counts were forgotten last."""
    _number: int = attrs.field(default=0, init=False)
    _writer: str = attrs.field(factory=lambda: os.urandom(12).hex(), init=False)

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
          server: its name.
          tool: its name.
          seconds: from the request to its answer; None where the call did not reach the
            server, so that refusals do not make it look quick.
          error: the recovery code of a call that failed; empty where it did not.
          cached: whether it was answered from a cache; its time is not counted.
          tokens: what it used up, as the server tells.
          cost_micro_usd: what it cost, in millionths of a dollar.
          caller: who pays, such as the name of an API key.
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
            self._pay((server, tool), pair, caller, tokens, cost_micro_usd)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a plain counter, such as `searches`."""
        if not (len(name) <= LONGEST_NAME and name.isascii() and 0 <= amount <= LARGEST):
            name, amount = _clean(name), min(max(amount, 0), LARGEST)
        for counters in (self._fresh.counters, self._live.counters):
            counters[name] = counters.get(name, 0) + amount

    def moved(self, before: ToolKey, after: ToolKey) -> None:
        """Count that a session called one tool right after another."""
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

    # -- looking ---------------------------------------------------------------------------

    def tool(self, server: str, tool: str) -> ToolUsage | None:
        """Return what is known of a tool's calls, or None.

        To be looked at, not to be kept or changed: after a sync another object stands for it.
        """
        return self._live.tools.get((server, tool))

    def tools(self) -> Mapping[ToolKey, ToolUsage]:
        """Return all tools ever called, as `tool` does each."""
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
        """Return what was often called right after a tool, the likeliest first.

        Args:
          server: the server of the tool called last.
          tool: its name.
          least: how often another one must have followed.
          share: its least share of all that followed, from 0 to 1.

        Returns:
          Tools and their shares; equal shares stand in the order of their names.
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
        # Where a tool was followed a hundred times, the next time changes little.
        self._following[key] = (total, total + 1 + total // 10, (least, share), found)
        return found

    def spent_today(self) -> Spent:
        """Return what was spent on the current UTC day.

        Here to the last call, by other gateways as of the last sync.
        """
        if self._spent.day != int(self.clock()) // DAY:
            self._sum_up_today()
        return self._spent

    def spend(self, *, days: int = 1) -> dict[SpendKey, Spend]:
        """Return the spending by day, tool and caller of the last days, today being one."""
        oldest = int(self.clock()) // DAY - days
        return {row: spend for row, spend in self._live.spend.items() if row[0] > oldest}

    def since_start(self) -> Counts:
        """Return what this process alone has counted; a copy."""
        own = Counts()
        own.add(self._written)
        if self._sent is not None:
            own.add(self._sent.counts)
        own.add(self._fresh)
        return own

    # -- writing ---------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether anything is not known to be written."""
        return self._sent is not None or bool(self._fresh)

    def take(self) -> Delta:
        """Return what is to be written, the same as before until `settle` says it was."""
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
        """Take note that a delta was written, and adopt the totals read after it."""
        self._following.clear()
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
        """Put totals in the place of ours, and what was recorded meanwhile on top of them."""
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
        """Return what was recorded meanwhile of what the totals do not name."""
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

    def _pay(
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
    """Count what is special about a call."""
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
    """Return a name as it can be stored: not too long, and without halves of characters."""
    if len(name) <= LONGEST_NAME and name.isascii():
        return name
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode()
