"""The example server, driven over its pipes as any MCP server is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mcpgw.example.arithmetic import evaluate
from mcpgw.example.kit import ToolError
from tests.support.driver import Gateway, RpcError, example_command, open_gateway

pytestmark = pytest.mark.process

CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # Tool: arguments, and what the structured content holds among other things.
    "current_time": ({"zone": "+05:30"}, {"zone": "+05:30"}),
    "convert_time": (
        {"time": "2026-11-23T23:30", "from_zone": "UTC", "to_zone": "+05:45"},
        {
            "from": "2026-11-23T23:30:00+00:00",
            "to": "2026-11-24T05:15:00+05:45",
            "weekday": "Tuesday",
            "hours_ahead": 5.75,
        },
    ),
    "add_to_date": (
        {"date": "2027-12-31", "months": 2, "days": -1},
        {"date": "2028-02-28", "weekday": "Monday", "days_between": 59},
    ),
    "count_words": (
        {"text": "It's one line.\nAnd another one!"},
        {
            "words": 6,
            "characters": 31,
            "characters_without_spaces": 26,
            "sentences": 2,
            "lines": 2,
            "reading_minutes": 0.0,
        },
    ),
    "slugify": ({"text": "Crème Brûlée: 3 Straßen!"}, {"slug": "creme-brulee-3-strassen"}),
    "change_case": (
        {"text": "getHTTPResponse code", "style": "snake"},
        {"text": "get_http_response_code"},
    ),
    "compare_texts": ({"before": "a\nb", "after": "a\nc"}, {}),
    "extract_links": (
        {"text": "Write to a.b@example.org or see (https://example.org/x?y=1). a.b@example.org"},
        {"emails": ["a.b@example.org"], "urls": ["https://example.org/x?y=1"]},
    ),
    "calculate": ({"expression": "(3 + 4) * 2 ** 10"}, {"value": 7168}),
    "summarize_numbers": (
        {"numbers": [1, 2, 3, 6]},
        {"count": 4, "sum": 12, "mean": 3, "median": 2.5, "smallest": 1, "largest": 6},
    ),
    "convert_units": (
        {"value": 70, "from_unit": "fahrenheit", "to_unit": "C"},
        {"value": 21.1111111111, "unit": "C", "quantity": "temperature"},
    ),
    "encode_text": ({"text": "grüße", "code": "base64url"}, {"text": "Z3LDvMOfZQ"}),
    "decode_text": ({"text": "Z3LDvMOfZQ", "code": "base64url"}, {"text": "grüße"}),
    "hash_text": (
        {"text": "abc"},
        {
            "algorithm": "sha256",
            "digest": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        },
    ),
    "make_uuid": ({"count": 2}, {}),
    "remember_note": ({"title": " Milk ", "text": "two"}, {"title": "Milk", "replaced": False}),
    "recall_note": ({"title": "milk"}, {"title": "Milk", "text": "two"}),
    "list_notes": ({}, {"titles": ["Milk"]}),
    "count_slowly": ({"to": 3, "pause": 0}, {"counted_to": 3}),
}

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
}


def fits(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    """Return whether an object has exactly the properties of a flat schema, with their types."""
    properties = schema["properties"]
    return set(schema["required"]) <= set(value) <= set(properties) and all(
        isinstance(item, KINDS[properties[name]["type"]]) for name, item in value.items()
    )


async def error_text(server: Gateway, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool that must fail, and return its error text."""
    result = await server.call(tool, arguments)
    assert result["isError"] is True
    text: str = result["content"][0]["text"]
    return text


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_handshake(version: str) -> None:
    """The server speaks every legacy revision, and exits with 0 when stdin ends."""
    async with open_gateway(command=example_command()) as server:
        with pytest.raises(RpcError) as caught:
            await server.request("server/discover")
        assert -32601 == caught.value.code
        result = await server.initialize(version=version)
        assert version == result["protocolVersion"]
        assert {"tools": {}, "resources": {}, "prompts": {}, "logging": {}} == result[
            "capabilities"
        ]
        assert {} == await server.request("ping")
        assert 0 == await server.end()
        assert ([], [], "") == (server.garbage, server.strays, server.stderr)


