"""Whatever comes on stdin is answered by the right error, and the next good request is served."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from tests.e2e.running import running, text, until
from tests.support.driver import Gateway, Message, RpcError, fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

LINES = 1000
LIMIT = 32_768
METHODS = (
    "initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read",
    "resources/templates/list", "prompts/list", "prompts/get", "logging/setLevel",
    "completion/complete", "server/discover", "resources/subscribe", "no/such", "", "\0",
)  # fmt: skip
META_TOOLS = (
    "gateway_list_servers", "gateway_list_tools", "gateway_search_tools", "gateway_invoke",
    "gateway_get_stats", "gateway_kill_server", "gateway_revive_server", "nothing",
)  # fmt: skip
NOTIFICATIONS = (
    "notifications/cancelled", "notifications/progress", "notifications/initialized",
    "notifications/roots/list_changed", "notifications/message", "odd",
)  # fmt: skip


class Fuzz:
    """Lines of nonsense, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds = (
            self.garbage, self.truncated, self.deep, self.request, self.request, self.request,
            self.tool_call, self.tool_call, self.notification, self.batch, self.too_long,
            self.response, self.huge_number, self.duplicate_keys,
        )  # fmt: skip

    def line(self) -> bytes:
        """Return a line, its end included."""
        return self.random.choice(self.kinds)().replace(b"\n", b"\\n") + b"\n"

    def value(self, depth: int = 0) -> Any:
        """Return any JSON value."""
        choose = self.random.choice
        kind = self.random.randrange(10 if depth < 3 else 7)
        if kind < 3:
            return choose(
                [None, True, False, 0, -1, 1.5, 10**30, -(10**18), 1e300, "", "\0", "\ud800"]
            )
        if kind < 7:
            letters = string.printable + "äß漢\u2028\0"
            return "".join(choose(letters) for _ in range(self.random.randrange(40)))
        if kind == 7:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        names = ["name", "arguments", "uri", "cursor", "level", "_meta", "query", "server", "x"]
        return {choose(names): self.value(depth + 1) for _ in range(self.random.randrange(5))}

    def number(self) -> Any:
        """Return an id, often one that was used before, often none that is allowed."""
        pick = self.random.randrange(4)
        return self.random.randrange(20) + 10_000 if pick else self.value()

    def garbage(self) -> bytes:
        return self.random.randbytes(self.random.randrange(1, 200))

    def truncated(self) -> bytes:
        whole = self.request()
        return whole[: self.random.randrange(1, len(whole))]

    def deep(self) -> bytes:
        depth = self.random.choice([100, 900, 5000, 15_000])
        opening, closing = self.random.choice([("[", "]"), ('{"a":', "}")])
        nested = opening * depth + "1" + closing * depth
        if len(nested) > LIMIT - 200:
            nested = nested[: LIMIT - 200]
        if self.random.random() < 0.5:
            return nested.encode()
        number = self.random.randrange(10_000, 10_020)
        start = f'{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":'
        return f"{start}{nested}}}".encode()

    def request(self) -> bytes:
        message = {
            "jsonrpc": self.random.choice(["2.0"] * 9 + ["1.0"]),
            "id": self.number(),
            "method": self.random.choice(METHODS),
        }
        if self.random.random() < 0.8:
            message["params"] = self.value()
        return json.dumps(message).encode()

    def tool_call(self) -> bytes:
        params: Message = {"name": self.random.choice(META_TOOLS), "arguments": self.value()}
        if self.random.random() < 0.3:
            params["_meta"] = self.value()
        if self.random.random() < 0.3:
            params["_meta"] = {"progressToken": self.value()}
        message = {"jsonrpc": "2.0", "id": self.number(), "method": "tools/call", "params": params}
        return json.dumps(message).encode()

    def notification(self) -> bytes:
        params = self.random.choice(
            [
                {"requestId": self.number()},
                {"progressToken": self.number(), "progress": self.value()},
                self.value(),
            ]
        )
        method = self.random.choice(NOTIFICATIONS)
        return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()

    def batch(self) -> bytes:
        return json.dumps([self.value() for _ in range(self.random.randrange(4))]).encode()

    def too_long(self) -> bytes:
        filling = "x" * (LIMIT + self.random.randrange(LIMIT))
        return json.dumps(
            {"jsonrpc": "2.0", "id": self.number(), "method": "ping", "params": {"x": filling}}
        ).encode()

    def response(self) -> bytes:
        body = self.random.choice([{"result": self.value()}, {"error": self.value()}])
        return json.dumps({"jsonrpc": "2.0", "id": self.number(), **body}).encode()

    def huge_number(self) -> bytes:
        digits = "9" * self.random.choice([50, 4000, 10_000])
        tail = self.random.choice(["", ".5", "e999999", "e-999999"])
        where = self.random.choice(
            ['"id":{},"method":"ping"', '"id":10007,"method":"ping","params":{{"n":{}}}']
        )
        return ('{"jsonrpc":"2.0",' + where.format(digits + tail) + "}").encode()

    def duplicate_keys(self) -> bytes:
        return b'{"jsonrpc":"2.0","id":10001,"id":10002,"method":"ping","method":"no/such"}'


