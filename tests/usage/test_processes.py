"""Real processes that count into one state file at once, and one that is killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcpgw.usage.store import UsageStore
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

DURATION = float(os.environ.get("MCPGW_TEST_WRITING", "3"))
"""Seconds for which processes write; the requirement is ten, of which this is the short form."""
KILLS = 20

WRITER = """
import sys, time
from pathlib import Path
from mcpgw.usage.recorder import Usage
from mcpgw.usage.store import UsageStore

path, name, duration = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
usage, store = Usage(), UsageStore(path)
print("ready", flush=True)
sys.stdin.readline()
written = number = 0
end = time.monotonic() + duration
while time.monotonic() < end:
    for _ in range(1 + number % 7):
        number += 1
        usage.record("shared", f"tool {number % 5}", seconds=number % 11 / 10,
                     error="" if number % 3 else "BACKEND_ERROR", cost_micro_usd=2, caller=name)
        usage.record(name, "own", seconds=None)
        usage.moved(("shared", "a"), ("shared", "b"))
        usage.count("searches")
    delta = usage.take()
    usage.settle(delta, store.sync(delta))
    written = number
    print(written, flush=True)
"""


def start(path: Path, name: str, duration: float) -> subprocess.Popen[str]:
    """Start a writer, and wait until it is ready; a line on its stdin lets it go."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(duration)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


def sound(path: Path) -> bool:
    """Tell whether SQLite finds no fault in a file."""
    connection = sqlite3.connect(path)
    try:
        return [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


class TestTogether:
    @pytest.mark.parametrize("writers", [2, 4])
    def test_no_count_is_lost(self, writers: int, tmp_path: Path) -> None:
        """Processes that write as fast as they can lose nothing and meet no lock."""
        path = tmp_path / "home" / "state.db"
        processes = [start(path, f"writer {n}", DURATION) for n in range(writers)]
        try:
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            ended = [process.communicate(timeout=DURATION + PATIENCE) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert [(0, "")] * writers == [
            (process.returncode, err) for process, (_, err) in zip(processes, ended, strict=True)
        ]
        counted = [int(out.split()[-1]) for out, _ in ended]
        totals = UsageStore(path).read()
        assert totals is not None
        kept = totals.counts
        assert counted == [kept.tools[f"writer {n}", "own"].calls for n in range(writers)]
        shared = [tool for (server, _), tool in kept.tools.items() if server == "shared"]
        everything = sum(counted)
        assert [everything] * 6 == [
            sum(tool.calls for tool in shared),
            sum(sum(tool.latency.values()) for tool in shared),
            sum(calls for tool in shared for calls, _ in tool.hours.values()),
            sum(calls for tool in shared for calls, _ in tool.days.values()),
            kept.counters["searches"],
            kept.moves["shared", "a"]["shared", "b"],
        ]
        assert sum(number // 3 for number in counted) == sum(tool.failures for tool in shared)
        for number, count in enumerate(counted):
            paid = [spend for row, spend in kept.spend.items() if row[3] == f"writer {number}"]
            assert 2 * count == sum(spend.cost_micro_usd for spend in paid)
        assert sound(path)


class TestKilled:
    def test_what_was_written_stays(self, tmp_path: Path) -> None:
        """After writers are killed, the file has everything that was confirmed as written."""
        path = tmp_path / "state.db"
        generator = random.Random(20261123)
        least = 0
        for turn in range(KILLS):
            process = start(path, f"writer {turn}", PATIENCE)
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            # The moment is what is tried here; nothing is waited for.
            time.sleep(generator.uniform(0.0, 0.06))
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=PATIENCE)
            assert "" == err
            lines = [line for line in out.splitlines(keepends=True) if line.endswith("\n")]
            acknowledged = int(lines[-1]) if lines else 0
            least += acknowledged
            if not path.exists():
                assert 0 == acknowledged
                continue
            totals = UsageStore(path).read()
            own = 0
            if totals is not None and (f"writer {turn}", "own") in totals.counts.tools:
                own = totals.counts.tools[f"writer {turn}", "own"].calls
                # At most the one sync that was under way is there beyond what was told of.
                assert acknowledged <= own <= acknowledged + 7
            assert own >= acknowledged
            assert sound(path)
        totals = UsageStore(path).read()
        assert totals is not None
        assert least > 0
        assert totals.counts.counters["searches"] >= least
        assert [] == list(tmp_path.glob("*.broken-*"))
