"""A session over every meta-tool, through the real stdio front; every answer is validated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.e2e.running import running
from tests.support.driver import Gateway, Message, RpcError, example_command, fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

SCHEMA = Path(__file__).parents[3] / "shared/mcp-schema/2025-11-25/schema.json"
SIXTEEN = [
    "gateway_list_servers",
    "gateway_list_tools",
    "gateway_search_tools",
    "gateway_invoke",
    "gateway_get_stats",
    "gateway_cost_report",
    "gateway_run_playbook",
    "gateway_kill_server",
    "gateway_revive_server",
    "gateway_reload_config",
    "gateway_reload_capabilities",
    "gateway_list_disabled_capabilities",
    "gateway_set_profile",
    "gateway_get_profile",
    "gateway_list_profiles",
    "gateway_set_state",
]
PROFILES = {
    "clock": {"description": "Times only", "allow_tools": ["current_time", "convert_time"]},
    "open": {"description": "Everything"},
}
BACKENDS = {
    "example": {"command": example_command(), "description": "Small tools without a network"},
    "fake": {"command": fake("--tools", "echo,fail,counter")},
}
WALK: list[tuple[str, Message]] = [
    ("gateway_list_servers", {}),
    ("gateway_list_tools", {}),
    ("gateway_list_tools", {"server": "example"}),
    ("gateway_list_tools", {"role": "action"}),
    ("gateway_search_tools", {"query": "what time is it", "explain": True}),
    ("gateway_search_tools", {"query": "zzzz qqqq xxxx"}),
    ("gateway_invoke", {"server": "fake", "tool": "echo", "arguments": {"text": "hello"}}),
    ("gateway_invoke", {"server": "gateway", "tool": "gateway_list_servers"}),
    ("gateway_get_stats", {}),
    ("gateway_get_stats", {"price_per_million": 3}),
    ("gateway_cost_report", {}),
    ("gateway_cost_report", {"include_all_sessions": True, "include_all_keys": True}),
    ("gateway_run_playbook", {"name": "gateway-overview"}),
    ("gateway_run_playbook", {"name": "gateway-overview", "dry_run": True}),
    ("gateway_kill_server", {"server": "fake"}),
    ("gateway_revive_server", {"server": "fake"}),
    ("gateway_restart_server", {"server": "fake"}),
    ("gateway_reload_config", {}),
    ("gateway_reload_capabilities", {}),
    ("gateway_list_disabled_capabilities", {}),
    ("gateway_set_profile", {"profile": "clock"}),
    ("gateway_get_profile", {}),
    ("gateway_set_profile", {"profile": "open"}),
    ("gateway_list_profiles", {}),
    ("gateway_set_state", {"state": "checkout"}),
    ("gateway_webhook_status", {}),
    ("gateway_search", {"query": "example:*time*"}),
    ("gateway_execute", {"tool": "fake:echo", "arguments": {"text": "hello"}}),
    (
        "gateway_execute",
        {
            "chain": [
                {"tool": "fake:echo", "arguments": {"text": '{"word": "hello"}'}},
                {"tool": "fake:echo", "arguments": {"text": "$prev.word"}},
            ]
        },
    ),
]


def protocol(definition: str) -> jsonschema_rs.Validator | None:
    """Return what validates a type of the protocol, None where its schema is not there."""
    if not SCHEMA.is_file():
        return None
    schema = json.loads(SCHEMA.read_text("utf-8"))
    return jsonschema_rs.validator_for({**schema, "$ref": f"#/$defs/{definition}"})


def payload(result: Message) -> Any:
    return json.loads(result["content"][0]["text"])


async def names(gateway: Gateway) -> list[str]:
    return [tool["name"] for tool in (await gateway.request("tools/list"))["tools"]]


async def test_a_walk_over_every_meta_tool() -> None:
    """Every answer fits the tool's own output schema and the protocol's; its two forms agree."""
    sections = {
        "routing_profiles": PROFILES,
        "meta_mcp": {"operator_tools": True},
        "webhooks": {"enabled": True},
    }
    list_result, call_result = protocol("ListToolsResult"), protocol("CallToolResult")
    walked: set[str] = set()
    async with running(BACKENDS, **sections) as gateway:
        answer = await gateway.request("tools/list")
        if list_result is not None:
            list_result.validate(answer)
        defined: dict[str, Mapping[str, Any]] = {tool["name"]: tool for tool in answer["tools"]}
        for name, arguments in WALK:
            result = await gateway.call(name, arguments, timeout=PATIENCE)
            walked.add(name)
            assert not result.get("isError"), (name, result)
            if call_result is not None:
                call_result.validate(result)
            if name not in defined:
                assert name in ("gateway_search", "gateway_execute")
                continue
            schema = defined[name].get("outputSchema")
            if schema is not None:
                jsonschema_rs.validator_for(schema).validate(result["structuredContent"])
                assert result["structuredContent"] == payload(result)
        assert set(defined) <= walked
        with pytest.raises(RpcError):
            await gateway.call("gateway_set_profile", {"profile": "opne"})
    if list_result is None:
        pytest.skip("walked, but the protocol's schema is not beside the checkout")


async def test_every_definition_is_whole() -> None:
    """16 tools by default, 17 with webhooks, one more for operators; each with all its parts."""
    async with running(BACKENDS) as gateway:
        tools = (await gateway.request("tools/list"))["tools"]
        assert sorted(SIXTEEN) == sorted(tool["name"] for tool in tools)
        for tool in tools:
            assert tool["title"]
            assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} == set(
                tool["annotations"]
            )
            assert "object" == tool["inputSchema"]["type"]
            if tool["name"] != "gateway_invoke":
                assert tool["outputSchema"]["required"]
    async with running(BACKENDS, webhooks={"enabled": True}) as gateway:
        assert 17 == len(await names(gateway))
    async with running(BACKENDS, meta_mcp={"operator_tools": True}) as gateway:
        assert {"gateway_restart_server"} == set(await names(gateway)) - set(SIXTEEN)
    async with running(BACKENDS, code_mode={"enabled": True}) as gateway:
        assert ["gateway_search", "gateway_execute"] == await names(gateway)


async def test_counts_in_descriptions_are_live() -> None:
    """Descriptions of servers and tools are up to date, also after a change."""
    async with running({"fake": BACKENDS["fake"]}) as gateway:
        await gateway.call("gateway_list_tools", {})
        texts = {
            tool["name"]: tool["description"]
            for tool in (await gateway.request("tools/list"))["tools"]
        }
        assert "3 tools on 1 server" in texts["gateway_search_tools"]
        assert "List the 1 connected server:" in texts["gateway_list_servers"]


async def test_surfaced_tools_are_called_by_their_own_name() -> None:
    """They are in `tools/list` with their schemas; reserved and duplicate names are left out."""
    surfaced = [
        {"server": "fake", "tool": "echo"},
        {"server": "example", "tool": "current_time"},
        {"server": "example", "tool": "no_such_tool"},
        {"server": "fake", "tool": "gateway_invoke"},
        {"server": "example", "tool": "echo"},
    ]
    async with running(BACKENDS, meta_mcp={"surfaced_tools": surfaced}) as gateway:
        await gateway.call("gateway_list_tools", {})
        tools = (await gateway.request("tools/list"))["tools"]
        added = [tool for tool in tools if tool["name"] not in SIXTEEN]
        assert ["echo", "current_time"] == [tool["name"] for tool in added]
        assert {"text": {"type": "string"}} == added[0]["inputSchema"]["properties"]
        result = await gateway.call("echo", {"text": "hello"})
        assert "hello" == result["content"][0]["text"]
        assert result["trace_id"].startswith("gw-")
        with pytest.raises(RpcError, match=r"Unknown tool: ecko\. Did you mean"):
            await gateway.call("ecko", {})


async def test_proposals_of_the_protocol() -> None:
    """`tools/list` with a query, `tools/resolve`, and tools that come into the list by use."""
    async with running(BACKENDS, spec_preview={"enabled": True, "max_promoted": 2}) as gateway:
        found = await gateway.request("tools/list", {"query": "TIME zone"})
        assert "current_time" in {tool["name"] for tool in found["tools"]}
        assert not {tool["name"] for tool in found["tools"]} & set(SIXTEEN)
        tool = (await gateway.request("tools/resolve", {"name": "echo"}))["tool"]
        assert "inputSchema" in tool
        with pytest.raises(RpcError, match="Did you mean: echo"):
            await gateway.request("tools/resolve", {"name": "ecko"})

        await gateway.invoke("fake", "fail", {})
        assert [] == sorted(set(await names(gateway)) - set(SIXTEEN))
        seen = len(gateway.notifications)
        await gateway.invoke("fake", "echo", {"text": "a"})
        await gateway.wait_notification("notifications/tools/list_changed", after=seen)
        assert ["echo"] == sorted(set(await names(gateway)) - set(SIXTEEN))
        assert "b" == (await gateway.call("echo", {"text": "b"}))["content"][0]["text"]
        await gateway.invoke("fake", "counter", {})
        await gateway.invoke("example", "current_time", {"zone": "UTC"})
        assert {"counter", "current_time"} == set(await names(gateway)) - set(SIXTEEN)


async def test_profiles_and_states_shape_what_is_found() -> None:
    """Listing, searching and calling keep to the session's profile and workflow state."""
    backends = {
        "example": {
            **BACKENDS["example"],
            "tools": {"convert_*": {"visible_in_states": ["planning"]}},
        },
        "fake": BACKENDS["fake"],
    }
    async with running(backends, routing_profiles=PROFILES) as gateway:
        await gateway.call("gateway_list_tools", {})

        async def shown() -> set[str]:
            tools = payload(await gateway.call("gateway_list_tools", {}))["tools"]
            return {tool["name"] for tool in tools}

        everything = await shown()
        assert "echo" in everything
        assert "convert_time" not in everything
        state = payload(await gateway.call("gateway_set_state", {"state": "planning"}))
        assert ("default", "planning") == (state["previous"], state["current"])
        assert "convert_time" in await shown()
        assert len(await shown()) == state["visible_tools"]
        await gateway.call("gateway_set_profile", {"profile": "clock"})
        assert {"current_time", "convert_time"} == await shown()
        matches = payload(await gateway.call("gateway_search_tools", {"query": "echo text"}))
        assert {"fake"}.isdisjoint(match["server"] for match in matches["matches"])
        refused = await gateway.invoke("fake", "echo", {"text": "x"})
        assert "NOT_ALLOWED" == refused["recovery"]["error_code"]


