"""Counters, in memory and in the state file."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.observe import log
from mcpgw.state import database as database_module
from mcpgw.state.database import Database, StateError
from mcpgw.state.schema import APPLICATION, MIGRATIONS
from mcpgw.usage import model as counts_module
from mcpgw.usage import store as store_module
from mcpgw.usage.latency import BOUNDS, LEAST, LONGEST, bucket_of, middle_of, percentile
from mcpgw.usage.model import Counts, Delta, Spend, ToolUsage, Totals, Trend
from mcpgw.usage.recorder import LARGEST, LONGEST_NAME, Usage
from mcpgw.usage.store import UsageStore
from mcpgw.usage.sync import LOOK, keep

NOON = 20_000 * 86400 + 12 * 3600.0
"""A moment in Unix seconds: the 20,000th day, 12 o'clock UTC."""
ONE, TWO, THREE = ("one", "a:b"), ("two", "b"), ("three", "c")


@attrs.define
class Clock:
    """A clock that a test sets."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is fixed at noon."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> UsageStore:
    """Give a store whose file does not exist yet."""
    return UsageStore(tmp_path / "state.db", patience=0.0, clock=clock)


def exchange(usage: Usage, store: UsageStore) -> None:
    """Write what is to be written, and adopt the totals."""
    delta = usage.take()
    usage.settle(delta, store.sync(delta))


def kept(store: UsageStore) -> Counts:
    """Return all that a state file holds."""
    totals = UsageStore(store.path, clock=store.clock).read()
    assert totals is not None
    return totals.counts


def shown(usage: Usage) -> Counts:
    """Return all that a usage shows."""
    return Counts(
        tools=dict(usage.tools()),
        counters=dict(usage.counters()),
        moves=usage._live.moves,
        spend=usage.spend(days=100),
    )


def statement(store: UsageStore, text: str, *values: object) -> list[Any]:
    """Do something with a state file behind everybody's back."""
    connection = sqlite3.connect(store.path)
    try:
        with connection:
            return connection.execute(text, values).fetchall()
    finally:
        connection.close()


names = st.sampled_from([ONE, TWO, THREE, ("", ""), ("ü", "\ud800"), ("n\0", "x" * 500)])
calls = st.builds(
    dict,
    key=names,
    seconds=st.none() | st.floats(0, 4000),
    error=st.sampled_from(["", "", "BACKEND_ERROR", "RATE_LIMITED", "the secret is 7"]),
    cached=st.booleans(),
    tokens=st.integers(0, 1000),
    cost_micro_usd=st.sampled_from([0, 0, 7, 1000]),
    caller=st.sampled_from(["", "team"]),
    at=st.floats(NOON - 40 * 86400, NOON),
)


def replay(usages: list[Usage], recorded: list[dict[str, Any]], random_: random.Random) -> None:
    """Record calls, each with some usage of a list, oldest first."""
    last = ONE
    for call in sorted(recorded, key=lambda call: call["at"]):
        usage = random_.choice(usages)
        clock = usage.clock
        assert isinstance(clock, Clock)
        clock.now = call["at"]
        options = {name: value for name, value in call.items() if name not in ("key", "at")}
        usage.record(*call["key"], **options)
        usage.moved(last, call["key"])
        usage.count("searches")
        last = call["key"]
        clock.now = NOON