async def test_unknown_version_is_countered() -> None:
    """A version that the server does not know is answered with its newest."""
    async with open_gateway(command=example_command()) as server:
        assert "2025-11-25" == (await server.initialize(version="1999-01-01"))["protocolVersion"]


async def test_definitions() -> None:
    """Each tool has a title, a description, described parameters and all four hints."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        tools = (await server.request("tools/list"))["tools"]
        assert set(CALLS) == {tool["name"] for tool in tools}
        for tool in tools:
            assert tool["title"]
            assert tool["description"].endswith(".")
            schema = tool["inputSchema"]
            assert "object" == schema["type"]
            assert all(item["description"] for item in schema["properties"].values())
            assert set(schema["required"]) <= set(schema["properties"])
            hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
            assert hints | {"title"} == set(tool["annotations"])
        writers = [t["name"] for t in tools if not t["annotations"]["readOnlyHint"]]
        assert ["remember_note"] == writers


async def test_every_tool_answers() -> None:
    """Each tool works as described, and its structured content matches its outputSchema."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        tools = {tool["name"]: tool for tool in (await server.request("tools/list"))["tools"]}
        for name, (arguments, expected) in CALLS.items():
            result = await server.call(name, arguments)
            assert "isError" not in result, result
            if "outputSchema" in tools[name]:
                content = result["structuredContent"]
                assert fits(tools[name]["outputSchema"], content), content
                assert expected == {key: content[key] for key in expected}
        diff = await server.call("compare_texts", CALLS["compare_texts"][0])
        assert "--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n+c" == diff["content"][0]["text"]
        uuids = (await server.call("make_uuid", {"count": 3}))["structuredContent"]["uuids"]
        assert 3 == len(set(uuids))


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("slugify", {}, "'text' is missing"),
        ("slugify", {"txt": "a"}, "Did you mean 'text'?"),
        ("list_notes", {"x": 1}, "This tool has no arguments"),
        ("slugify", {"text": 5}, "must be a string, not 5"),
        ("slugify", {"text": "\ud800"}, "surrogate"),
        ("slugify", {"text": "日本"}, "The slug would be empty"),
        ("count_slowly", {"to": True}, "a whole number, not true"),
        ("count_slowly", {"to": 1.5}, "a whole number, not 1.5"),
        ("count_slowly", {"to": 0}, "at least 1, not 0"),
        ("hash_text", {"text": "a", "algorithm": "crc"}, "one of sha256"),
        ("summarize_numbers", {"numbers": []}, "at least 1 item"),
        ("summarize_numbers", {"numbers": [1, "2"]}, "item 1 must be a number"),
        ("summarize_numbers", {"numbers": [float("inf")]}, "between -1e300 and 1e300"),
        ("current_time", {"zone": "Atlantis/Centre"}, "Unknown time zone"),
        (
            "convert_time",
            {"time": "noon", "from_zone": "UTC", "to_zone": "UTC"},
            "Invalid time 'noon'",
        ),
        ("add_to_date", {"date": "9999-12-31", "days": 1}, "years 1 to 9999"),
        ("convert_units", {"value": 1, "from_unit": "mile", "to_unit": "kg"}, "measures length"),
        ("convert_units", {"value": 1, "from_unit": "kilometer", "to_unit": "milez"}, "miles"),
        ("convert_units", {"value": 1, "from_unit": "Mg", "to_unit": "kg"}, "Unknown unit 'Mg'"),
        ("convert_units", {"value": -1, "from_unit": "K", "to_unit": "C"}, "below absolute zero"),
        ("decode_text", {"text": "%%%"}, "Invalid base64"),
        ("decode_text", {"text": "ff", "code": "hex"}, "not UTF-8 text"),
        ("recall_note", {"title": "x"}, "Notes: none yet"),
        ("calculate", {"expression": "1/0"}, "divides by zero"),
    ],
)
async def test_bad_arguments(tool: str, arguments: dict[str, Any], words: str) -> None:
    """Invalid arguments give an error result with advice, not a protocol error."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        assert words in await error_text(server, tool, arguments)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "nope"}, -32602),
        ("tools/call", {"name": "list_notes", "arguments": []}, -32602),
        ("tools/list", {"cursor": "x"}, -32602),
        ("resources/read", {"uri": "example://nope"}, -32002),
        ("resources/read", {}, -32602),
        ("prompts/get", {"name": "nope"}, -32602),
        ("prompts/get", {"name": "tidy_text"}, -32602),
        ("logging/setLevel", {"level": "loud"}, -32602),
        ("no/method", {}, -32601),
    ],
)
async def test_protocol_errors(method: str, params: dict[str, Any], code: int) -> None:
    """An error in a request, rather than in a tool, is a JSON-RPC error."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        with pytest.raises(RpcError) as caught:
            await server.request(method, params)
        assert code == caught.value.code
        if code == -32002:
            assert {"uri": params["uri"]} == caught.value.data


