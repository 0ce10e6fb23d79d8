"""Benchmark of calls to one tool: directly, through the gateway, and through other proxies."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from .conversation import Broken, Calls, Conversation
from .figures import Samples, percentile, ratio, shown, summary, table
from .machine import cpu_seconds, resident_mb
from .programs import ECHO, FASTMCP_ENV, Setup, fastmcp_proxy, gateway

IN_FLIGHT = 32
SHORT = "x" * 64
LARGE = "x" * 20_000


@attrs.frozen
class Subject:
    """A program to measure: its command for a folder, and the calls to make."""

    start: Callable[[Path], tuple[Sequence[str], Mapping[str, str]]]
    calls: Callable[[str], Calls]


@attrs.define
class Measured:
    """The measurements of one program, one value for each turn unless noted otherwise."""

    p50_us: list[float] = attrs.field(factory=list)
    rate: list[float] = attrs.field(factory=list)
    cpu_us: list[float] = attrs.field(factory=list)
    rss_mb: list[float] = attrs.field(factory=list)  # for each start
    all_us: list[float] = attrs.field(factory=list)  # for each call with one in flight


def measure_calls(setup: Setup) -> dict[str, Any]:
    """Call with a short argument; return latencies, rates, processor time and memory."""
    return measure_subjects("Calls", _three(setup), SHORT, setup)


def measure_large(setup: Setup) -> dict[str, Any]:
    """Call with an argument of 20 kB."""
    return measure_subjects("Large (20 kB)", _three(setup), LARGE, setup)


def measure_six(setup: Setup) -> dict[str, Any] | None:
    """Call the echo server while five real servers are connected beside it."""
    if not setup.servers:
        print("Six backends: left out; none of the real servers was found")
        return None
    backends = {"echo": ECHO, **setup.servers}
    name = f"{len(backends)} backends"
    subjects = {
        "1 backend": Subject(lambda folder: gateway(folder, {"echo": ECHO}), _invoke),
        name: Subject(lambda folder: gateway(folder, backends), _invoke),
    }
    found = measure_subjects(
        f"{name.capitalize()} connected", subjects, SHORT, setup, tuple(backends)
    )
    found["backends"] = list(backends)
    if setup.fastmcp is not None:
        found["fastmcp_seconds"] = _few_by_fastmcp(setup.fastmcp, backends)
    return found


def _three(setup: Setup) -> dict[str, Subject]:
    subjects = {
        "direct": Subject(lambda _: (ECHO, {}), _echo),
        "gateway": Subject(lambda folder: gateway(folder, {"echo": ECHO}), _invoke),
    }
    if (python := setup.fastmcp) is not None:
        command = fastmcp_proxy(python, {"echo": ECHO})
        subjects["FastMCP proxy"] = Subject(lambda _: (command, FASTMCP_ENV), _echo)
    return subjects


def _echo(text: str) -> Calls:
    return Calls("echo", {"text": text}, text)


def _invoke(text: str) -> Calls:
    arguments = {"server": "echo", "tool": "echo", "arguments": {"text": text}}
    return Calls("gateway_invoke", arguments, text)


def measure_subjects(
    title: str,
    subjects: Mapping[str, Subject],
    text: str,
    setup: Setup,
    connect: Sequence[str] = (),
) -> dict[str, Any]:
    """Call programs in turn; return latencies, rates, processor time and memory of each.

    Args:
      title: the title of the table that is printed.
      subjects: the programs by name; ratios are relative to the first.
      text: the argument of the calls.
      setup: the settings of the run.
      connect: backends that gateways must start first.
    """
    starts, turns, seconds = (1, 2, 0.2) if setup.quick else (3, 6, 0.5)
    found = {name: Measured() for name in subjects}
    for _ in range(starts):
        with ExitStack() as stack:
            started: dict[str, tuple[Conversation, Calls]] = {}
            for name, subject in subjects.items():
                program = _started(stack, subject)
                if name not in ("direct", "1 backend"):
                    _connect(program, connect)
                started[name] = program, subject.calls(text)
                program.one_by_one(started[name][1], seconds)  # to warm up
                program.in_flight(started[name][1], IN_FLIGHT, seconds)
            for _ in range(turns):
                for name, (program, calls) in started.items():
                    _one_by_one(found[name], program, calls, seconds)
                for name, (program, calls) in started.items():
                    _in_flight(found[name], program, calls, seconds)
            for name, (program, _calls) in started.items():
                found[name].rss_mb.append(resident_mb(program.pid))
    _show(title, found)
    return _report(found)


def _started(stack: ExitStack, subject: Subject) -> Conversation:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    command, env = subject.start(folder)
    program = stack.enter_context(Conversation(command, cwd=folder, env=env))
    program.open()
    program.ask("tools/list")
    return program


def _connect(program: Conversation, backends: Sequence[str]) -> None:
    """Make the gateway start its backends by listing their tools."""
    for name in backends:
        listed = program.ask(
            "tools/call", {"name": "gateway_list_tools", "arguments": {"server": name}}
        )
        if listed.get("isError"):
            raise Broken(f"the server {name!r} is not running: {str(listed)[:300]}")


def _one_by_one(found: Measured, program: Conversation, calls: Calls, seconds: float) -> None:
    took = [value * 1e6 for value in program.one_by_one(calls, seconds)]
    found.p50_us.append(statistics.median(took))
    found.all_us += took


def _in_flight(found: Measured, program: Conversation, calls: Calls, seconds: float) -> None:
    before = cpu_seconds(program.pid)
    rate, count = program.in_flight(calls, IN_FLIGHT, seconds)
    found.rate.append(rate)
    after = cpu_seconds(program.pid)
    if before is not None and after is not None:
        found.cpu_us.append((after - before) / count * 1e6)


def _few_by_fastmcp(python: str, backends: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the seconds to the first response and of the median call of FastMCP's proxy."""
    command = fastmcp_proxy(python, backends)
    took: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        Conversation(command, cwd=Path(name), env=FASTMCP_ENV) as program,
    ):
        program.open()
        ready = time.perf_counter() - program.started
        for _ in range(3):
            started = time.perf_counter()
            program.ask("tools/call", {"name": "echo_echo", "arguments": {"text": SHORT}})
            took.append(time.perf_counter() - started)
    print(
        f"  FastMCP's proxy over the same {len(backends)}: {ready:.2f} s to initialize,"
        f" {statistics.median(took):.2f} s a call ({len(took)} calls)"
    )
    return {"initialize": ready, "call": statistics.median(took)}