class TestLatency:
    @given(st.lists(st.floats(LEAST, LONGEST), min_size=1), st.sampled_from([50, 95, 99, 100]))
    def test_percentiles_are_near_the_exact_ones(self, times: list[float], percent: int) -> None:
        """A percentile is within 13 % of the one by nearest rank."""
        buckets: dict[int, int] = {}
        for seconds in times:
            bucket = bucket_of(seconds)
            buckets[bucket] = buckets.get(bucket, 0) + 1
        exact = sorted(times)[math.ceil(percent / 100 * len(times)) - 1]
        assert exact == pytest.approx(percentile(buckets, percent), rel=0.13)

    def test_what_is_too_short_or_too_long(self) -> None:
        """Times outside of the range are counted in its first and last bucket."""
        assert [0, 0, 1] == [bucket_of(0.0), bucket_of(LEAST / 2), bucket_of(LEAST)]
        assert bucket_of(1e9) == bucket_of(BOUNDS[-1]) == len(BOUNDS)
        assert LEAST == middle_of(0)
        assert LONGEST == pytest.approx(middle_of(len(BOUNDS)), rel=0.5)

    def test_nothing_measured(self) -> None:
        """Without calls there is no percentile."""
        assert percentile({}, 50) is None


class TestRecord:
    def test_one_call(self, clock: Clock) -> None:
        """Everything about a call is found again in its tool's counters."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=0.25, tokens=12, cost_micro_usd=300, caller="team")
        hour, day = int(NOON) // 3600, int(NOON) // 86400
        expected = ToolUsage(
            calls=1,
            microseconds=250_000,
            latency={bucket_of(0.25): 1},
            tokens=12,
            cost_micro_usd=300,
            last_used=NOON,
            hours={hour: [1, 0]},
            days={day: [1, 0]},
        )
        assert expected == usage.tool(*ONE)
        assert {(day, *ONE, "team"): Spend(1, 300, 12)} == usage.spend()
        assert {ONE: expected} == usage.tools() == usage.since_start().tools
        assert usage.tool(*TWO) is None

    def test_how_calls_end(self, clock: Clock) -> None:
        """Failures count by code; cached calls and refusals have no time."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=2.0)
        usage.record(*ONE, seconds=4.0, error="BACKEND_ERROR")
        usage.record(*ONE, seconds=0.00001, cached=True)
        usage.record(*ONE, seconds=None, error="CIRCUIT_OPEN")
        tool = usage.tool(*ONE)
        assert tool is not None
        assert (4, 2, 1, 0.5) == (tool.calls, tool.failures, tool.cached, tool.error_rate)
        assert {"BACKEND_ERROR": 1, "CIRCUIT_OPEN": 1} == tool.errors
        assert (6.0, 3.0) == (tool.seconds, tool.mean)
        assert 2.0 == pytest.approx(tool.p50, rel=0.13)
        assert 4.0 == pytest.approx(tool.p99, rel=0.13) == tool.p95
        assert [[4, 2]] == list(tool.hours.values()) == list(tool.days.values())

    def test_only_names_and_numbers(self, clock: Clock, store: UsageStore) -> None:
        """A text in place of an error's code is not kept anywhere."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0, error="the password is hunter2")
        exchange(usage, store)
        assert {"OTHER": 1} == kept(store).tools[ONE].errors
        assert not any(b"hunter2" in path.read_bytes() for path in store.path.parent.iterdir())

    def test_whatever_a_server_claims(self, clock: Clock, store: UsageStore) -> None:
        """Absurd numbers and names are bounded, and can be stored."""
        usage = Usage(clock)
        for seconds in (-1.0, math.nan, math.inf):
            usage.record("a" * 1000, "\ud800\0\x1b", seconds=seconds)
        usage.record(*ONE, seconds=1.0, tokens=10**30, cost_micro_usd=-5)
        usage.count("cached_tokens:\ud800", 10**30)
        exchange(usage, store)
        assert {"cached_tokens:?": LARGEST} == kept(store).counters
        key = ("a" * LONGEST_NAME, "?\0\x1b")
        assert {key, ONE} == set(kept(store).tools)
        assert (3, 0.0) == (kept(store).tools[key].calls, kept(store).tools[key].seconds)
        one = kept(store).tools[ONE]
        assert (LARGEST, 0) == (one.tokens, one.cost_micro_usd)

    def test_trend(self, clock: Clock) -> None:
        """The last 24 hours are compared with the 24 before; without calls there is no ratio."""
        usage = Usage(clock)
        for hours_ago, times in ((0, 3), (23, 2), (24, 1), (47, 1), (48, 9)):
            clock.now = NOON - hours_ago * 3600
            for _ in range(times):
                usage.record(*ONE, seconds=1.0)
        tool = usage.tool(*ONE)
        assert tool is not None
        assert Trend(5, 2) == tool.trend_at(NOON)
        assert 2.5 == tool.trend_at(NOON).ratio
        assert Trend(0, 0) == tool.trend
        assert tool.trend.ratio is None

    def test_next_tools(self, clock: Clock) -> None:
        """Frequent successors are returned, ordered by share and then by name."""
        usage = Usage(clock)
        for after, times in ((TWO, 3), (THREE, 3), (ONE, 2)):
            for _ in range(times):
                usage.moved(ONE, after)
        assert [(THREE, 0.375), (TWO, 0.375)] == usage.next_tools(*ONE)
        assert [THREE, TWO, ONE] == [key for key, _ in usage.next_tools(*ONE, least=2, share=0.25)]
        assert [] == usage.next_tools(*ONE, share=0.4)
        assert [] == usage.next_tools(*TWO)

    def test_money_of_the_day(self, clock: Clock) -> None:
        """Spending is summed by tool and caller, and reset at midnight UTC."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0, cost_micro_usd=5, caller="x")
        usage.record(*TWO, seconds=1.0, cost_micro_usd=7, caller="x")
        usage.record(*TWO, seconds=1.0, cost_micro_usd=1)
        spent = usage.spent_today()
        assert (13, {ONE: 5, TWO: 8}, {"x": 12, "": 1}) == (
            spent.total,
            spent.by_tool,
            spent.by_caller,
        )
        clock.now += 12 * 3600
        assert 0 == usage.spent_today().total
        usage.record(*ONE, seconds=1.0, cost_micro_usd=2, caller="x")
        assert {ONE: 2} == usage.spent_today().by_tool
        assert 15 == sum(row.cost_micro_usd for row in usage.spend(days=2).values())


