"""`mcp-gateway stats`: what a person and a script see of the counts."""

from __future__ import annotations

import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK, USAGE
from mcpgw.usage.recorder import Usage
from mcpgw.usage.store import FILE, UsageStore
from tests.e2e.shell import Done, Shell, shell_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

HOUR = 3600.0


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a folder in which nothing was ever counted."""
    with shell_in(tmp_path, {}) as shell:
        yield shell


@pytest.fixture
def state(shell: Shell) -> Path:
    """Give the state file of a user who has called some tools."""
    now = time.time()
    usage = Usage()
    for moment in (now - 20 * 24 * HOUR, now - 30 * HOUR, now - 2 * HOUR):
        usage.clock = partial(float, moment)
        for _ in range(2):
            usage.record("notes", "find:all", seconds=0.02)
    for moment in (now - 3 * HOUR, now):
        usage.clock = partial(float, moment)
        usage.record("web", "search", seconds=1.5, cost_micro_usd=10_000, tokens=7, caller="me")
    for _ in range(3):
        usage.record("web", "search", seconds=30.0, error="BACKEND_TIMEOUT")
    usage.record("web", "search", seconds=0.0, cached=True)
    usage.clock = partial(float, now - 50 * 24 * HOUR)
    usage.record("old", "tool", seconds=None, error="CIRCUIT_OPEN")
    usage.clock = partial(float, now)
    usage.count("searches", 4)
    path = shell.folder / "home" / FILE
    UsageStore(path).sync(usage.take())
    return path


def on_terminal(shell: Shell, *words: str, columns: int, **variables: str) -> str:
    """Return what a command writes to a terminal of some width."""
    master, slave = pty.openpty()
    environment = shell.environment(COLUMNS=str(columns), TERM="xterm", **variables)
    process = subprocess.Popen(
        [sys.executable, "-m", "mcpgw", *words],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        cwd=shell.folder,
        env=environment,
    )
    os.close(slave)
    written = b""
    try:
        while select.select([master], [], [], PATIENCE)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # how Linux tells that nobody writes any more
                break
            if not piece:
                break
            written += piece
    finally:
        os.close(master)
        assert OK == process.wait(PATIENCE)
    return written.decode().replace("\r\n", "\n")


class TestNothingYet:
    def test_says_so(self, shell: Shell) -> None:
        """Without counts, the reason is printed, and no file is created."""
        done = shell.run("stats")
        assert (OK, "") == (done.status, done.err)
        assert "No calls recorded" in done.out
        assert not (shell.folder / "home").exists()

    def test_json(self, shell: Shell) -> None:
        """A script gets the same shape as ever."""
        done = shell.run("stats", "--format", "json", "--server", "web")
        assert OK == done.status
        assert {"tools": 0, "calls": 0, "failures": 0, "cost_usd": 0.0} == done.json["totals"]
        assert [] == done.json["tools"]


class TestTable:
    def test_piped(self, shell: Shell, state: Path) -> None:
        """A pipe gets every column in full, without colours, whatever the terminal's width."""
        content = state.read_bytes()
        done = shell.run("stats", COLUMNS="20", PYTHONIOENCODING="utf-8")
        assert (OK, "") == (done.status, done.err)
        head, _, titles, *rows = done.out.splitlines()
        assert (
            "All calls: 13 calls, 3 tools, 30.8% failed, $0.0200, 1 from the cache, 4 searches"
            == head
        )
        assert "SERVER TOOL CALLS BAR ERRORS P50 P95 COST 24 HOURS TREND" == " ".join(
            titles.split()
        )
        assert [["notes", "find:all", "6"], ["web", "search", "6"], ["old", "tool", "1"]] == [
            row.split()[:3] for row in rows
        ]
        assert "50.0%" in rows[1]
        assert "█" in rows[0]
        assert "\x1b" not in done.out
        assert content == state.read_bytes()

    def test_plain_characters(self, shell: Shell, state: Path) -> None:
        """With --ascii, or where the output knows nothing else, bars are plain characters."""
        for words, encoding in ((["--ascii"], "utf-8"), ([], "ascii"), ([], "latin-1")):
            done = shell.run("stats", *words, PYTHONIOENCODING=encoding)
            assert OK == done.status
            assert done.out.isascii()
            assert "##########" in done.out

    @pytest.mark.parametrize(
        ("sort", "first"),
        [
            ("calls", "notes"),
            ("errors", "old"),
            ("p95", "web"),
            ("cost", "web"),
            ("recent", "web"),
        ],
    )
    def test_sort(self, sort: str, first: str, shell: Shell, state: Path) -> None:
        """`--sort` determines which tool comes first."""
        done = shell.run("stats", "--sort", sort)
        assert first == done.out.splitlines()[3].split()[0]

    def test_limit(self, shell: Shell, state: Path) -> None:
        """The number of omitted tools is printed, with a hint."""
        done = shell.run("stats", "--limit", "1")
        assert ["2 more; --limit 3 shows all."] == done.out.splitlines()[-1:]
        assert "13 calls, 3 tools" in done.out
        assert 2 == shell.run("stats", "--limit", "1", "-f", "json").json["tools_left_out"]

    def test_since(self, shell: Shell, state: Path) -> None:
        """Of a period only its calls are counted."""
        found = {}
        for since in ("24h", "7d", "30d"):
            done = shell.run("stats", "--since", since, "-f", "json")
            found[since] = {tool["tool"]: tool["calls"] for tool in done.json["tools"]}
        assert {
            "24h": {"find:all": 2, "search": 6},
            "7d": {"find:all": 4, "search": 6},
            "30d": {"find:all": 6, "search": 6},
        } == found
        assert "Last 7d: 10 calls, 2 tools" in shell.run("stats", "--since", "7d").out
        done = shell.run("stats", "--since", "7d", "--server", "old")
        assert "No calls in the last 7d.\n" == done.out


