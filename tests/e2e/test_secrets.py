"""Servers that repeat their secrets: none reaches an answer, the log, or the state folder."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.running import payload, running
from tests.e2e.shell import shell_in
from tests.support.driver import Gateway
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

LEAKY = Path(__file__).parent.parent / "support" / "leaky_server.py"
SECRET = "Zq7+x/words&of=a%secret'9"
CALLS = ("result", "structured", "resource", "is_error", "rpc_error", "log", "die")

FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quoted": lambda s: quote(s, safe=""),
    "escaped": lambda s: json.dumps({"k": s}),
    "base64": lambda s: base64.b64encode(f"user:{s}:more".encode()).decode(),
    "folded": lambda s: f"{s[:9]}\n  {s[9:]}",
}


def backend(form: Callable[[str], str], behaviour: str, where: str) -> dict[str, Any]:
    """Return the settings of a leaky server that has the secret at some place."""
    command = [sys.executable, str(LEAKY), behaviour]
    env = {"WHAT": form(SECRET)}
    if where == "env":
        env["LEAKY_TOKEN"] = SECRET
    elif where == "option":
        command += ["--api-key", SECRET]
    elif where == "argument":
        command += ["${THE_SECRET}"]
    else:
        command += [f"--db=postgres://me:{quote(SECRET, safe='')}@db.example/x"]
    return {"command": command, "env": env}


def marks(form: Callable[[str], str]) -> list[str]:
    """Return texts of which none may be left: long parts of the secret and of its form."""
    middle = form(SECRET)
    if form is FORMS["base64"]:
        middle = base64.b64encode(SECRET.encode()).decode()[4:-4]
    plain = [SECRET[2:16], SECRET[10:], quote(SECRET, safe="")[4:20]]
    return [*plain, *([middle[4:20]] if form is FORMS["base64"] else [])]


def all_of(gateway: Gateway, heard: list[Any]) -> str:
    """Return all that the gateway has said or stored."""
    files = [
        path.read_bytes().decode("utf-8", "replace")
        for path in sorted((gateway.folder / "home").rglob("*"))
        if path.is_file()
    ]
    return "\n".join((*map(repr, heard), *map(json.dumps, heard), gateway.stderr, *files))


@pytest.mark.parametrize(
    ("name", "where"),
    [*((name, "env") for name in FORMS), ("raw", "option"), ("raw", "argument"), ("raw", "url")],
)
async def test_a_server_that_repeats_its_secret(name: str, where: str, tmp_path: Path) -> None:
    """Definitions, results, errors, log messages and stderr lose the secret, and say the rest."""
    form = FORMS[name]
    heard: list[Any] = []
    env = {"THE_SECRET": SECRET}
    settings = backend(form, "serve", where)
    async with running({"leaky": settings}, folder=tmp_path, env=env) as gateway:
        for tool in CALLS:
            heard += [await gateway.invoke("leaky", tool, {}, timeout=PATIENCE)]
        assert "before" in str(heard[0])
        assert "after" in str(heard[0])
        for tool in ("gateway_list_servers", "gateway_get_stats", "gateway_list_tools"):
            heard += [await gateway.call(tool, {}, timeout=PATIENCE)]
        query = {"query": "tool result", "explain": True}
        heard += [await gateway.call("gateway_search_tools", query, timeout=PATIENCE)]
        heard += gateway.notifications
    said = all_of(gateway, heard)
    assert "[redacted]" in said
    assert [] == [mark for mark in marks(form) if mark in said]


@pytest.mark.parametrize("behaviour", ["refuse", "die"])
async def test_a_server_that_does_not_start(behaviour: str, tmp_path: Path) -> None:
    """The reason of the failure is reported, without the secret."""
    settings = backend(str, behaviour, "env")
    retry = {"retry": {"max_attempts": 1}}
    async with running({"leaky": settings}, folder=tmp_path, failsafe=retry) as gateway:
        heard = [await gateway.invoke("leaky", "result", {}, timeout=PATIENCE)]
        listed = await gateway.call("gateway_list_servers", {}, timeout=PATIENCE)
        heard += [listed, *gateway.notifications]
    said = all_of(gateway, heard)
    assert ("no: [redacted]" if behaviour == "refuse" else "starting with [redacted]") in said
    assert [] == [mark for mark in marks(str) if mark in said]
    assert "leaky" in payload(listed)["servers"][0]["name"]


def test_words_of_settings_stay_in_results(tmp_path: Path) -> None:
    """Plain settings in `env` do not cut words out of results."""
    env = {
        "WHAT": "true info production 8080 us-east-1 read-only acme-corp",
        "MODE": "production",
        "AWS_REGION": "us-east-1",
        "PORT": "8080",
        "DEBUG": "true",
        "ORG": "acme-corp",
        "API_TOKEN": "read-only",
    }
    command = [sys.executable, str(LEAKY), "serve"]
    with shell_in(tmp_path, {"leaky": {"command": command, "env": env}}) as shell:
        done = shell.run("tool", "invoke", "leaky:result", "-f", "plain")
    assert f"before {env['WHAT']} after\n" == done.out


def test_commands_show_no_secret(tmp_path: Path) -> None:
    """`tool`, `search` and `doctor` print definitions, results and errors without the secret."""
    with shell_in(tmp_path, {"leaky": backend(str, "serve", "env")}) as shell:
        for words in (
            ("tool", "list"),
            ("tool", "inspect", "leaky:result"),
            ("tool", "invoke", "leaky:result"),
            ("tool", "invoke", "leaky:rpc_error"),
            ("tool", "invoke", "leaky:die"),
            ("search", "tool", "result"),
            ("doctor",),
        ):
            done = shell.run(*words)
            assert [] == [mark for mark in marks(str) if mark in done.out + done.err], words
        shell.configure({"leaky": backend(str, "die", "env")})
        done = shell.run("tool", "invoke", "leaky:result")
        assert "starting with [redacted]" in done.out + done.err


HEADER_KEY = "words-of-a-header-key"
PATH_KEY = "SUPERSECRETPATH12345"
QUERY_KEY = "words of a query key"


class _Echo(BaseHTTPRequestHandler):
    """Answers each request with an error that repeats it, as debugging proxies do."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        seen = f"{self.path} {' '.join(self.headers.values())}"
        if self.path.startswith("/json"):
            error = {"code": -32000, "message": seen * 200, "data": dict(self.headers.items())}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
            kind = "application/json"
        else:
            body, kind = seen.encode(), "text/plain"
        self.send_response(502, f"Bad {self.headers['x-api-key']}")
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def echoing() -> Iterator[int]:
    """Run the echoing server; give its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("kind", ["json", "plain", "closed"])
async def test_a_network_server_that_repeats_the_request(kind: str, tmp_path: Path) -> None:
    """Headers, path and query of the URL are in no answer and no log line."""
    with echoing() as port:
        where = 9 if kind == "closed" else port
        url = f"http://me:pass-word-1@127.0.0.1:{where}/{kind}/{PATH_KEY}/mcp?token=" + "${QUERY}"
        settings = {
            "http_url": url,
            "headers": {"X-Api-Key": "${KEY}", "Authorization": f"Bearer {HEADER_KEY[::-1]}"},
        }
        env = {"KEY": f"{HEADER_KEY}\n", "QUERY": quote(QUERY_KEY)}
        retry = {"retry": {"max_attempts": 1}}
        async with running({"echo": settings}, folder=tmp_path, env=env, failsafe=retry) as gateway:
            heard: list[Any] = [await gateway.invoke("echo", "x", {}, timeout=PATIENCE)]
            heard += [await gateway.call("gateway_list_servers", {}, timeout=PATIENCE)]
    said = all_of(gateway, heard)
    assert "cannot connect" in said if kind == "closed" else "502" in said or "refused" in said
    secrets = (HEADER_KEY, HEADER_KEY[::-1], PATH_KEY, QUERY_KEY, quote(QUERY_KEY), "pass-word-1")
    assert [] == [secret for secret in secrets if secret in said]