class TestMerge:
    @settings(max_examples=50)
    @given(st.lists(calls), st.integers(1, 4), st.randoms(use_true_random=False))
    def test_any_split_gives_the_sum(
        self, recorded: list[dict[str, Any]], parts: int, random_: random.Random
    ) -> None:
        """However calls are spread over gateways, their counts add up to those of one."""
        whole = Usage(Clock())
        replay([whole], recorded, random_)
        split = [Usage(Clock()) for _ in range(parts)]
        replay(split, recorded, random_)
        deltas = [usage.take().counts for usage in split]
        random_.shuffle(deltas)
        total = Counts()
        for delta in deltas:
            total.add(delta)
        expected = whole.take().counts
        # A take forgets what is too old before it is written, so both do it once more.
        total.prune(NOON)
        expected.prune(NOON)
        assert expected == total

    @settings(max_examples=25)
    @given(st.lists(calls, max_size=30), st.randoms(use_true_random=False))
    def test_syncs_at_any_moment_give_the_sum(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        recorded: list[dict[str, Any]],
        random_: random.Random,
    ) -> None:
        """Whenever gateways sync, in the end each shows all calls, and so does the file."""
        clock = Clock()
        path = tmp_path_factory.mktemp("state") / "state.db"
        members = [(Usage(Clock()), UsageStore(path, clock=clock)) for _ in range(3)]
        whole = Usage(Clock())
        for call in recorded:
            call["at"] = NOON - random_.randrange(40 * 3600)
        for call in sorted(recorded, key=lambda call: call["at"]):
            replay([whole], [call], random_)
            usage, store = random_.choice(members)
            replay([usage], [call], random_)
            if random_.random() < 0.3:
                exchange(usage, store)
        for usage, store in members * 2:
            exchange(usage, store)
        for usage, store in members:
            assert shown(whole) == shown(usage)
            if recorded:
                assert shown(whole) == kept(store)