class TestTerminal:
    @pytest.mark.parametrize("columns", [40, 60, 80, 120])
    def test_fits(self, columns: int, shell: Shell, state: Path) -> None:
        """Lines are no longer than the terminal is wide, names and calls are always there."""
        text = on_terminal(shell, "stats", columns=columns, NO_COLOR="1")
        lines = text.splitlines()
        assert columns >= max(map(len, lines)), text
        assert all(word in text for word in ("notes", "search", "CALLS", "ERRORS"))
        assert "\x1b" not in text

    def test_colours(self, shell: Shell, state: Path) -> None:
        """A terminal has colours, unless NO_COLOR says otherwise."""
        assert "\x1b[31m" in on_terminal(shell, "stats", columns=100)
        assert "\x1b" not in on_terminal(shell, "stats", columns=100, NO_COLOR="1")

    def test_names_do_nothing_to_it(self, shell: Shell) -> None:
        """A tool's name with control characters is shown without them."""
        usage = Usage()
        usage.record("web", "clear\x1b[2Jall\n", seconds=0.1)
        UsageStore(shell.folder / "home" / FILE).sync(usage.take())
        text = on_terminal(shell, "stats", columns=100, NO_COLOR="1")
        assert r"clear\x1b[2Jall\n" in text


class TestJson:
    def test_one_tool(self, shell: Shell, state: Path) -> None:
        """All that is known of a tool is there, with units in the names."""
        done = shell.run("stats", "--format", "json", "--server", "web")
        (tool,) = done.json["tools"]
        for name in ("p50_ms", "p95_ms", "p99_ms"):
            assert 30_000 == pytest.approx(tool.pop(name), rel=0.13)
        hours = tool.pop("last_24_hours")
        assert (24, [1, 5]) == (len(hours), [calls for calls in hours if calls])
        assert tool.pop("last_used").endswith("Z")
        assert {
            "server": "web",
            "tool": "search",
            "calls": 6,
            "failures": 3,
            "error_rate": 0.5,
            "errors": {"BACKEND_TIMEOUT": 3},
            "cached": 1,
            "mean_ms": 18600.0,
            "tokens": 14,
            "cost_usd": 0.02,
            "trend": {"recent": 6, "before": 0, "ratio": None},
        } == tool
        assert {"searches": 4} == done.json["counters"]


class TestProblems:
    def test_no_such_server(self, shell: Shell, state: Path) -> None:
        """A server that was never called is status 3, with the nearest name."""
        done = shell.run("stats", "--server", "webb")
        assert (NOT_FOUND, "") == (done.status, done.out)
        assert "web" in done.err.replace("webb", "")

    @pytest.mark.parametrize("words", [["--sort", "size"], ["--limit", "0"], ["--since", "1y"]])
    def test_wrong_options(self, words: list[str], shell: Shell) -> None:
        """An option that cannot be understood is status 2."""
        assert USAGE == shell.run("stats", *words).status

    def test_unusable_files(self, shell: Shell, state: Path) -> None:
        """A broken or newer file is reported and not changed."""
        connection = sqlite3.connect(state)
        connection.execute("PRAGMA user_version = 999")
        connection.close()
        done = shell.run("stats")
        assert (FAILED, "") == (done.status, done.out)
        assert "newer version" in done.err
        state.write_bytes(b"words" * 1000)
        done = shell.run("stats")
        assert (FAILED, "") == (done.status, done.out)
        assert "not a valid database" in done.err
        assert [FILE] == [path.name for path in state.parent.iterdir()]

    def test_while_a_gateway_writes(self, shell: Shell, state: Path) -> None:
        """A file can be read while another process writes to it."""
        writer = sqlite3.connect(state, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE tools SET calls = 100")
        done: Done = shell.run("stats", "-f", "json")
        writer.close()
        assert (OK, 13) == (done.status, done.json["totals"]["calls"])
