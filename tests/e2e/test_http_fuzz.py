"""Whatever comes by HTTP is refused in order or served; the gateway lives and logs no fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.running import NO_RATE_LIMIT, until
from tests.support.driver import fake, logged, open_descriptors
from tests.support.lasting_gateway import LastingGateway, lasting_gateway
from tests.support.patience import PATIENCE
from tests.support.raw_http import LATEST, McpClient, exchange

pytestmark = pytest.mark.process

LIMIT = 65_536
MODERN = "2026-07-28"
NOT_TESTED_HERE = "gateway_invoke"


class Target:
    """The gateway under test, and a session that nonsense is sent into."""

    def __init__(self, gateway: LastingGateway, log: Path) -> None:
        self.gateway = gateway
        self.log = log
        self.session = ""
        self.older = ""
        self.descriptors = 0

    async def open(self) -> None:
        """Begin a session of two revisions, and have the server started."""
        async with McpClient(self.gateway.port) as client:
            await client.initialize()
            await client.invoke("one", "echo", {"text": "hi"})
            assert client.session is not None
            self.session = client.session
        async with McpClient(self.gateway.port) as client:
            about = {"name": "raw", "version": "1"}
            params = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": about}
            await client.request("initialize", params)
            assert client.session is not None
            self.older = client.session

    async def renew(self) -> None:
        """Begin new sessions where nonsense has ended the old ones."""
        for session in (self.session, self.older):
            async with McpClient(self.gateway.port, session=session) as client:
                answer = await client.post({"jsonrpc": "2.0", "id": "renew", "method": "ping"})
                if answer.status == 404:
                    await self.open()
                    return

    async def is_well(self) -> None:
        """Have a client of its own served as if nothing had happened."""
        async with McpClient(self.gateway.port) as client:
            await client.initialize()
            result = await client.invoke("one", "echo", {"text": "still here"})
            assert "still here" == result["content"][0]["text"]
            assert 204 == await client.end()
        assert self.gateway.is_alive

    def faults(self) -> str:
        """Return what the log says of faults of the gateway's own."""
        found = re.findall(r"^.*(?:Traceback|\.crashed).*$", self.gateway.log, re.MULTILINE)
        return "\n".join(found)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One gateway for all that is tried here."""
    folder = tmp_path_factory.mktemp("fuzz")
    with lasting_gateway(
        {"one": fake("--log", folder / "received")},
        folder=folder,
        server={"max_body_size": LIMIT},
        streaming={"keep_alive_interval": "1s"},
        failsafe=NO_RATE_LIMIT,
    ) as gateway:
        found = Target(gateway, folder / "received")
        trio.run(found.open)
        found.descriptors = open_descriptors(gateway.pid)
        yield found


# -- nonsense ----------------------------------------------------------------------------------

BYTES = st.binary(max_size=30)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10),
        st.sampled_from(["one", "echo", "tools/list", "fake://one", LATEST, MODERN, "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["name", "arguments", "server", "tool", "_meta", "progressToken", "cursor",
                 "uri", "requestId", "protocolVersion", "capabilities", "clientInfo",
                 "io.modelcontextprotocol/protocolVersion", "notifications", "x"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
METHODS = st.sampled_from(
    ["initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read",
     "resources/subscribe", "prompts/get", "prompts/list", "logging/setLevel",
     "completion/complete", "server/discover", "subscriptions/listen", "tasks/get",
     "tasks/cancel", "notifications/initialized", "notifications/cancelled",
     "notifications/progress", "notifications/roots/list_changed", "no/such", "", "\0"]
)  # fmt: skip
PARAMS = st.one_of(
    VALUES,
    st.builds(
        lambda version, capabilities, rest: {
            **rest,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            },
        },
        st.one_of(st.just(MODERN), VALUES),
        st.one_of(st.just({}), VALUES),
        st.dictionaries(st.sampled_from(["name", "arguments", "uri", "cursor"]), VALUES),
    ),
    st.builds(
        lambda name, arguments: {"name": name, "arguments": arguments},
        st.sampled_from(
            ["gateway_list_servers", "gateway_search_tools", "gateway_list_tools", "nothing",
             "gateway_get_stats", "gateway_cost_report", "gateway_set_state", ""]
        ),
        VALUES,
    ),
)  # fmt: skip
MESSAGES = st.builds(
    lambda rpc, number, method, params: {
        "jsonrpc": rpc, **number, **method, **params
    },
    st.sampled_from(["2.0", "2.0", "2.0", "2.0", "1.0", None]),
    st.one_of(
        st.just({}),
        st.builds(lambda value: {"id": value}, st.one_of(st.integers(1, 5), VALUES)),
    ),
    st.one_of(st.builds(lambda value: {"method": value}, METHODS), st.just({"result": {}})),
    st.one_of(st.just({}), st.builds(lambda value: {"params": value}, PARAMS)),
)  # fmt: skip


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES = st.one_of(
    st.builds(_dump, MESSAGES),
    st.builds(_dump, MESSAGES),
    st.builds(_dump, st.lists(MESSAGES, max_size=4)),
    st.builds(_dump, VALUES),
    st.builds(lambda message, cut: _dump(message)[:cut], MESSAGES, st.integers(0, 60)),
    st.builds(lambda message, at, junk: _dump(message)[:at] + junk + _dump(message)[at:],
              MESSAGES, st.integers(0, 40), BYTES),
    st.builds(lambda message: json.dumps(message).encode("utf-16"), MESSAGES),
    st.builds(lambda depth: b"[" * depth + b"]" * depth, st.sampled_from([50, 3000, 30_000])),
    st.builds(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth, st.sampled_from([50, 9000])),
    st.builds(lambda size: b'{"x":"' + b"x" * size + b'"}', st.sampled_from([LIMIT, 3 * LIMIT])),
    st.just(b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}'),
    st.just(b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}'),
    BYTES,
)  # fmt: skip
PATHS = st.one_of(
    st.sampled_from(
        ["/mcp", "/mcp", "/mcp", "/mcp/", "/mcp/one", "/mcp/none", "/mcp/%6fne", "/mcp/../mcp",
         "/mcp//one", "/mcp/one/tools/call", "/MCP", "/mcp?x=1", "/mcpx", "/sse", "/sse/one",
         "/messages", "/messages?sessionId=x", "/messages?sessionId=%ff&sessionId=", "/ws",
         "/ws/one", "/health", "/health/live", "/health/ready", "/openapi/one/openapi.json",
         "/openapi/one", "/openapi/one/none", "/openapi/none/openapi.json", "/", "*",
         "http://evil.example/mcp", "//mcp", "/%00", "/\u00e4", "/mcp#x", "/mcp/" + "a" * 300]
    ),
    st.text(st.characters(max_codepoint=255), max_size=20).map(lambda text: f"/{text}"),
)  # fmt: skip
HTTP_METHODS = st.sampled_from(
    ["POST", "POST", "POST", "POST", "GET", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE",
     "CONNECT", "get", "FOO", "P\tOST", ""]
)  # fmt: skip
HEADERS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                ("Content-Type", "application/json"),
                ("Content-Type", "text/plain"),
                ("Content-Type", "application/json; charset=utf-16"),
                ("Accept", "application/json, text/event-stream"),
                ("Accept", "text/event-stream"),
                ("Accept", "*/*;q=0"),
                ("Accept", ";;,,q=,"),
                ("Origin", "http://evil.example"),
                ("Origin", "http://localhost:1"),
                ("Origin", "null"),
                ("Host", "evil.example"),
                ("Host", "localhost"),
                ("Mcp-Session-Id", "SESSION"),
                ("Mcp-Session-Id", "SESSION"),
                ("Mcp-Session-Id", "OLDER"),
                ("Mcp-Session-Id", "forged"),
                ("Mcp-Session-Id", "\xff\xfe"),
                ("MCP-Protocol-Version", LATEST),
                ("MCP-Protocol-Version", "2025-03-26"),
                ("MCP-Protocol-Version", MODERN),
                ("MCP-Protocol-Version", "1900-01-01"),
                ("Mcp-Method", "tools/list"),
                ("Mcp-Name", "=?base64?!!?="),
                ("Mcp-Name", "gateway_list_servers"),
                ("Last-Event-ID", "0-0"),
                ("Last-Event-ID", "1-0"),
                ("Last-Event-ID", "1-99999999999999999999999"),
                ("Authorization", "Bearer x"),
                ("Upgrade", "websocket"),
                ("Upgrade", "h2c"),
                ("Connection", "Upgrade"),
                ("Connection", "close"),
                ("Connection", "keep-alive"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Protocol", "mcp"),
                ("Expect", "100-continue"),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "mcp-param-x, y"),
                ("Content-Encoding", "gzip"),
                ("TE", "trailers"),
            ]
        ),
        st.tuples(
            st.sampled_from(["X", "Cookie", "Accept", "Mcp-Param-X", "Origin", "Content-Type"]),
            st.text(st.characters(max_codepoint=255), max_size=20),
        ),
    ),
    max_size=7,
)  # fmt: skip
FRAMINGS = st.sampled_from(
    ["chunked", "bad chunks", "both", "short", "long",
     "none", "two lengths", "negative", "huge"]
)  # fmt: skip
USUAL = (
    "Host: 127.0.0.1\r\nAccept: application/json, text/event-stream\r\n"
    "Content-Type: application/json\r\n"
)


def framed(body: bytes, framing: str) -> tuple[str, bytes]:
    """Return the headers that tell a body's size, rightly or wrongly, and the body."""
    size = len(body)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if body else b"0\r\n\r\n"
    match framing:
        case "chunked":
            return "Transfer-Encoding: chunked\r\n", chunks
        case "bad chunks":
            return "Transfer-Encoding: chunked\r\n", b"zz\r\n" + body
        case "both":
            return f"Transfer-Encoding: chunked\r\nContent-Length: {size}\r\n", chunks
        case "short":
            return f"Content-Length: {size + 10}\r\n", body
        case "long":
            return f"Content-Length: {max(size - 3, 0)}\r\n", body
        case "two lengths":
            return f"Content-Length: {size}\r\nContent-Length: {size + 1}\r\n", body
        case "negative":
            return "Content-Length: -5\r\n", body
        case "huge":
            return "Content-Length: 99999999999999999999\r\n", body
        case "none":
            return "", body
    return f"Content-Length: {size}\r\n", body


