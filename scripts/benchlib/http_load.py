"""A fast HTTP client: raw requests over keep-alive connections, with checked responses."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from typing import Any, Final

import attrs

TEXT: Final = "x" * 64
PATIENCE: Final = 30.0
"""Seconds without any response after which a run is aborted."""
_SESSION: Final = re.compile(rb"(?i)\r\nmcp-session-id: *([^\r]+)\r\n")


class WrongAnswer(Exception):
    """A server closed a connection or sent a wrong response."""


@attrs.define(eq=False)
class Connection:
    """One connection, and the data read so far of its next response."""

    port: int
    path: str
    socket: socket.socket = attrs.field(init=False)
    session: bytes | None = None
    sent_at: float = 0.0
    _buffer: bytes = b""

    def __attrs_post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, message: dict[str, Any]) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        ).encode()
        if self.session is not None:
            head += b"Mcp-Session-Id: " + self.session + b"\r\nMCP-Protocol-Version: 2025-11-25\r\n"
        self.sent_at = time.perf_counter()
        self.socket.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def read(self) -> bytes | None:
        """Read available data; return the body of a response once it is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise WrongAnswer(f"the connection was closed: {self._buffer[:200]!r}")
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        if (found := _SESSION.search(head + b"\r\n")) is not None and self.session is None:
            self.session = found[1].strip()
        lower = head.lower()
        if b"content-length:" in lower:
            size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(rest) < size:
                return None
            self._buffer = rest[size:]
            return rest[:size]
        if b"chunked" in lower:
            return self._chunks(rest)
        self._buffer = rest
        return b""

    def _chunks(self, rest: bytes) -> bytes | None:
        body, place = b"", 0
        while (end := rest.find(b"\r\n", place)) >= 0:
            size = int(rest[place:end], 16)
            if len(rest) < end + 2 + size + 2:
                return None
            if size == 0:
                self._buffer = rest[end + 4 :]
                return body
            body += rest[end + 2 : end + 2 + size]
            place = end + 2 + size + 2
        return None

    def ask(self, message: dict[str, Any]) -> bytes:
        """Send a message and wait for its response."""
        self.post(message)
        while (body := self.read()) is None:
            pass
        return body


def begin(port: int, path: str) -> bytes | None:
    """Open a session; return its id, or None if the server has no sessions."""
    connection = Connection(port, path)
    info = {"name": "bench", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    answer = connection.ask({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    if b'"result"' not in answer:
        raise WrongAnswer(f"initialize was answered by {answer[:200]!r}")
    connection.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})
    connection.socket.close()
    return connection.session


def call(number: int, invoke: bool) -> dict[str, Any]:
    """Return a call of the echo server's tool, directly or through the meta-tool."""
    params: dict[str, Any] = {"name": "echo", "arguments": {"text": TEXT}}
    if invoke:
        given = {"server": "echo", "tool": "echo", "arguments": {"text": TEXT}}
        params = {"name": "gateway_invoke", "arguments": given}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def load(
    port: int, path: str, session: bytes | None, connections: int, calls: int, *, invoke: bool
) -> tuple[float, list[float]]:
    """Make calls, one at a time on each connection; return calls per second and latencies.

    Raises:
      WrongAnswer: a response lacks the text that was sent.
    """
    opened = [Connection(port, path, session=session) for _ in range(connections)]
    number = 0
    for connection in opened:
        number += 1
        _check(connection.ask(call(number, invoke)))
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        started = time.perf_counter()
        for connection in opened:
            number += 1
            connection.post(call(number, invoke))
        while len(latencies) < calls:
            ready = selector.select(PATIENCE)
            if not ready:
                raise WrongAnswer(f"no response within {PATIENCE:g} s")
            for key, _ in ready:
                body = key.data.read()
                if body is not None:
                    latencies.append(time.perf_counter() - key.data.sent_at)
                    _check(body)
                    number += 1
                    key.data.post(call(number, invoke))
        took = time.perf_counter() - started
    for connection in opened:
        connection.socket.close()
    return len(latencies) / took, latencies


def _check(body: bytes) -> None:
    if TEXT.encode() not in body:
        raise WrongAnswer(f"a call was answered by {body[:300]!r}")
