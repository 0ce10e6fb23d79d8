"""Benchmark of startup: from the spawn of a process to its first responses."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conversation import INITIALIZE, Broken, Conversation
from .figures import Samples, ratio, shown, summary, table
from .machine import children
from .programs import ECHO, FASTMCP_ENV, GATEWAY, HERE, Setup, gateway, home

Started = tuple[list[str], dict[str, str]]
MANY = 50
SETTLED = 1.0
"""Seconds to wait for backends that are started by mistake."""


def measure_start(setup: Setup) -> dict[str, Any]:
    """Start each program in turn; return the milliseconds to both responses."""
    programs = _programs(setup)
    initialize: Samples = {name: [] for name in programs}
    listed: Samples = {name: [] for name in programs}
    for turn in range(-1, 5 if setup.quick else 25):
        for name, prepare in programs.items():
            first, second = _once(prepare)
            if turn >= 0:  # the first turn warms up the file cache and compiled modules
                initialize[name].append(first * 1e3)
                listed[name].append(second * 1e3)
    started = _children_of_many(programs[f"{MANY} backends"])
    _show(initialize, listed)
    print(f"  processes of the {MANY} backends started before their first use: {started}")
    if started:
        raise Broken(f"{started} backends were started before their first use")
    return {
        "initialize_ms": summary(initialize),
        "tools_list_ms": summary(listed),
        "ratios": {
            "gateway/bare": ratio(initialize, "gateway", "bare"),
            "gateway/bare, tools/list": ratio(listed, "gateway", "bare"),
            "50 backends/gateway": ratio(initialize, f"{MANY} backends", "gateway"),
            "50 backends/gateway, tools/list": ratio(listed, f"{MANY} backends", "gateway"),
            "FastMCP/gateway": ratio(initialize, "FastMCP", "gateway"),
            "FastMCP/gateway, tools/list": ratio(listed, "FastMCP", "gateway"),
        },
        "backends_started": started,
        "samples": {"initialize_ms": initialize, "tools_list_ms": listed},
    }


def _programs(setup: Setup) -> dict[str, Callable[[Path], Started]]:
    """Return by name a function that prepares a program's folder and returns its command."""
    many = {f"server{number:02}": ECHO for number in range(MANY)}
    programs: dict[str, Callable[[Path], Started]] = {
        "bare": lambda _: ([sys.executable, str(HERE / "bare.py")], {}),
        "gateway": lambda folder: ([*GATEWAY], home(folder)),
        f"{MANY} backends": lambda folder: gateway(folder, many),
    }
    if (python := setup.fastmcp) is not None:
        programs["FastMCP"] = lambda _: ([python, str(HERE / "fastmcp_server.py")], FASTMCP_ENV)
    return programs


def _once(prepare: Callable[[Path], Started]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        command, env = prepare(Path(name))
        with Conversation(command, cwd=Path(name), env=env) as program:
            program.ask("initialize", INITIALIZE)
            first = time.perf_counter() - program.started
            program.ask("tools/list")
            return first, time.perf_counter() - program.started


def _children_of_many(prepare: Callable[[Path], Started]) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        command, env = prepare(Path(name))
        with Conversation(command, cwd=Path(name), env=env) as program:
            program.open()
            listed = program.ask("tools/call", {"name": "gateway_list_servers", "arguments": {}})
            if f"server{MANY - 1:02}" not in str(listed):
                raise Broken(f"the {MANY} backends are not configured: {str(listed)[:300]}")
            time.sleep(SETTLED)
            return len(children(program.pid))


def _show(initialize: Samples, listed: Samples) -> None:
    rows: dict[str, list[str]] = {}
    first, second = summary(initialize), summary(listed)
    for name in initialize:
        rows[name] = [
            shown(first[name]["median"], ".1f"),
            shown(first[name]["min"], ".1f"),
            shown(ratio(initialize, name, "bare"), ".2f"),
            shown(second[name]["median"], ".1f"),
            shown(second[name]["min"], ".1f"),
            shown(ratio(listed, name, "bare"), ".2f"),
        ]
    columns = ["initialize ms", "min", "x bare", "tools/list ms", "min", "x bare"]
    table("Start", columns, rows)