class TestStore:
    def test_nothing_is_made_for_nothing(self, store: UsageStore, clock: Clock) -> None:
        """Looking makes no file; the first counts make folder and file, for the owner only."""
        store.path = store.path.parent / "a" / "b" / "state.db"
        usage = Usage(clock)
        exchange(usage, store)
        assert store.read() is None
        assert not store.path.parent.exists()
        usage.count("searches")
        exchange(usage, store)
        modes = [path.stat().st_mode & 0o777 for path in (store.path, store.path.parent)]
        assert [0o600, 0o700] == modes
        assert {"searches": 1} == kept(store).counters

    def test_nothing_is_left_beside_the_file(self, store: UsageStore, clock: Clock) -> None:
        """The last to close folds the write-ahead log into the file."""
        usage = Usage(clock)
        usage.count("searches")
        exchange(usage, store)
        assert [store.path] == list(store.path.parent.iterdir())
        assert [("wal",)] == statement(store, "PRAGMA journal_mode")

    def test_over_a_restart(self, store: UsageStore, clock: Clock) -> None:
        """A later run begins with what an earlier one counted; its own part starts at none."""
        first = Usage(clock)
        first.record(*ONE, seconds=1.0, cost_micro_usd=5)
        first.moved(ONE, TWO)
        exchange(first, store)
        second = Usage(clock)
        second.record(*ONE, seconds=3.0)
        exchange(second, UsageStore(store.path, clock=clock))
        tool = second.tool(*ONE)
        assert tool is not None
        assert (2, 4.0, 5) == (tool.calls, tool.seconds, second.spent_today().total)
        assert 1 == second.since_start().tools[ONE].calls
        assert kept(store) == shown(second)

    def test_only_what_changed_is_read(self, store: UsageStore, clock: Clock) -> None:
        """A sync returns totals of tools that changed since the last one."""
        usage = Usage(clock)
        for key in (ONE, TWO):
            usage.record(*key, seconds=1.0)
        exchange(usage, store)
        other = Usage(clock)
        other.record(*TWO, seconds=1.0)
        exchange(other, UsageStore(store.path, clock=clock))
        totals = store.sync(usage.take())
        assert (False, {TWO: 2}) == (
            totals.complete,
            {key: tool.calls for key, tool in totals.counts.tools.items()},
        )
        assert Totals() == store.sync(usage.take())

    def test_counted_while_a_sync_is_under_way(self, store: UsageStore, clock: Clock) -> None:
        """Calls between taking and settling are shown, and written next time."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0)
        delta = usage.take()
        usage.record(*ONE, seconds=1.0)
        usage.record(*TWO, seconds=1.0, cost_micro_usd=3)
        usage.moved(ONE, TWO)
        usage.count("searches")
        usage.settle(delta, store.sync(delta))
        assert {ONE: 2, TWO: 1} == {key: tool.calls for key, tool in usage.tools().items()}
        assert (1, 3) == (usage.counter("searches"), usage.spent_today().total)
        assert usage.changed
        exchange(usage, store)
        assert not usage.changed
        assert shown(usage) == kept(store) == usage.since_start()

    def test_a_failure_is_made_good(self, store: UsageStore, clock: Clock) -> None:
        """After a failed sync the same delta goes again, and what came since after it."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0)
        first = usage.take()
        usage.record(*ONE, seconds=1.0)
        assert first is usage.take()
        assert 2 == usage.since_start().tools[ONE].calls
        exchange(usage, store)
        exchange(usage, store)
        assert 2 == kept(store).tools[ONE].calls

    def test_a_commit_that_fails_after_all(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If a commit fails but was made, repeating the delta does not count twice."""

        class Faulty(sqlite3.Connection):
            def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
                cursor = super().execute(text, *values)
                if text == "COMMIT":
                    error = sqlite3.OperationalError("disk I/O error")
                    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                    raise error
                return cursor

        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0, cost_micro_usd=3)
        delta = usage.take()
        connect = sqlite3.connect
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Faulty, **k))
            with pytest.raises(StateError) as caught:
                store.sync(delta)
        assert "failed" == caught.value.kind
        usage.settle(delta, store.sync(delta))
        assert (1, 3) == (kept(store).tools[ONE].calls, usage.spent_today().total)

    def test_a_full_disk(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without free space nothing is written; once there is space, nothing was lost."""
        usage = Usage(clock)
        usage.count("searches")
        exchange(usage, store)
        for number in range(2000):
            usage.record("one", f"tool {number}", seconds=1.0)
        connect = sqlite3.connect

        def full(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*args, **options)
            connection.execute("PRAGMA max_page_count = 30")
            return connection

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", full)
            with pytest.raises(StateError, match="full") as caught:
                exchange(usage, store)
        assert "failed" == caught.value.kind
        assert {} == kept(store).tools
        exchange(usage, store)
        assert shown(usage) == kept(store)

    def test_no_shared_memory(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If a file system cannot have a write-ahead log, the rollback journal is used."""
        connect = sqlite3.connect

        def dotfile(address: str, **options: Any) -> sqlite3.Connection:
            return connect(f"{address}&vfs=unix-dotfile", **options)

        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0)
        monkeypatch.setattr(sqlite3, "connect", dotfile)
        exchange(usage, store)
        usage.record(*ONE, seconds=1.0)
        exchange(usage, store)
        assert 2 == kept(store).tools[ONE].calls
        monkeypatch.undo()
        assert [("delete",)] == statement(store, "PRAGMA journal_mode")

    def test_held_for_too_long(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that another one holds is `busy`, and nothing is lost."""
        monkeypatch.setattr(database_module, "BUSY", 0.0)
        usage = Usage(clock)
        usage.count("searches")
        exchange(usage, store)
        usage.count("searches")
        holder = sqlite3.connect(store.path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError) as caught:
            exchange(usage, store)
        assert "busy" == caught.value.kind
        holder.close()
        exchange(usage, store)
        assert {"searches": 2} == kept(store).counters

    def test_the_file_is_removed(self, store: UsageStore, clock: Clock) -> None:
        """After the file was removed, counting begins at none, without loss from then on."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0)
        usage.count("searches")
        exchange(usage, store)
        store.path.unlink()
        usage.record(*TWO, seconds=1.0, cost_micro_usd=2)
        delta = usage.take()
        usage.record(*TWO, seconds=1.0)
        usage.moved(ONE, TWO)
        usage.settle(delta, store.sync(delta))
        assert {TWO: 2} == {key: tool.calls for key, tool in usage.tools().items()}
        assert (0, 2) == (usage.counter("searches"), usage.spent_today().total)
        exchange(usage, store)
        assert shown(usage) == kept(store)


class TestForgetting:
    def test_what_is_too_old(self, store: UsageStore, clock: Clock) -> None:
        """Hours, days and spending go after their time; totals stay."""
        usage = Usage(clock)
        usage.record(*ONE, seconds=1.0, error="BACKEND_ERROR", cost_micro_usd=1)
        exchange(usage, store)
        clock.now += 47 * 3600
        usage.count("searches")
        exchange(usage, store)
        assert [(1,), (1,)] == statement(
            store, "SELECT count(*) FROM hours UNION ALL SELECT count(*) FROM days"
        )
        clock.now += 40 * 86400
        usage.count("searches")
        exchange(usage, store)
        for part in ("hours", "days", "spend"):
            assert [(0,)] == statement(store, f"SELECT count(*) FROM {part}")
        tool = usage.tool(*ONE)
        assert tool is not None
        assert (1, 1, {}, {}) == (tool.calls, tool.failures, tool.hours, tool.days)
        assert {} == usage.spend(days=100)

    def test_of_too_many(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of too many tools those used last stay, of transitions the frequent ones."""
        for module in (counts_module, store_module):
            monkeypatch.setattr(module, "TOOLS_KEPT", 20)
            monkeypatch.setattr(module, "MOVES_KEPT", 20)
        monkeypatch.setattr(store_module, "SPEND_KEPT", 20)
        usage = Usage(clock)
        for number in range(50):
            clock.now += 1
            usage.record("one", str(number), seconds=1.0, error="X", cost_micro_usd=1 + number)
            for _ in range(1 + number // 10):
                usage.moved(ONE, ("one", str(number)))
            if number % 5 == 0:
                exchange(usage, store)
        exchange(usage, store)
        tables = ("tools", "errors", "latency", "hours", "days", "moves", "spend")
        sizes = [statement(store, f"SELECT count(*) FROM {table}")[0][0] for table in tables]
        assert all(15 <= size <= 20 for size in sizes), sizes
        assert {"49", "48", "47"} <= {tool for _, tool in kept(store).tools}
        assert {5} == {kept(store).moves[ONE]["one", str(number)] for number in range(40, 50)}

    def test_traces_of_a_wrong_clock(self, store: UsageStore, clock: Clock) -> None:
        """Data written under a clock that was years ahead does not stay for years."""
        usage = Usage(clock)
        clock.now += 3000 * 86400
        usage.record(*ONE, seconds=1.0, cost_micro_usd=1)
        exchange(usage, store)
        clock.now = NOON
        usage.record(*ONE, seconds=1.0)
        exchange(usage, store)
        for part in ("hours", "days"):
            assert [(1,)] == statement(store, f"SELECT count(*) FROM {part}")


class TestUnusableFiles:
    def test_broken(self, store: UsageStore, clock: Clock, lines: Callable[[], str]) -> None:
        """A file that is not a database is renamed unchanged, and counting restarts."""
        usage = Usage(clock)
        usage.count("searches")
        for content in (b"not a database, but somebody's words. " * 100, b"x"):
            store.path.write_bytes(content)
            exchange(usage, store)
            usage.count("searches")
        exchange(usage, store)
        aside = sorted(store.path.parent.glob("state.db.broken-*"))
        assert {b"not a database, but somebody's words. " * 100, b"x"} == {
            path.read_bytes() for path in aside
        }
        assert 2 == lines().count("state.database_renamed")

    def test_damaged_inside(self, store: UsageStore, clock: Clock) -> None:
        """A database with damaged pages is set aside too, when that is noticed."""
        usage = Usage(clock)
        for number in range(500):
            usage.record("one", f"tool {number}", seconds=1.0)
        exchange(usage, store)
        content = bytearray(store.path.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        store.path.write_bytes(content)
        usage.record(*ONE, seconds=1.0)
        exchange(usage, store)
        assert {ONE} == set(kept(store).tools)
        (aside,) = store.path.parent.glob("state.db.broken-*")
        assert bytes(content) == aside.read_bytes()

    def test_looking_changes_nothing(self, store: UsageStore) -> None:
        """Reading a broken file raises an error and does not rename the file."""
        store.path.write_bytes(b"words" * 1000)
        with pytest.raises(StateError, match="not a valid database") as caught:
            store.read()
        assert "broken" == caught.value.kind
        assert [store.path] == list(store.path.parent.iterdir())

    @pytest.mark.parametrize(
        ("prepare", "kind"),
        [
            ((f"PRAGMA application_id = {APPLICATION}", "PRAGMA user_version = 999"), "newer"),
            (("CREATE TABLE letters (text)",), "foreign"),
            (("PRAGMA application_id = 7",), "foreign"),
            (("PRAGMA user_version = 1",), "foreign"),
        ],
    )
    def test_not_for_us(
        self, prepare: tuple[str, ...], kind: str, store: UsageStore, clock: Clock
    ) -> None:
        """A newer file and another program's are left as they are."""
        for text in prepare:
            statement(store, text)
        before = store.path.read_bytes()
        usage = Usage(clock)
        for _ in range(2):
            with pytest.raises(StateError) as caught:
                exchange(usage, store)
            assert kind == caught.value.kind
            usage.count("searches")
        assert (before, [store.path]) == (
            store.path.read_bytes(),
            list(store.path.parent.iterdir()),
        )
        assert 2 == usage.counter("searches")

    def test_no_folder_can_be_made(self, tmp_path: Path, clock: Clock) -> None:
        """If a file is in the folder's place, counters stay in memory."""
        (tmp_path / "home").write_text("")
        usage = Usage(clock)
        usage.count("searches")
        with pytest.raises(StateError, match="cannot be used") as caught:
            exchange(usage, UsageStore(tmp_path / "home" / "state.db", clock=clock))
        assert ("failed", 1) == (caught.value.kind, usage.counter("searches"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, store: UsageStore, clock: Clock) -> None:
        """In such a folder what is there can still be read, and counts stay in memory."""
        usage = Usage(clock)
        usage.count("searches")
        exchange(usage, store)
        folder = store.path.parent
        usage.count("searches")
        for mode in (0o600, 0o400):
            store.path.chmod(mode)
            folder.chmod(0o500)
            try:
                assert {"searches": 1} == kept(store).counters
                with pytest.raises(StateError) as caught:
                    exchange(usage, store)
            finally:
                folder.chmod(0o700)
                store.path.chmod(0o600)
            assert "failed" == caught.value.kind
        exchange(usage, store)
        assert {"searches": 2} == kept(store).counters

    def test_migration(self, store: UsageStore, clock: Clock) -> None:
        """An older file is brought up to date in place, once; looking does not do it."""
        usage = Usage(clock)
        usage.count("searches")
        exchange(usage, store)
        newer = (*MIGRATIONS, ("CREATE TABLE letters (text)", "INSERT INTO letters VALUES ('a')"))
        database = Database(store.path, migrations=newer)
        with pytest.raises(StateError) as caught:
            database.read(lambda connection: None)
        assert "older" == caught.value.kind
        query = "SELECT text, value FROM letters, counters"
        for _ in range(2):
            assert [("a", 1)] == database.write(lambda c: c.execute(query).fetchall())
        with pytest.raises(StateError) as caught:
            exchange(usage, store)
        assert "newer" == caught.value.kind

    def test_no_sqlite(
        self, store: UsageStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A Python without SQLite keeps its counts in memory."""
        monkeypatch.setitem(sys.modules, "sqlite3", None)
        usage = Usage(clock)
        usage.count("searches")
        with pytest.raises(StateError) as caught:
            exchange(usage, store)
        assert "missing" == caught.value.kind


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that returns the new log lines."""
    log.configure(level="info", form="text")
    log.prepare()  # or the first line would take longer than the fast clock allows
    return lambda: capsys.readouterr().err


@attrs.define(eq=False)
class Scripted(UsageStore):
    """A store with scripted failures that records when it was used."""

    failures: list[Exception] = attrs.field(factory=list)
    asked: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    gate: threading.Event | None = None

    def sync(self, delta: Delta) -> Totals:
        """Fail with the next failure, or sync."""
        try:
            if self.gate is not None:
                self.gate.wait(30)
            if self.failures:
                raise self.failures.pop(0)
            return super().sync(delta)
        finally:
            self.asked.release()

    async def was_asked(self) -> None:
        """Wait for the next sync and for what is made of it."""
        assert await trio.to_thread.run_sync(self.asked.acquire, True, 30)
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked(0.01)


class TestKeep:
    """The background task, with a clock that only the test advances."""

    @pytest.fixture
    def scripted(self, tmp_path: Path, clock: Clock) -> Scripted:
        """Return a store with scripted failures."""
        return Scripted(tmp_path / "state.db", patience=0.0, clock=clock)

    async def test_writes_in_turn_and_at_the_end(
        self, scripted: Scripted, clock: Clock, mock_clock: MockClock
    ) -> None:
        """Totals come soon after the start; changes are written in turn, the last at the end."""
        earlier = Usage(clock)
        earlier.count("searches", 5)
        exchange(earlier, UsageStore(scripted.path, clock=clock))
        usage = Usage(clock)
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, usage, scripted)
            await scripted.was_asked()
            assert 5 == usage.counter("searches")
            usage.count("searches")
            mock_clock.jump(10)
            await scripted.was_asked()
            assert {"searches": 6} == kept(scripted).counters
            usage.count("searches")
            nursery.cancel_scope.cancel()
        assert {"searches": 7} == kept(scripted).counters

    @pytest.mark.parametrize("interval", [10, 300])
    async def test_sees_others(
        self, interval: int, scripted: Scripted, clock: Clock, mock_clock: MockClock
    ) -> None:
        """Without local changes, the counters of others are read once a minute."""
        usage = Usage(clock)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(keep, usage, scripted, interval=interval))
            await scripted.was_asked()
            other = Usage(clock)
            other.record(*ONE, seconds=1.0, cost_micro_usd=4)
            exchange(other, UsageStore(scripted.path, clock=clock))
            for _ in range(6):
                assert usage.tool(*ONE) is None
                mock_clock.jump(10)
                await wait_all_tasks_blocked(0.01)
            await scripted.was_asked()
            assert (4, False) == (usage.spent_today().total, usage.changed)
            nursery.cancel_scope.cancel()

    async def test_trouble_is_told_once(
        self,
        scripted: Scripted,
        clock: Clock,
        mock_clock: MockClock,
        lines: Callable[[], str],
    ) -> None:
        """Each kind of trouble is one line; counts wait, and are written once that works."""
        trouble = StateError("failed", "the disk is full")
        scripted.failures = [trouble, trouble, ValueError("surprise"), trouble]
        usage = Usage(clock)
        usage.count("searches")
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, usage, scripted)
            for _ in range(4):
                await scripted.was_asked()
                usage.count("searches")
                for _ in range(int(LOOK / 10)):
                    mock_clock.jump(10)
                    await wait_all_tasks_blocked(0.01)
            await scripted.was_asked()
            text = lines()
            assert (1, 1) == (text.count("the disk is full"), text.count("surprise"))
            assert 1 == text.count("state.write_recovered")
            assert {"searches": 1} == kept(scripted).counters
            nursery.cancel_scope.cancel()
        assert {"searches": 5} == kept(scripted).counters == usage.counters()

    async def test_an_end_that_must_not_wait(
        self,
        scripted: Scripted,
        clock: Clock,
        mock_clock: MockClock,
        lines: Callable[[], str],
    ) -> None:
        """A file that does not answer holds up the end for 2 seconds, no longer."""
        scripted.gate = threading.Event()
        usage = Usage(clock)
        usage.count("searches")
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(keep, usage, scripted)
                await wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()
                mock_clock.rate = 100.0
            assert "not written in time" in lines()
            assert 3.0 > trio.current_time()
        finally:
            scripted.gate.set()

    async def test_cancelled_during_a_sync(
        self, scripted: Scripted, clock: Clock, mock_clock: MockClock
    ) -> None:
        """A sync under way at the end is waited for, and what came meanwhile is written too."""
        scripted.gate = threading.Event()
        usage = Usage(clock)
        usage.count("searches")
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, usage, scripted)
            await wait_all_tasks_blocked(0.01)
            usage.count("searches")
            nursery.cancel_scope.cancel()
            scripted.gate.set()
        assert not usage.changed
        assert {"searches": 2} == kept(scripted).counters
