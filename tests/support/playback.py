"""A local server that stands for any API: it notes what it is asked, and plays an answer back."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

ORIGINAL = "x-original-origin"
"""The header in which the test's sender passes the original URL of the request."""


@attrs.frozen
class Asked:
    """A request as it came by the wire."""

    method: str
    origin: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def url(self) -> str:
        """The URL without its query."""
        return self.origin + self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def form(self) -> dict[str, list[str]]:
        """The body as a form."""
        return parse_qs(self.body.decode(), keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@attrs.frozen
class Played:
    """An answer to be played back."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Played:
        """Return an answer of JSON."""
        return cls(
            status, json.dumps(value).encode(), {"content-type": "application/json"} | headers
        )


@attrs.define(eq=False)
class Playback:
    """The running server."""

    port: int
    asked: list[Asked] = attrs.field(factory=list)
    play: Callable[[Asked], Played] = lambda _: Played()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def playback() -> Iterator[Playback]:
    """Run the server while the block runs."""
    stage = Playback(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            origin = headers.pop(ORIGINAL, stage.url)
            asked = Asked(self.command, origin, self.path, headers, body)
            stage.asked.append(asked)
            played = stage.play(asked)
            self.send_response(played.status)
            for name, value in played.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(played.content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(played.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stage.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stage
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