ASPECTS = ("method", "path", "usual", "headers", "framing", "body", "version", "session")
GOOD = st.builds(
    lambda number, method, params: {"jsonrpc": "2.0", **number, "method": method, **params},
    st.one_of(st.just({}), *[st.builds(lambda value: {"id": value}, st.integers(1, 9))] * 5),
    METHODS,
    st.builds(
        lambda value: {"params": value}, PARAMS.filter(lambda value: isinstance(value, dict))
    ),
)
"""Messages that are well-formed, whatever they ask."""


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Make a request that is right but for two of its aspects at most."""
    odd = draw(st.sets(st.sampled_from(ASPECTS), max_size=2))
    method = draw(HTTP_METHODS) if "method" in odd else "POST"
    path = draw(PATHS) if "path" in odd else "/mcp"
    lines = draw(st.sampled_from(["", "Host: localhost\r\n"])) if "usual" in odd else USUAL
    if "session" not in odd:
        name = draw(st.sampled_from(["SESSION", "SESSION", "OLDER"]))
        lines += f"Mcp-Session-Id: {name}\r\n"
    if "headers" in odd:
        lines += "".join(f"{name}: {value}\r\n" for name, value in draw(HEADERS))
    body = draw(BODIES) if "body" in odd else _dump(draw(GOOD))
    sizes, body = framed(body, draw(FRAMINGS) if "framing" in odd else "length")
    version = draw(st.sampled_from(["1.0", "2.0", "9"])) if "version" in odd else "1.1"
    head = f"{method} {path} HTTP/{version}\r\n{lines}{sizes}\r\n".encode("latin-1", "replace")
    return head + body


STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


@given(
    st.lists(requests(), min_size=1, max_size=4),
    st.lists(st.integers(1, 3000), max_size=3),
)
@settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_nonsense(target: Target, parts: list[bytes], cuts: list[int]) -> None:
    """Any requests, one after the other on a connection, get answers that are no 500; the
    connection ends, and a client beside it is served."""
    trio.run(target.renew)
    data = b"".join(parts)
    data = data.replace(b"SESSION", target.session.encode())
    data = data.replace(b"OLDER", target.older.encode())
    data = data.replace(NOT_TESTED_HERE.encode(), b"nothing")
    pieces = [
        data[start:end]
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True)
    ]

    async def check() -> None:
        with trio.fail_after(PATIENCE):
            # Behind a stream without end the next request waits, and so does the news of our end.
            quiet = 1.0 if b"GET" in data else PATIENCE
            answer = await exchange(target.gateway.port, *pieces, quiet=quiet)
            assert b"" == answer or STATUS.match(answer), answer[:300]
            statuses = {int(found) for found in STATUS.findall(answer)}
            assert 500 not in statuses, answer[:2000]
            assert b"-32603" not in answer, answer[:2000]
            await target.is_well()

    trio.run(check)
    assert "" == target.faults()


def test_nonsense_leaves_no_connection_open(target: Target) -> None:
    """After all the nonsense the gateway has no connection open, and forgot no client's end."""

    async def check() -> None:
        await target.is_well()
        pid = target.gateway.pid
        await until(lambda: open_descriptors(pid) <= target.descriptors + 3, what="all closed")

    trio.run(check)


