"""Usage counters in the state database: adds deltas and reads totals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.state.database import PATIENCE, Database, StateError
from mcpgw.usage.model import (
    DAY,
    DAYS_KEPT,
    HOUR,
    HOURS_KEPT,
    MOVES_KEPT,
    SPEND_DAYS_KEPT,
    SPEND_KEPT,
    TOOLS_KEPT,
    Counts,
    Delta,
    Spend,
    ToolKey,
    ToolUsage,
    Totals,
)

if TYPE_CHECKING:
    from sqlite3 import Connection

FILE: Final = "state.db"
"""Name of the state database in the state folder."""
WRITERS_KEPT: Final = 35 * 24
"""Hours after which a delta is no longer sent again."""

_ADD_TOOL = """
INSERT INTO tools (server, tool, calls, failures, cached, microseconds, tokens, cost_micro_usd,
  last_used, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (server, tool) DO UPDATE SET calls = calls + excluded.calls,
  failures = failures + excluded.failures, cached = cached + excluded.cached,
  microseconds = microseconds + excluded.microseconds, tokens = tokens + excluded.tokens,
  cost_micro_usd = cost_micro_usd + excluded.cost_micro_usd,
  last_used = max(last_used, excluded.last_used), revision = excluded.revision
"""
_ADD_ERRORS = """
INSERT INTO errors VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_ADD_LATENCY = """
INSERT INTO latency VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_ADD_HOURS = """
INSERT INTO hours VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, failures = failures + excluded.failures
"""
_ADD_DAYS = """
INSERT INTO days VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, failures = failures + excluded.failures
"""
_ADD_COUNTERS = """
INSERT INTO counters VALUES (?, ?)
ON CONFLICT DO UPDATE SET value = value + excluded.value
"""
_ADD_MOVES = """
INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count, revision = excluded.revision
"""
_ADD_SPEND = """
INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
  cost_micro_usd = cost_micro_usd + excluded.cost_micro_usd, tokens = tokens + excluded.tokens,
  revision = excluded.revision
"""
_SET_WRITER = """
INSERT INTO writers VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET number = excluded.number, hour = excluded.hour
"""

# SQLite keeps the order of a cross join, so that only rows of changed tools are read.
_READ_ERRORS = """SELECT p.tool, p.code, p.count FROM tools t CROSS JOIN errors p
ON p.tool = t.id WHERE t.revision > ?"""
_READ_LATENCY = """SELECT p.tool, p.bucket, p.count FROM tools t CROSS JOIN latency p
ON p.tool = t.id WHERE t.revision > ?"""
_READ_HOURS = """SELECT p.tool, p.hour, p.calls, p.failures FROM tools t CROSS JOIN hours p
ON p.tool = t.id WHERE t.revision > ? AND p.hour > ?"""
_READ_DAYS = """SELECT p.tool, p.day, p.calls, p.failures FROM tools t CROSS JOIN days p
ON p.tool = t.id WHERE t.revision > ? AND p.day > ?"""


@attrs.define(eq=False)
class UsageStore:
    """Counters of all gateways in one state file. All methods block, and are not thread-safe.

    Args:
      path: the file; it is created with the first delta.
      patience: seconds for which a sync is retried while other processes lock the file.
      clock: returns the Unix time in seconds.
    """

    path: Path
    patience: float = PATIENCE
    clock: Callable[[], float] = time.time
    _epoch: str = attrs.field(default="", init=False)
    """Epoch of the file that was read last; a new file has another one."""
    _revision: int = attrs.field(default=-1, init=False)
    """Revision up to which it was read."""

    def sync(self, delta: Delta) -> Totals:
        """Add a delta in one transaction, and return the changes since the last sync.

        A delta that is already in the file (same writer and number) is not added again, so that
        a caller can send the same one again after a failure.

        Raises:
          StateError: the file cannot be used. The delta was either not written, or the file
            recognizes it when it is sent again.
        """
        database = Database(self.path, self.patience)
        if delta:
            return self._adopt(database.write(lambda connection: self._exchange(connection, delta)))
        try:
            found = database.read(self._changes, replace_broken=True)
        except StateError as error:
            if error.kind != "older":
                raise
            found = database.write(self._changes)
        return Totals() if found is None else self._adopt(found)

    def read(self) -> Totals | None:
        """Return all counts, or None if there are none. The file is not changed.

        Raises:
          StateError: the file cannot be used.
        """
        self._epoch, self._revision = "", -1
        found = Database(self.path, self.patience).read(self._changes)
        return None if found is None else self._adopt(found)

    def _adopt(self, found: tuple[str, int, Totals]) -> Totals:
        self._epoch, self._revision, totals = found
        return totals

    def _exchange(self, connection: Connection, delta: Delta) -> tuple[str, int, Totals]:
        row = connection.execute(
            "SELECT number FROM writers WHERE writer = ?", (delta.writer,)
        ).fetchone()
        if row is None or row[0] < delta.number:
            now = self.clock()
            revision = _state(connection, "revision") + 1
            connection.execute("UPDATE state SET value = ? WHERE name = 'revision'", (revision,))
            connection.execute(_SET_WRITER, (delta.writer, delta.number, int(now) // HOUR))
            _add_tools(connection, delta.counts.tools, revision)
            _add_others(connection, delta.counts, revision)
            _remove_surplus(connection)
            if _state(connection, "pruned") != int(now) // HOUR:
                _prune(connection, now)
        return self._changes(connection)

    def _changes(self, connection: Connection) -> tuple[str, int, Totals]:
        """Return the epoch and revision of the file, and the changes since the last read."""
        (epoch,) = connection.execute("SELECT value FROM state WHERE name = 'epoch'").fetchone()
        revision = _state(connection, "revision")
        known = epoch == self._epoch and self._revision <= revision
        since = self._revision if known else -1
        counts = Counts()
        if since < revision:
            _read_tools(connection, counts, since, self.clock())
            _read_others(connection, counts, since, self.clock())
        return epoch, revision, Totals(counts, complete=not known)


def _state(connection: Connection, name: str) -> int:
    (value,) = connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return int(value)


def _add_tools(connection: Connection, tools: dict[ToolKey, ToolUsage], revision: int) -> None:
    connection.executemany(
        _ADD_TOOL,
        (
            (*key, use.calls, use.failures, use.cached, use.microseconds, use.tokens,
             use.cost_micro_usd, use.last_used, revision)
            for key, use in tools.items()
        ),
    )  # fmt: skip
    find = "SELECT id FROM tools WHERE server = ? AND tool = ?"
    numbered = [(connection.execute(find, key).fetchone()[0], use) for key, use in tools.items()]
    connection.executemany(
        _ADD_ERRORS, ((n, code, count) for n, use in numbered for code, count in use.errors.items())
    )
    connection.executemany(
        _ADD_LATENCY,
        ((n, bucket, count) for n, use in numbered for bucket, count in use.latency.items()),
    )
    connection.executemany(
        _ADD_HOURS, ((n, hour, *pair) for n, use in numbered for hour, pair in use.hours.items())
    )
    connection.executemany(
        _ADD_DAYS, ((n, day, *pair) for n, use in numbered for day, pair in use.days.items())
    )


def _add_others(connection: Connection, counts: Counts, revision: int) -> None:
    connection.executemany(_ADD_COUNTERS, counts.counters.items())
    connection.executemany(
        _ADD_MOVES,
        (
            (*before, *after, count, revision)
            for before, successors in counts.moves.items()
            for after, count in successors.items()
        ),
    )
    connection.executemany(
        _ADD_SPEND,
        (
            (*row, spend.calls, spend.cost_micro_usd, spend.tokens, revision)
            for row, spend in counts.spend.items()
        ),
    )


def _read_tools(connection: Connection, counts: Counts, since: int, now: float) -> None:
    tools: dict[int, ToolUsage] = {}
    rows = connection.execute(
        "SELECT id, server, tool, calls, failures, cached, microseconds, tokens, cost_micro_usd,"
        " last_used FROM tools WHERE revision > ?",
        (since,),
    )
    for number, server, tool, calls, failures, cached, microseconds, tokens, cost, used in rows:
        counts.tools[server, tool] = tools[number] = ToolUsage(
            calls=calls,
            failures=failures,
            cached=cached,
            microseconds=microseconds,
            tokens=tokens,
            cost_micro_usd=cost,
            last_used=used,
        )
    for number, code, count in connection.execute(_READ_ERRORS, (since,)):
        tools[number].errors[code] = count
    for number, bucket, count in connection.execute(_READ_LATENCY, (since,)):
        tools[number].latency[bucket] = count
    oldest = int(now) // HOUR - HOURS_KEPT
    for number, hour, calls, failures in connection.execute(_READ_HOURS, (since, oldest)):
        tools[number].hours[hour] = [calls, failures]
    oldest = int(now) // DAY - DAYS_KEPT
    for number, day, calls, failures in connection.execute(_READ_DAYS, (since, oldest)):
        tools[number].days[day] = [calls, failures]


def _read_others(connection: Connection, counts: Counts, since: int, now: float) -> None:
    counts.counters.update(connection.execute("SELECT name, value FROM counters").fetchall())
    moves = connection.execute(
        "SELECT from_server, from_tool, to_server, to_tool, count FROM moves WHERE revision > ?",
        (since,),
    )
    for from_server, from_tool, to_server, to_tool, count in moves:
        successors = counts.moves.setdefault((from_server, from_tool), {})
        successors[to_server, to_tool] = count
    spend = connection.execute(
        "SELECT day, server, tool, caller, calls, cost_micro_usd, tokens FROM spend"
        " WHERE revision > ? AND day > ?",
        (since, int(now) // DAY - SPEND_DAYS_KEPT),
    )
    for day, server, tool, caller, calls, cost, tokens in spend:
        counts.spend[day, server, tool, caller] = Spend(calls, cost, tokens)


def _remove_surplus(connection: Connection) -> None:
    """Remove surplus rows, and a few more, so that this is not needed every time."""
    if _excess(connection, "SELECT count(*) FROM tools", TOOLS_KEPT) > 0:
        connection.execute(
            "DELETE FROM tools WHERE id NOT IN"
            " (SELECT id FROM tools ORDER BY last_used DESC LIMIT ?)",
            (TOOLS_KEPT * 19 // 20,),
        )
        for statement in (
            "DELETE FROM errors WHERE tool NOT IN (SELECT id FROM tools)",
            "DELETE FROM latency WHERE tool NOT IN (SELECT id FROM tools)",
            "DELETE FROM hours WHERE tool NOT IN (SELECT id FROM tools)",
            "DELETE FROM days WHERE tool NOT IN (SELECT id FROM tools)",
        ):
            connection.execute(statement)
    if _excess(connection, "SELECT count(*) FROM moves", MOVES_KEPT) > 0:
        connection.execute(
            "DELETE FROM moves WHERE (from_server, from_tool, to_server, to_tool) NOT IN"
            " (SELECT from_server, from_tool, to_server, to_tool FROM moves"
            " ORDER BY count DESC, revision DESC LIMIT ?)",
            (MOVES_KEPT * 19 // 20,),
        )
    if _excess(connection, "SELECT count(*) FROM spend", SPEND_KEPT) > 0:
        connection.execute(
            "DELETE FROM spend WHERE (day, server, tool, caller) NOT IN"
            " (SELECT day, server, tool, caller FROM spend"
            " ORDER BY day DESC, cost_micro_usd DESC LIMIT ?)",
            (SPEND_KEPT * 19 // 20,),
        )


def _excess(connection: Connection, statement: str, most: int) -> int:
    (rows,) = connection.execute(statement).fetchone()
    return int(rows) - most


def _prune(connection: Connection, now: float) -> None:
    """Remove old rows; once an hour, by the first gateway to sync.

    Rows of the future, caused by a wrong clock, are removed too.
    """
    hour, day = int(now) // HOUR, int(now) // DAY
    for statement, oldest, latest in (
        ("DELETE FROM hours WHERE hour <= ? OR hour > ?", hour - HOURS_KEPT, hour + 24),
        ("DELETE FROM days WHERE day <= ? OR day > ?", day - DAYS_KEPT, day + 1),
        ("DELETE FROM spend WHERE day <= ? OR day > ?", day - SPEND_DAYS_KEPT, day + 1),
        ("DELETE FROM writers WHERE hour <= ? OR hour > ?", hour - WRITERS_KEPT, hour + 24),
    ):
        connection.execute(statement, (oldest, latest))
    connection.execute("UPDATE state SET value = ? WHERE name = 'pruned'", (hour,))