async def test_a_profile_by_initialize() -> None:
    """A client may name its routing profile when it shakes hands."""
    async with running(BACKENDS, routing_profiles=PROFILES, initialize=False) as gateway:
        await gateway.request(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
                "profile": "clock",
            },
        )
        gateway.notify("notifications/initialized")
        assert "clock" == payload(await gateway.call("gateway_get_profile", {}))["profile"]


async def test_a_long_answer_is_read_on() -> None:
    """The excess is kept for the session; the pages together are the complete result."""
    backends = {"fake": fake("--tools", "big")}
    async with running(backends, meta_mcp={"result_limit": 5000}) as gateway:
        result = await gateway.invoke("fake", "big", {"bytes": 12_345})
        text, page = result["content"][0]["text"], result["_meta"]["gateway/page"]
        assert 12_345 == page["total"]
        while page.get("next_offset") is not None:
            arguments = {"id": page["id"], "offset": page["next_offset"]}
            result = await gateway.invoke("gateway", "read_result", arguments)
            text += result["content"][0]["text"]
            page = result["_meta"]["gateway/page"]
        assert "x" * 12_345 == text
        with pytest.raises(RpcError, match="r99"):
            await gateway.invoke("gateway", "read_result", {"id": "r99"})


async def test_transforms_change_names_and_answers() -> None:
    """Namespace, filter, rename and response hold for listing, searching, calling and answers."""
    backends = {
        "fake": {
            "command": fake("--tools", "echo,fail,counter"),
            "transform": [
                {"rename": {"echo": "say"}},
                {"namespace": "f"},
                {"filter": {"deny": ["f_counter"]}},
                {"response": {"redact": [{"pattern": "secret-[0-9]+", "replacement": "[x]"}]}},
            ],
        }
    }
    async with running(backends) as gateway:
        tools = payload(await gateway.call("gateway_list_tools", {}))["tools"]
        assert ["f_say", "f_fail"] == [tool["name"] for tool in tools]
        told = await gateway.invoke("fake", "f_say", {"text": "my secret-42"})
        assert "my [x]" == told["content"][0]["text"]
        whole = await gateway.invoke("fake", "f_say", {"text": "my secret-42", "_full": True})
        assert "my [x]" == whole["content"][0]["text"], "what is redacted is hidden from everybody"
        for name in ("echo", "counter", "f_counter"):
            refused = await gateway.invoke("fake", name, {})
            assert "TOOL_NOT_FOUND" == refused["recovery"]["error_code"]
        assert "f_say" in refused["content"][0]["text"] or "f_" in refused["content"][0]["text"]


