"""Longest stall of the event loop for each hostile case.

`scripts/bench stalls` runs the gateway once for each case, with a server that does its worst
(`benchlib/stalling_server.py`), while a client pings the gateway every few milliseconds. A ping is
answered by the event loop itself, so the longest wait for an answer is the longest time in which
the gateway answered no client. `idle` is the same without any hostile work: the machine's share.

    scripts/bench stalls [--quick] [--only CASE,...] [--json FILE]

The target is 20 ms above idle. Timings are valid only on a machine that is otherwise idle.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchlib.stalling_server import CALLS, LISTS

SERVER: Final = Path(__file__).resolve().parent / "benchlib" / "stalling_server.py"
TARGET: Final = 20.0
"""Milliseconds that the gateway may add to the longest stall of the machine."""
PAUSE: Final = 0.002
PATIENCE: Final = 120.0
SETTLE: Final = 1.5
FLOODS: Final = ("log messages", "list changes", "noise on stdout", "noise on stderr")
QUICK: Final = ("prose", "base64", "many tools", "error of 9 MB", "result of 9 MB", "locked state")


class Gateway:
    """A gateway over stdio, with requests from several threads."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        path = folder / "gateway.yaml"
        path.write_text(json.dumps({"capabilities": {"enabled": False}, **config}))
        environ = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio", "-c", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environ, "MCP_GATEWAY_HOME": str(folder / "home")},
        )
        self.path = path
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, tuple[threading.Event, list[Any]]] = {}
        threading.Thread(target=self._read, daemon=True).start()
        self.request(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "bench", "version": "1"},
            },
        )
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.request("tools/list", {})

    def request(self, method: str, params: dict[str, Any]) -> float:
        """Send a request; return the seconds until its response."""
        done = threading.Event()
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = (done, [])
        began = time.perf_counter()
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if not done.wait(PATIENCE):
            raise SystemExit(f"Error: no response to {method} within {PATIENCE:g} s")
        ended: float = self._waiting.pop(number)[1][0]
        return ended - began

    def invoke(self) -> None:
        """Call the hostile server's tool, whatever comes of it."""
        arguments = {"server": "hostile", "tool": "tool_0", "arguments": {}}
        self.request("tools/call", {"name": "gateway_invoke", "arguments": arguments})

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with self._lock:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            now = time.perf_counter()
            # The id of a large response is at its beginning.
            head = line[:200].decode("utf-8", "replace")
            if '"method"' in head:
                continue
            number = int(head.partition('"id":')[2].partition(",")[0].strip("}\n "))
            done, times = self._waiting[number]
            times.append(now)
            done.set()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@contextmanager
def pinging(gateway: Gateway) -> Iterator[list[float]]:
    """Ping all the time while the block runs; give the list of the waits in seconds."""
    waits: list[float] = []
    stop = threading.Event()

    def ping() -> None:
        while not stop.is_set():
            waits.append(gateway.request("ping", {}))
            time.sleep(PAUSE)

    pinger = threading.Thread(target=ping)
    pinger.start()
    try:
        yield waits
    finally:
        stop.set()
        pinger.join()


def hostile(case: str) -> dict[str, Any]:
    return {"command": [sys.executable, str(SERVER), case], "timeout": "60s"}


def by_server(case: str, folder: Path) -> list[float]:
    """Call the tool of a hostile server twice: after its start, and again."""
    gateway = Gateway(folder, {"backends": {"hostile": hostile(case)}})
    with pinging(gateway) as waits:
        gateway.invoke()
        gateway.invoke()
        time.sleep(SETTLE)
    gateway.close()
    return waits


def idle(folder: Path) -> list[float]:
    """Do nothing."""
    gateway = Gateway(folder, {})
    with pinging(gateway) as waits:
        time.sleep(2 * SETTLE)
    gateway.close()
    return waits


def reload(folder: Path) -> list[float]:
    """Change all of 500 servers in gateway.yaml."""

    def config(timeout: int) -> dict[str, Any]:
        backend = {"command": [sys.executable, str(SERVER), "plain"], "timeout": f"{timeout}s"}
        servers = {f"s{number}": {**backend, "env": {"N": str(timeout)}} for number in range(500)}
        return {"capabilities": {"enabled": False}, "backends": servers}

    gateway = Gateway(folder, config(30))
    with pinging(gateway) as waits:
        gateway.path.write_text(json.dumps(config(31)))
        time.sleep(4 * SETTLE)
    gateway.close()
    return waits


def locked_state(folder: Path) -> list[float]:
    """Another process holds the lock of the database while a server is started."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    with sqlite3.connect(home / "state.db", isolation_level=None) as database:
        database.execute("CREATE TABLE held (x)")
        database.execute("BEGIN EXCLUSIVE")
        gateway = Gateway(folder, {"backends": {"hostile": hostile("prose")}})
        with pinging(gateway) as waits:
            gateway.invoke()
            time.sleep(2 * SETTLE)
        database.execute("ROLLBACK")
        gateway.close()
    return waits


CASES: Final[dict[str, Callable[[Path], list[float]]]] = {
    "idle": idle,
    **{f"list: {case}": lambda folder, case=case: by_server(case, folder) for case in LISTS},
    **{case: lambda folder, case=case: by_server(case, folder) for case in (*CALLS, *FLOODS)},
    "reload of 500 servers": reload,
    "locked state": locked_state,
}


def main() -> int:
    """Print the longest stall of each case."""
    parser = argparse.ArgumentParser(
        prog="bench stalls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few cases")
    parser.add_argument("--only", default="", metavar="CASE,...", help="these cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    names = list(CASES)
    if options.quick:
        names = ["idle", *[name for name in names if name.removeprefix("list: ") in QUICK]]
    if options.only:
        names = ["idle", *[each.strip() for each in options.only.split(",")]]
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"unknown case {unknown[0]!r}; choose from {', '.join(CASES)}")
    print(f"{'case':<28}{'longest stall':>15}{'p99':>10}{'median':>10}  pings")
    figures: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(names):
        with tempfile.TemporaryDirectory() as folder:
            waits = sorted(1000 * wait for wait in CASES[name](Path(folder)))
        figures[name] = {
            "longest_ms": round(waits[-1], 1),
            "p99_ms": round(waits[int(len(waits) * 0.99) - 1], 2),
            "median_ms": round(statistics.median(waits), 2),
            "pings": len(waits),
        }
        found = figures[name]
        over = "" if waits[-1] <= figures["idle"]["longest_ms"] + TARGET else "  over the target"
        print(
            f"{name:<28}{found['longest_ms']:>12.1f} ms{found['p99_ms']:>7.1f} ms"
            f"{found['median_ms']:>7.2f} ms  {found['pings']}{over}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
