"""A fast MCP client over the pipes of a child process.

It reads all available data at once, and never blocks on a write while there is data to read, so
many large calls in flight cannot deadlock.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHUNK = 262_144
PATIENCE = 60.0
"""Seconds to wait for a response."""
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


class Broken(Exception):
    """The program exited or sent a wrong response, so nothing can be measured."""


class Conversation:
    """A running program; `started` is the time just before its start.

    As a context manager it closes stdin and waits for the process at the end.
    """

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self._number = 0
        self._rest = b""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=cwd,
            env={**environ, **(env or {})},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._write = self._process.stdin.fileno()
        self._read = self._process.stdout.fileno()
        os.set_blocking(self._write, False)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)
        self._process.stdin = None
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    # -- single requests, with a timeout -------------------------------------------------

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request and return its result.

        Raises:
          Broken: the response is an error or missing.
        """
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        self._send_all(json.dumps(request).encode() + b"\n")
        until = time.perf_counter() + PATIENCE
        while (left := until - time.perf_counter()) > 0:
            if not select.select([self._read], [], [], left)[0]:
                break
            for line in self._lines():
                answer = json.loads(line)
                if answer.get("id") == self._number and "method" not in answer:
                    if "result" not in answer:
                        raise Broken(f"{self.command}: {method} failed: {answer['error']}")
                    return answer["result"]
        raise Broken(f"{self.command}: no response to {method} within {PATIENCE:g} s")

    def open(self) -> None:
        """Initialize the session."""
        self.ask("initialize", INITIALIZE)
        self._send_all(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    # -- many requests, as fast as possible ----------------------------------------------

    def one_by_one(self, calls: Calls, seconds: float) -> list[float]:
        """Make calls one at a time for a while; return their latencies in seconds."""
        write, lines, clock = self._send_all, self._lines, time.perf_counter
        took: list[float] = []
        answers: list[bytes] = []
        until = clock() + seconds
        started = 0.0
        while started < until:
            line = calls.next()
            started = clock()
            write(line)
            while not (found := lines()):
                pass
            took.append(clock() - started)
            answers += found
        calls.check(answers)
        return took

    def in_flight(self, calls: Calls, count: int, seconds: float) -> tuple[float, int]:
        """Keep `count` calls in flight for a while; return the rate per second and the count."""
        answers: list[bytes] = []
        started = time.perf_counter()
        until = started + seconds
        out = b"".join([calls.next() for _ in range(count)])
        flying = count
        while flying:
            out = self._send_some(out)
            if out and not self._readable():
                continue
            found = self._lines()
            flying -= len(found)
            answers += found
            if time.perf_counter() < until:
                out += b"".join([calls.next() for _ in found])
                flying += len(found)
        elapsed = time.perf_counter() - started
        calls.check(answers)
        return len(answers) / elapsed, len(answers)

    def _readable(self) -> bool:
        """Wait until the pipes can be read or written; return whether data can be read."""
        return bool(select.select([self._read], [self._write], [])[0])

    def _send_some(self, out: bytes) -> bytes:
        """Write as much as fits; return the rest."""
        try:
            return out[os.write(self._write, out) :] if out else out
        except BlockingIOError:
            return out

    def _send_all(self, out: bytes) -> None:
        while out := self._send_some(out):
            select.select([], [self._write], [])

    def _lines(self) -> list[bytes]:
        """Read once; return the completed lines that have an id."""
        data = os.read(self._read, CHUNK)
        if not data:
            raise Broken(f"{self.command} closed its output")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line for line in lines if b'"id"' in line]


class Calls:
    """Requests that differ only in their id, and validation of their responses.

    Args:
      tool, arguments: the `tools/call` to make.
      text: the text of each response.
    """

    def __init__(self, tool: str, arguments: Mapping[str, Any], text: str) -> None:
        request = {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        self._tail = b"," + json.dumps(request, separators=(",", ":")).encode()[1:] + b"\n"
        self._text = text
        self._next = 1_000_000
        self._open: set[int] = set()

    def next(self) -> bytes:
        """Return the next request as a line."""
        self._next += 1
        self._open.add(self._next)
        return b'{"jsonrpc":"2.0","id":%d%s' % (self._next, self._tail)

    def check(self, answers: list[bytes]) -> None:
        """Check that each request got exactly one right response; call it after the timing."""
        for line in answers:
            answer = json.loads(line)
            if answer["id"] not in self._open:
                raise Broken(f"an unexpected or repeated response: {line[:300]!r}")
            self._open.remove(answer["id"])
            content = answer.get("result", {}).get("content")
            if not content or content[0].get("text") != self._text:
                raise Broken(f"a wrong response: {line[:300]!r}")
        if self._open:
            raise Broken(f"calls not answered: {len(self._open)}")