async def test_restarts_cannot_loop() -> None:
    """An agent may restart a server; after some without a call that succeeds it is refused."""
    async with running(BACKENDS, meta_mcp={"operator_tools": True}) as gateway:
        await gateway.invoke("fake", "counter", {})
        for _ in range(4):
            done = payload(await gateway.call("gateway_restart_server", {"server": "fake"}))
            assert "ready" == done["state"]
        assert 0 == done["restarts_left"]
        with pytest.raises(RpcError, match="too often"):
            await gateway.call("gateway_restart_server", {"server": "fake"})
        result = await gateway.invoke("fake", "counter", {})
        assert "1" == result["content"][0]["text"]
        await gateway.call("gateway_restart_server", {"server": "fake"})


async def test_killing_asks_the_person_where_the_client_can() -> None:
    """A client that declares elicitation is asked first; a no keeps the server."""
    answers = iter([{"action": "decline"}, {"action": "accept", "content": {"confirm": True}}])
    async with running(BACKENDS, capabilities={"elicitation": {}}) as gateway:

        async def reply(_params: Message) -> Message:
            return next(answers)

        gateway.on_request["elicitation/create"] = reply
        with pytest.raises(RpcError, match="Operator declined: kill server 'fake'"):
            await gateway.call("gateway_kill_server", {"server": "fake"})
        done = payload(await gateway.call("gateway_kill_server", {"server": "fake"}))
        assert ("disabled", False) == (done["status"], done["was_already_killed"])
