"""Small HTTP servers in threads: any WSGI app, and an MCP-like resource that wants tokens."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import attrs

Reply = tuple[int, dict[str, str], bytes]


@attrs.frozen
class Seen:
    """A request that a server got."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """Return a response; a body that is not a string is sent as JSON. `_` in names means `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return status, named, b""
    if isinstance(body, str):
        return status, {"content-type": "text/plain", **named}, body.encode()
    return status, {"content-type": "application/json", **named}, json.dumps(body).encode()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def _seen(environ: dict[str, Any]) -> Seen:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    form = {}
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode()))
    headers = {
        key[5:].replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    return Seen(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, form, headers, body)


@attrs.define
class Running:
    """A server that runs; `seen` holds its requests in order."""

    url: str
    seen: list[Seen] = attrs.field(factory=list)

    def paths(self, method: str | None = None) -> list[str]:
        """Return the paths of the requests so far."""
        return [each.path for each in self.seen if method in (None, each.method)]


@contextlib.contextmanager
def serving(
    answer: Callable[[Seen], Reply], *, host: str = "127.0.0.1", shown: str = "localhost"
) -> Iterator[Running]:
    """Run a server in a thread for as long as the block lasts."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen = _seen(environ)
        running.seen.append(seen)
        status, headers, body = answer(seen)
        start_response(f"{status} status", [*headers.items(), ("content-length", str(len(body)))])
        return [body]

    server = make_server(host, 0, app, server_class=_Server, handler_class=_Quiet)
    running = Running(f"http://{shown}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@attrs.define
class Resource:
    """An MCP-like server at `/mcp` that wants a token meant for it.

    `introspect` returns the scopes and the resource of a token, or None. `documents` are
    published at their paths. `refusal` is the status for requests without a valid token.
    `challenge` replaces the challenge; `URL` in it stands for the URL of
    the resource metadata.
    """

    introspect: Callable[[str], dict[str, Any] | None]
    issuer: str
    needs: tuple[str, ...] = ()
    challenge_scope: bool = True
    documents: dict[str, object] = attrs.field(factory=dict)
    metadata_path: str | None = "/.well-known/oauth-protected-resource/mcp"
    named: bool = True
    challenge: str = ""
    refusal: int = 401
    extra: dict[str, object] = attrs.field(factory=dict)
    origin: str = ""
    running: Running | None = None
    open: bool = False

    def metadata(self) -> dict[str, object]:
        """Return the resource metadata."""
        return {
            "resource": f"{self.origin}/mcp",
            "authorization_servers": [self.issuer],
            **self.extra,
        }

    def __call__(self, seen: Seen) -> Reply:
        """Answer a request."""
        if seen.path == self.metadata_path:
            return reply(200, self.metadata())
        if seen.path in self.documents:
            return reply(200, self.documents[seen.path])
        if seen.path != "/mcp":
            return reply(404, "not here")
        if self.open:
            return reply(200, {"jsonrpc": "2.0", "id": 0, "result": {}})
        scheme, _, token = seen.headers.get("authorization", "").partition(" ")
        known = self.introspect(token) if scheme == "Bearer" else None
        if known is None or known["resource"] != self.metadata()["resource"]:
            return self._refuse(self.refusal)
        if not set(self.needs) <= set(known["scope"].split()):
            return self._refuse(403, 'error="insufficient_scope"')
        return reply(200, {"jsonrpc": "2.0", "id": 0, "result": {}})

    def _refuse(self, status: int, *parts: str) -> Reply:
        if self.challenge:
            text = self.challenge.replace("URL", f"{self.origin}{self.metadata_path}")
            return reply(status, {"error": "no"}, www_authenticate=text)
        said = list(parts)
        if self.named and self.metadata_path:
            said.append(f'resource_metadata="{self.origin}{self.metadata_path}"')
        if self.needs and self.challenge_scope:
            said.append(f'scope="{" ".join(self.needs)}"')
        return reply(status, {"error": "no"}, www_authenticate="Bearer " + ", ".join(said))