# -- one of each hostile kind --------------------------------------------------------------------

CALL = _dump(
    {
        "jsonrpc": "2.0",
        "id": 77,
        "method": "tools/call",
        "params": {
            "name": "gateway_invoke",
            "arguments": {"server": "one", "tool": "echo", "arguments": {"text": "HOSTILE"}},
        },
    }
)
"""A call that would reach the server if it were let through."""
NAME = "Host: 127.0.0.1\r\n"
SENT = "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
OURS = "Mcp-Session-Id: SESSION\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def post(headers: str, body: bytes = CALL, *, path: str = "/mcp", size: int | None = -1) -> bytes:
    """Return a POST; its Content-Length is right, or as given, or left out for None."""
    length = len(body) if size == -1 else size
    told = "" if length is None else f"Content-Length: {length}\r\n"
    return f"POST {path} HTTP/1.1\r\n{headers}{told}\r\n".encode("latin-1") + body


def chunk(body: bytes) -> bytes:
    """Return a chunk."""
    return b"%x\r\n%b\r\n" % (len(body), body)


HOSTILE: dict[str, tuple[bytes, int]] = {
    "a header larger than all may be": (post(NAME + SENT + OURS + f"X: {'x' * 40_000}\r\n"), 431),
    "a thousand headers": (post(NAME + SENT + OURS + "X-Filling: 0123456789\r\n" * 2000), 431),
    "a path larger than a head may be": (
        post(NAME + SENT + OURS, path="/mcp/" + "a" * 40_000),
        431,
    ),
    "a body too large by its length": (post(NAME + SENT + OURS, size=LIMIT + 1), 413),
    "a body too large as it comes": (
        post(NAME + SENT + OURS, b'{"x":"' + b"x" * LIMIT + b'"}'),
        413,
    ),
    "chunks without end": (
        post(NAME + SENT + OURS + CHUNKED, chunk(b" " * 16_384) * 16, size=None),
        413,
    ),
    "a chunk of a huge declared size": (
        post(NAME + SENT + OURS + CHUNKED, b"ffffffffffff\r\n" + b" " * 2 * LIMIT, size=None),
        413,
    ),
    "a chunk size that is no number": (
        post(NAME + SENT + OURS + CHUNKED, b"zz\r\n" + CALL, size=None),
        400,
    ),
    "a chunk size longer than a size may be": (
        post(NAME + SENT + OURS + CHUNKED, b"f" * 100 + b"\r\n" + CALL, size=None),
        400,
    ),
    "a chunk that is longer than it says": (
        post(NAME + SENT + OURS + CHUNKED, b"5\r\n" + CALL + b"\r\n0\r\n\r\n", size=None),
        400,
    ),
    "bytes that are no UTF-8": (
        post(NAME + SENT + OURS, CALL.replace(b"HOSTILE", b"\xff\xfe")),
        200,  # as the official SDKs: they become U+FFFD
    ),
    "UTF-16": (post(NAME + SENT + OURS, CALL.decode().encode("utf-16")), 400),
    "no JSON": (post(NAME + SENT + OURS, CALL[:-1]), 400),
    "no body": (post(NAME + SENT + OURS, b""), 400),
    "two messages": (post(NAME + SENT + OURS, CALL + CALL), 400),
    "JSON that is nested too deeply": (
        post(NAME + SENT + OURS, b"[" * 30_000 + b"]" * 30_000),
        400,
    ),
    "a batch in a revision without": (post(NAME + SENT + OURS, b"[" + CALL + b"]"), 400),
    "a batch without any session": (post(NAME + SENT, b"[" + CALL + b"]"), 400),
    "an empty batch": (post(NAME + SENT + "Mcp-Session-Id: OLDER\r\n", b"[]"), 400),
    "the wrong content type": (
        post(NAME + SENT.replace("application/json\r", "text/plain\r") + OURS),
        415,
    ),
    "a form, which any page may send": (
        post(NAME + SENT.replace("json\r", "x-www-form-urlencoded\r") + OURS),
        415,
    ),
    "another charset": (post(NAME + SENT.replace("json\r", "json; charset=utf-16\r") + OURS), 415),
    "two content types": (post(NAME + SENT + OURS + "Content-Type: text/plain\r\n"), 415),
    "no answer that it would take": (
        post(NAME + SENT.replace("application/json, ", "text/html, ", 1) + OURS),
        406,
    ),
    "a page of another origin": (post(NAME + SENT + OURS + "Origin: http://evil.example\r\n"), 403),
    "a page without an origin": (post(NAME + SENT + OURS + "Origin: null\r\n"), 403),
    "an origin that only begins like ours": (
        post(NAME + SENT + OURS + "Origin: http://localhost.evil.example\r\n"),
        403,
    ),
    "two origins": (
        post(NAME + SENT + OURS + "Origin: http://localhost\r\nOrigin: http://evil.example\r\n"),
        403,
    ),
    "a name that is made to point here": (post("Host: evil.example\r\n" + SENT + OURS), 403),
    "a name that only begins like ours": (
        post("Host: localhost.evil.example\r\n" + SENT + OURS),
        403,
    ),
    "a name with a user in it": (post("Host: localhost@evil.example\r\n" + SENT + OURS), 403),
    "an absolute target of another name": (
        post("Host: evil.example\r\n" + SENT + OURS, path="http://evil.example/mcp"),
        403,
    ),
    "two names": (post(NAME + "Host: evil.example\r\n" + SENT + OURS), 400),
    "no name": (post(SENT + OURS), 400),
    "a forged session": (post(NAME + SENT + "Mcp-Session-Id: " + "x" * 32 + "\r\n"), 404),
    "a session of another address": (post(NAME + SENT + OURS, path="/mcp/one"), 404),
    "a session by parts": (post(NAME + SENT + OURS + OURS), 404),
    "a session in bytes": (post(NAME + SENT + "Mcp-Session-Id: \xff\xfe\r\n"), 404),
    "no session": (post(NAME + SENT + "MCP-Protocol-Version: 2025-11-25\r\n"), 400),
    "an unknown revision": (post(NAME + SENT + OURS + "MCP-Protocol-Version: 1900-01-01\r\n"), 400),
    "a revision without its parts": (
        post(NAME + SENT + OURS + f"MCP-Protocol-Version: {MODERN}\r\n"),
        400,
    ),
    "smuggling: a length and chunks": (
        post(NAME + SENT + OURS + CHUNKED, b"0\r\n\r\n" + post(NAME + SENT + OURS)),
        400,
    ),
    "smuggling: two lengths": (
        post(NAME + SENT + OURS + "Content-Length: 0\r\n", CALL),
        400,
    ),
    "smuggling: a list of lengths": (
        post(NAME + SENT + OURS + "Content-Length: 0, 5\r\n", CALL, size=None),
        400,
    ),
    "smuggling: a length with a sign": (
        post(NAME + SENT + OURS + f"Content-Length: +{len(CALL)}\r\n", CALL, size=None),
        400,
    ),
    "smuggling: another coding than chunked": (
        post(NAME + SENT + OURS + "Transfer-Encoding: xchunked\r\n", CALL, size=None),
        501,
    ),
    "smuggling: chunked and identity": (
        post(NAME + SENT + OURS + "Transfer-Encoding: chunked, identity\r\n", CALL, size=None),
        501,
    ),
    "smuggling: chunked twice": (
        post(NAME + SENT + OURS + CHUNKED + CHUNKED, chunk(CALL) + b"0\r\n\r\n", size=None),
        501,
    ),
    "smuggling: a space before the colon": (
        post(NAME + SENT + OURS + "Transfer-Encoding : chunked\r\n", chunk(CALL) + b"0\r\n\r\n"),
        400,
    ),
    "smuggling: a header that goes on in the next line": (
        post(NAME + SENT + OURS + "X: y\r\n Transfer-Encoding: chunked\r\n", size=None),
        400,
    ),
    "smuggling: a line that ends by CR alone": (
        post(NAME + SENT + OURS + "X: y\rTransfer-Encoding: chunked\r\n", size=None),
        400,
    ),
    "smuggling: a null in a header": (post(NAME + SENT + OURS + "X: a\0b\r\n"), 400),
    "smuggling: a method that is none": (
        post(NAME + SENT + OURS).replace(b"POST", b"PO ST", 1),
        400,
    ),
    "another method": (post(NAME + SENT + OURS).replace(b"POST", b"PUT", 1), 405),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, 400),
    "HTTP of long ago": (b"POST /mcp\r\n\r\n" + CALL, 400),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_requests(target: Target, kind: str) -> None:
    """Each has the status that fits, changes nothing, and never comes to the server."""
    trio.run(target.renew)
    data, status = HOSTILE[kind]
    data = data.replace(b"SESSION", target.session.encode())
    data = data.replace(b"OLDER", target.older.encode())
    before = len(logged(target.log))

    async def check() -> None:
        with trio.fail_after(PATIENCE):
            # Who hangs up in the middle of a body may hear of that instead of its size.
            answer = await exchange(target.gateway.port, data, half_close=status != 413)
            assert b"HTTP/1.1 %d " % status == answer[:13], answer[:500]
            # What follows on a request that is refused so is not taken for the next one.
            assert {status} | {400} >= {int(found) for found in STATUS.findall(answer)}, answer
            assert b"HOSTILE" not in answer
            async with McpClient(target.gateway.port, session=target.session) as client:
                assert (await client.request("tools/list"))["tools"]

    trio.run(check)
    received = [json.dumps(message) for message in logged(target.log)[before:]]
    assert [] == [line for line in received if "HOSTILE" in line]
    assert "" == target.faults()