def _report(found: Mapping[str, Measured]) -> dict[str, Any]:
    first = next(iter(found))
    p50: Samples = {name: row.p50_us for name, row in found.items()}
    rate: Samples = {name: row.rate for name, row in found.items()}
    ratios: dict[str, float | None] = {}
    for name in found:
        if name != first:
            ratios[f"{name}/{first}, p50"] = ratio(p50, name, first)
            ratios[f"{name}/{first}, rate"] = ratio(rate, name, first)
    ratios["FastMCP proxy/gateway, p50"] = ratio(p50, "FastMCP proxy", "gateway")
    ratios["gateway/FastMCP proxy, rate"] = ratio(rate, "gateway", "FastMCP proxy")
    return {
        "p50_us": summary(p50),
        "p99_us": {name: percentile(row.all_us, 0.99) for name, row in found.items()},
        "rate": summary(rate),
        "cpu_us": {name: statistics.fmean(row.cpu_us) for name, row in found.items() if row.cpu_us},
        "rss_mb": {name: max(row.rss_mb) for name, row in found.items()},
        "ratios": {name: value for name, value in ratios.items() if value is not None},
        "samples": {"p50_us": p50, "rate": rate},
    }


def _show(title: str, found: Mapping[str, Measured]) -> None:
    first = next(iter(found))
    p50: Samples = {name: row.p50_us for name, row in found.items()}
    rate: Samples = {name: row.rate for name, row in found.items()}
    rows: dict[str, list[str]] = {}
    for name, row in found.items():
        rows[name] = [
            shown(statistics.median(row.p50_us) / 1e3, ".3f"),
            shown(min(row.p50_us) / 1e3, ".3f"),
            shown(ratio(p50, name, first), ".2f"),
            shown(percentile(row.all_us, 0.99) / 1e3, ".2f"),
            shown(statistics.median(row.rate), ",.0f"),
            shown(max(row.rate), ",.0f"),
            shown(ratio(rate, name, first), ".4g"),
            shown(statistics.fmean(row.cpu_us) if row.cpu_us else None, ".0f"),
            shown(max(row.rss_mb), ".1f"),
        ]
    columns = ["p50 ms", "min", f"x {first}", "p99 ms", f"calls/s at {IN_FLIGHT}", "max"]
    table(title, [*columns, f"x {first}", "CPU us", "RSS MB"], rows)