async def test_garbage_is_answered_and_survived() -> None:
    """Lines that are no request get -32700 or -32600, and the next request its answer."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        server.send_raw(b'\n\r\n{"jsonrpc":\n[]\n{"jsonrpc":"2.0","id":null,"method":"ping"}\n')
        server.notify("notifications/unknown")
        assert {} == await server.request("ping")
        assert [-32700, -32600, -32600] == [answer["error"]["code"] for answer in server.strays]


async def test_batches_of_the_one_revision_that_has_them() -> None:
    """A batch is answered by a batch under 2025-03-26, notifications left out."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize(version="2025-03-26")
        ping = {"jsonrpc": "2.0", "method": "ping"}
        count = {"name": "count_slowly", "arguments": {"to": 1, "pause": 0}}
        server.send(
            [
                {**ping, "id": "a"},
                {"jsonrpc": "2.0", "method": "notifications/x"},
                {"jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": count},
            ]
        )
        assert {} == await server.request("ping")
        batch = server.garbage[0]  # To the driver of newer revisions, an array is garbage.
        assert batch.startswith(
            b'[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","id":"b"'
        )


async def test_progress() -> None:
    """Progress comes with the token that was given, grows, and ends with the answer."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        arguments = {"to": 3, "pause": 0.01}
        await server.call("count_slowly", arguments)
        assert [] == server.notifications
        await server.call("count_slowly", arguments, meta={"progressToken": "t"})
        seen = [message["params"] for message in server.notifications]
        assert [("t", 1, 3), ("t", 2, 3), ("t", 3, 3)] == [
            (each["progressToken"], each["progress"], each["total"]) for each in seen
        ]


async def test_cancellation() -> None:
    """A cancelled call gets no answer, others are answered meanwhile, and stdin ends it too."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        await server.request("logging/setLevel", {"level": "info"})
        pending = server.begin_call("count_slowly", {"to": 1000, "pause": 60})
        assert {} == await server.request("ping")
        server.cancel(pending)
        params = await server.wait_notification("notifications/message")
        assert {"event": "call cancelled", "tool": "count_slowly"} == params["data"]
        server.begin_call("count_slowly", {"to": 1000, "pause": 60})
        assert 0 == await server.end()
        assert not pending.answered


async def test_log_level() -> None:
    """Log messages come from the level on that was set, and none of them before."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        note = {"title": "a", "text": "b"}
        await server.call("remember_note", note)
        assert [] == server.notifications
        assert {} == await server.request("logging/setLevel", {"level": "info"})
        await server.call("remember_note", note)
        assert ["info"] == [message["params"]["level"] for message in server.notifications]


async def test_resources() -> None:
    """The two resources and any note by the template can be read."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        await server.call("remember_note", {"title": "To do", "text": "rest"})
        resources = (await server.request("resources/list"))["resources"]
        assert ["example://guide", "example://notes"] == [item["uri"] for item in resources]
        templates = (await server.request("resources/templates/list"))["resourceTemplates"]
        assert ["example://notes/{title}"] == [item["uriTemplate"] for item in templates]
        guide = await server.request("resources/read", {"uri": "example://guide"})
        assert all(f"`{tool}`" in guide["contents"][0]["text"] for tool in CALLS)
        notes = await server.request("resources/read", {"uri": "example://notes"})
        assert '[{"title": "To do", "text": "rest"}]' == notes["contents"][0]["text"]
        note = await server.request("resources/read", {"uri": "example://notes/to%20do"})
        assert "rest" == note["contents"][0]["text"]