def wrong_with(line: bytes) -> str:
    """Return the problem of a line as a message of MCP 2025-11-25; "" if it is valid."""
    try:
        message = json.loads(line.decode())
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return "no message"
    number = message.get("id", 0)
    whole_number = isinstance(number, float) and number.is_integer()
    if not (isinstance(number, (int, str)) or whole_number) or isinstance(number, bool):
        return "an odd id"
    if "method" in message:
        return "" if isinstance(message["method"], str) else "an odd method"
    if ("result" in message) == ("error" in message):
        return "not one of result and error"
    if "result" in message:
        return "" if "id" in message and isinstance(message["result"], dict) else "an odd result"
    error = message["error"]
    whole = isinstance(error.get("code"), int) and isinstance(error.get("message"), str)
    return "" if whole else "an odd error"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nonsense(seed: int) -> None:
    """After 1,000 lines of nonsense a good request is answered, and all answers were messages."""
    fuzz = Fuzz(seed)
    async with running(
        {"one": fake()}, server={"max_body_size": LIMIT}, tidy=False, capabilities={"sampling": {}}
    ) as gateway:
        await gateway.invoke("one", "echo", timeout=PATIENCE)
        for _ in range(LINES):
            gateway.send_raw(fuzz.line())
        result = await gateway.invoke("one", "echo", {"text": "still here"}, timeout=PATIENCE)
        assert "still here" == text(result)
        assert {} == {line[:300]: why for line in gateway.raw_lines if (why := wrong_with(line))}
        codes = {message["error"]["code"] for message in gateway.strays if "error" in message}
        assert {-32700, -32600, -32601, -32602} <= codes
        assert -32603 not in codes, [m for m in gateway.strays if m["error"]["code"] == -32603]
        assert "request.crashed" not in gateway.stderr


async def test_nonsense_before_initialize() -> None:
    """Nonsense as the very first lines does not keep a client from initializing afterwards."""
    fuzz = Fuzz(11)
    async with running({"one": fake()}, initialize=False, tidy=False) as gateway:
        for _ in range(200):
            line = fuzz.line()
            if b'"initialize"' not in line:
                gateway.send_raw(line)
        await gateway.initialize(timeout=PATIENCE)
        result = await gateway.invoke("one", "echo", {"text": "hi"}, timeout=PATIENCE)
        assert "hi" == text(result)
        assert {} == {line[:300]: why for line in gateway.raw_lines if (why := wrong_with(line))}


async def reply_to(gateway: Gateway, line: bytes) -> Any:
    """Send a line and return the value on the next line of stdout."""
    before = len(gateway.raw_lines)
    gateway.send_raw(line + b"\n")
    await until(lambda: len(gateway.raw_lines) > before, what="answered")
    return json.loads(gateway.raw_lines[before])


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{", -32700, None),
        (b"not json", -32700, None),
        (b"\xff\xfe\x00", -32700, None),
        (b'{"jsonrpc":"2.0","id":899,"method":"ping"} trailing', -32700, 899),
        (b'{"jsonrpc":"2.0","id":89', -32700, None),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', -32700, None),
        (b"[" * 20_000, -32700, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b"1", -32600, None),
        (b'"text"', -32600, None),
        (b"null", -32600, None),
        (b'{"id":900,"method":"ping"}', -32600, 900),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":901,"method":7}', -32600, 901),
        (b'{"jsonrpc":"2.0","id":902,"method":"ping","params":[1]}', -32602, 902),
        (b'{"jsonrpc":"2.0","id":903}', -32600, 903),
        (b'{"jsonrpc":"2.0","id":"a","method":"no/such"}', -32601, "a"),
        (b'{"jsonrpc":"2.0","id":904,"method":"tools/call"}', -32602, 904),
        (b'{"jsonrpc":"2.0","id":905,"method":"tools/call","params":{"name":"x"}}', -32602, 905),
        (b'{"jsonrpc":"2.0","id":906,"method":"tools/list","params":{"cursor":"x"}}', -32602, 906),
        (b'{"jsonrpc":"2.0","id":907,"method":"resources/read"}', -32602, 907),
        (
            b'{"jsonrpc":"2.0","id":908,"method":"resources/read","params":{"uri":"no:thing"}}',
            -32002,
            908,
        ),
        (b'{"jsonrpc":"2.0","id":909,"method":"prompts/get","params":{"name":"x"}}', -32602, 909),
        (b'{"jsonrpc":"2.0","id":910,"method":"initialize","params":{}}', -32600, 910),
        (b'{"jsonrpc":"2.0","id":911,"method":"server/discover"}', -32602, 911),
    ],
)
async def test_error_codes(line: bytes, code: int, number: object) -> None:
    """Each kind of bad line is answered by its own error, under its id where it has one."""
    async with running({"one": fake()}, tidy=False) as gateway:
        await gateway.request("tools/list", timeout=PATIENCE)
        answer = await reply_to(gateway, line)
        assert code == answer["error"]["code"], answer
        assert number == answer.get("id")
        assert answer["error"]["message"]
        assert {} == await gateway.request("ping")


