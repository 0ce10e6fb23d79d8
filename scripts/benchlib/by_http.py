"""Benchmark of calls by HTTP, compared with other bridges from HTTP to stdio."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from benchlib.figures import Samples, percentile, ratio, shown, summary, table
from benchlib.http_load import begin, load
from benchlib.machine import resident_mb
from benchlib.programs import ECHO, ROOT, Setup, gateway, home

CACHE: Final = ROOT / ".cache" / "bench"
SUPERGATEWAY: Final = "4.0.0"
MCP_PROXY: Final = "0.13.0"
STARTING: Final = 30.0
CONNECTIONS: Final = (1, 32)


@attrs.frozen
class Program:
    """A program that serves the echo server by HTTP."""

    name: str
    words: Sequence[str]
    path: str = "/mcp"
    invoke: bool = False
    env: Mapping[str, str] = attrs.field(factory=dict)


def measure_http(setup: Setup) -> dict[str, Any] | None:
    """Measure calls per second on 1 and on 32 connections, in turns."""
    turns, calls = (1, 300) if setup.quick else (7, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        programs = list(_programs(Path(folder), peers=setup.fastmcp is not None))
        rates: dict[int, Samples] = {count: {} for count in CONNECTIONS}
        waits: dict[int, dict[str, list[float]]] = {count: {} for count in CONNECTIONS}
        memory: dict[str, float] = {}
        with _all(programs) as running:
            for _ in range(turns):
                for program in programs:
                    port, pid, session = running[program.name]
                    for count in CONNECTIONS:
                        rate, latencies = load(
                            port, program.path, session, count, calls, invoke=program.invoke
                        )
                        rates[count].setdefault(program.name, []).append(rate)
                        waits[count].setdefault(program.name, []).extend(latencies)
                    memory[program.name] = max(memory.get(program.name, 0.0), resident_mb(pid))
    result: dict[str, Any] = {
        "turns": turns,
        "rate": {str(count): summary(rates[count]) for count in CONNECTIONS},
        "p50_ms": {
            str(count): {name: 1e3 * percentile(found, 0.5) for name, found in waits[count].items()}
            for count in CONNECTIONS
        },
        "p99_ms": {
            str(count): {
                name: 1e3 * percentile(found, 0.99) for name, found in waits[count].items()
            }
            for count in CONNECTIONS
        },
        "rss_mb": memory,
        "ratios": {
            f"gateway/{peer}, {count} connections": ratio(rates[count], "gateway", peer)
            for peer in ("supergateway", "mcp-proxy")
            for count in CONNECTIONS
        },
    }
    _show(result)
    return result


def _show(result: Mapping[str, Any]) -> None:
    rows = {
        name: [
            *(shown(result["rate"][str(count)][name]["median"], ",.0f") for count in CONNECTIONS),
            *(shown(result["p50_ms"][str(count)][name], ".2f") for count in CONNECTIONS),
            *(shown(result["p99_ms"][str(count)][name], ".2f") for count in CONNECTIONS),
            shown(result["rss_mb"][name], ".1f"),
        ]
        for name in result["rss_mb"]
    }
    titles = [
        f"{what} {count}" for what in ("calls/s", "p50 ms", "p99 ms") for count in CONNECTIONS
    ]
    table("By HTTP", [*titles, "RSS MB"], rows)
    for name, value in result["ratios"].items():
        if value is not None:
            print(f"  {name}: {value:.2f} x")


def _programs(folder: Path, *, peers: bool) -> Iterator[Program]:
    words, env = gateway(folder, {"echo": ECHO})
    config = words[words.index("-c") + 1]
    serve = [sys.executable, "-m", "mcpgw", "serve", "--mode", "http", "-c", config, "--port"]
    yield Program("gateway", serve, "/mcp/echo", env=env)
    own = home(folder / "invoke")
    yield Program("gateway, by gateway_invoke", serve, invoke=True, env=own)
    command = " ".join(ECHO)
    bridge = [sys.executable, "-m", "mcpgw", "bridge", "--stdio", command, "--to", "http", "--port"]
    yield Program("bridge", bridge, env=home(folder / "bridge"))
    if not peers:
        return
    if (program := _supergateway()) is not None:
        flags = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"]
        yield Program("supergateway", [*program, "--stdio", command, *flags, "--port"])
    if (program := _mcp_proxy()) is not None:
        yield Program("mcp-proxy", [*program, "--port"])


def _supergateway() -> list[str] | None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("supergateway is left out: Node.js is not installed")
        return None
    folder = CACHE / "supergateway"
    script = folder / "node_modules" / "supergateway" / "dist" / "index.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run([*words, f"supergateway@{SUPERGATEWAY}"], check=False, timeout=300)
        if done.returncode != 0 or not script.exists():
            print("supergateway is left out: npm could not install it")
            return None
    return [node, str(script)]


def _mcp_proxy() -> list[str] | None:
    folder = CACHE / "mcp-proxy"
    program = folder / "bin" / "mcp-proxy"
    if not program.exists():
        # It requires an older release of the official package than the tests.
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        pip = [str(folder / "bin" / "pip"), "install", "-q", f"mcp-proxy=={MCP_PROXY}", "mcp<2"]
        if subprocess.run(pip, check=False, timeout=300).returncode != 0:
            print("mcp-proxy is left out: pip could not install it")
            return None
    # The command of its server comes last, so the port must be inserted before it.
    return [sys.executable, str(Path(__file__).with_name("mcp_proxy.py")), str(program), *ECHO]


@contextmanager
def _all(programs: Sequence[Program]) -> Iterator[dict[str, tuple[int, int, bytes | None]]]:
    """Run all programs; yield the port, process id and session of each."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        running = {}
        for program in programs:
            port = _free_port()
            process = subprocess.Popen(
                [*program.words, str(port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **program.env},
                start_new_session=True,
            )
            started.append(process)
            _wait_for(port, process)
            running[program.name] = (port, process.pid, begin(port, program.path))
        yield running
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTING
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"Error: {process.args!r} does not listen on port {port}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