async def test_prompts() -> None:
    """Both prompts are listed and put their arguments into the message."""
    async with open_gateway(command=example_command()) as server:
        await server.initialize()
        prompts = (await server.request("prompts/list"))["prompts"]
        assert ["tidy_text", "plan_meeting"] == [prompt["name"] for prompt in prompts]
        for name, arguments in (
            ("tidy_text", {"text": "teh end", "tone": "formal"}),
            ("plan_meeting", {"zones": "Asia/Tokyo, UTC", "date": "2026-12-01"}),
        ):
            answer = await server.request("prompts/get", {"name": name, "arguments": arguments})
            text = answer["messages"][0]["content"]["text"]
            assert all(value in text for value in arguments.values())


def test_clocks_that_go_forward() -> None:
    """A local time that the clocks skip is refused; the hour after is converted."""
    zoneinfo = pytest.importorskip("zoneinfo")
    if "Europe/Berlin" not in zoneinfo.available_timezones():
        pytest.skip("this machine has no time zone data")
    from mcpgw.example.kit import Call
    from mcpgw.example.tools_time import convert_time

    def convert(time: str) -> object:
        given: dict[str, object] = {"time": time, "from_zone": "Europe/Berlin", "to_zone": "UTC"}
        call = Call(given, notify=lambda method, params: None, log=lambda level, data: None)
        return convert_time(call)["to"]

    assert "2026-03-29T01:30:00+00:00" == convert("2026-03-29T03:30")
    with pytest.raises(ToolError, match="does not exist"):
        convert("2026-03-29T02:30")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+3*4", 14),
        (" -(2 + 3) % 4 ", 3),
        ("2^10", 1024),
        ("7//2 + 1/4", 3.25),
        ("10**100 + 1", 10**100 + 1),
        ("max(1, 2, sqrt(9))", 3),
        ("round(pi, 2)", 3.14),
        ("round(2.5) + floor(-0.5)", 1),
        ("0 ** 0", 1),
    ],
)
def test_arithmetic(expression: str, value: float) -> None:
    """Expressions have the value that Python would give them."""
    assert value == evaluate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "9**9**9",
        "2**0.5**-99999",
        "1e308",
        "1e200 * 1e200",
        "exp(1000)",
        "(-8) ** 0.5",
        "sqrt(-1)",
        "log(0)",
        "1 if 1 else 2",
        "'a' * 3",
        "True + 1",
        "1j",
        "x",
        "().__class__",
        "__import__('os').system('true')",
        "max(1)",
        "round(1, 1.5)",
        "abs(x=1)",
        "[1 for _ in (1,)]",
        "1 << 9",
        "(" * 300 + ")" * 300,
        "-" * 499 + "1" * 2,
        "1" * 400,
        "1;2",
        "lambda: 1",
        "\x00",
    ],
)
def test_arithmetic_refuses_all_else(expression: str) -> None:
    """Whatever is not small arithmetic is refused with a reason, and nothing is executed."""
    with pytest.raises(ToolError, match=r"\w+ \w+"):
        evaluate(expression)


async def test_only_the_standard_library(tmp_path: Path) -> None:
    """The server starts without any installed package, so without the gateway's own."""
    code = (
        "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
        "runpy.run_module('mcpgw.example', run_name='__main__')"
    )
    source = str(Path(__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", code, source]
    async with open_gateway(command=command, cwd=tmp_path) as server:
        assert "example" == (await server.initialize())["serverInfo"]["name"]
        for name, (arguments, _) in CALLS.items():
            assert "isError" not in await server.call(name, arguments)