async def test_messages_over_the_limit() -> None:
    """A line over `server.max_body_size` is refused under its own id, wherever that stands."""
    filling = "x" * 5000
    first = f'{{"jsonrpc":"2.0","id":"big","method":"ping","params":{{"x":"{filling}"}}}}'
    last = f'{{"jsonrpc":"2.0","method":"ping","params":{{"x":"{filling}"}},"id":77}}'
    async with running({"one": fake()}, server={"max_body_size": 2048}, tidy=False) as gateway:
        await gateway.request("tools/list", timeout=PATIENCE)
        for line, number in ((first, "big"), (last, 77)):
            answer = await reply_to(gateway, line.encode())
            assert (-32600, number) == (answer["error"]["code"], answer["id"])
            assert "max_body_size" in answer["error"]["message"]
        result = await gateway.invoke("one", "echo", {"text": "x" * 1000}, timeout=PATIENCE)
        assert 1000 == len(text(result))


async def test_an_id_that_is_still_in_flight() -> None:
    """A second request under the id of a running one is refused; the first goes on."""
    async with running({"one": fake("--tools", "slow")}, tidy=False) as gateway:
        await gateway.invoke("one", "slow", {"seconds": 0}, timeout=PATIENCE)
        given = {"server": "one", "tool": "slow", "arguments": {"seconds": 2}}
        message = {
            "jsonrpc": "2.0",
            "id": 500,
            "method": "tools/call",
            "params": {"name": "gateway_invoke", "arguments": given},
        }
        gateway.send(message)
        answer = await reply_to(gateway, json.dumps(message).encode())
        assert (-32600, 500) == (answer["error"]["code"], answer["id"])

        def results() -> list[Message]:
            return [m for m in gateway.strays if m.get("id") == 500 and "result" in m]

        await until(lambda: bool(results()), what="answered")
        assert ["slept 2"] == [text(message["result"]) for message in results()]
        # Once it is answered, its id may be used again.
        assert {} == await gateway.begin("ping", id=500).result()


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "resources/list", "no/such"])
async def test_requests_before_initialize(method: str) -> None:
    """A request before `initialize` is refused, and `initialize` still works."""
    async with running({"one": fake()}, initialize=False) as gateway:
        with pytest.raises(RpcError, match="initialize") as caught:
            await gateway.request(method, {}, timeout=PATIENCE)
        assert -32600 == caught.value.code
        await gateway.initialize()
        assert (await gateway.request("tools/list"))["tools"]


async def test_discover_before_initialize() -> None:
    """`server/discover` of the stateless era is answered at once, and `initialize` then works."""
    async with running({"one": fake()}, initialize=False) as gateway:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        found = await gateway.request("server/discover", {"_meta": meta}, timeout=PATIENCE)
        assert ["2026-07-28"] == found["supportedVersions"]
        assert "2025-11-25" == (await gateway.initialize())["protocolVersion"]


async def test_a_second_initialize() -> None:
    """`initialize` is refused the second time, and the session goes on."""
    async with running({"one": fake()}) as gateway:
        with pytest.raises(RpcError) as caught:
            await gateway.initialize()
        assert -32600 == caught.value.code
        assert (await gateway.request("tools/list"))["tools"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        ("2099-01-01", "2025-11-25"),
    ],
)
async def test_negotiation(asked: str, answered: str) -> None:
    """A revision that we speak is taken; another one is answered by our newest."""
    async with running({}, initialize=False) as gateway:
        opening = await gateway.initialize(version=asked, timeout=PATIENCE)
        assert answered == opening["protocolVersion"]


async def test_batches_of_2025_03_26() -> None:
    """In the one revision that has them, a batch is answered by an array of its answers."""
    async with running({"one": fake()}, initialize=False, tidy=False) as gateway:
        await gateway.initialize(version="2025-03-26", timeout=PATIENCE)
        batch = [
            {"jsonrpc": "2.0", "id": "a", "method": "ping"},
            {"jsonrpc": "2.0", "method": "notifications/odd"},
            {"jsonrpc": "2.0", "id": "b", "method": "tools/list"},
            {"jsonrpc": "2.0", "id": "c", "method": "no/such"},
            {"jsonrpc": "2.0", "id": "d", "method": "initialize"},
            1,
        ]
        answers = await reply_to(gateway, json.dumps(batch).encode())
        assert isinstance(answers, list)
        by_id = {answer.get("id"): answer for answer in answers}
        assert {"a", "b", "c", "d", None} == set(by_id)
        assert {} == by_id["a"]["result"]
        assert by_id["b"]["result"]["tools"]
        assert -32601 == by_id["c"]["error"]["code"]
        assert -32600 == by_id["d"]["error"]["code"]
        assert -32600 == by_id[None]["error"]["code"]
        # One of notifications alone is not answered; an empty one is an error.
        gateway.send([{"jsonrpc": "2.0", "method": "notifications/odd"}])
        refused = await reply_to(gateway, b"[]")
        assert -32600 == refused["error"]["code"]
