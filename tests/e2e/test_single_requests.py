"""Requests without a session: what one client does reaches no other."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.support.driver import fake
from tests.support.fakes import yaml_config
from tests.support.http_gateway import http_gateway
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

STATELESS = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
PROFILES = {"narrow": {"allow_tools": ["slow"]}, "wide": {"description": "All"}}


@attrs.define
class Script:
    """A client without a session. `era` is how its requests look."""

    client: httpx.AsyncClient
    era: str

    async def ask(self, name: str, headers: dict[str, str] | None = None, **arguments: Any) -> Any:
        """Call a tool of the gateway; return its result or its error."""
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        sent = {"content-type": "application/json", **(headers or {})}
        if self.era == "stateless":
            params["_meta"] = STATELESS
            sent["mcp-protocol-version"] = "2026-07-28"
            sent["mcp-method"] = "tools/call"
            sent["mcp-name"] = name
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        response = await self.client.post("/mcp", json=message, headers=sent)
        assert response.headers["content-type"].startswith("application/json")
        answer = response.json()
        return answer.get("result") or answer["error"]

    async def invoke(self, tool: str, headers: dict[str, str] | None = None, **given: Any) -> Any:
        """Call a tool of the one server."""
        arguments = {"server": "one", "tool": tool, "arguments": given}
        return await self.ask("gateway_invoke", headers, **arguments)


@pytest.fixture(params=["plain", "stateless"])
def era(request: pytest.FixtureRequest) -> str:
    """Give the form of the requests: that of a script, or with the terms of MCP 2026-07-28."""
    return str(request.param)


@asynccontextmanager
async def script(folder: Path, era: str, **sections: Any) -> AsyncIterator[Script]:
    """Run a gateway with one server, and a client."""
    backends = {"one": fake("--tools", "echo,slow,big,counter")}
    async with http_gateway(backends, folder=folder, **sections) as gateway:
        with trio.fail_after(PATIENCE):
            async with httpx.AsyncClient(
                trust_env=False, base_url=gateway.base, timeout=PATIENCE
            ) as client:
                yield Script(client, era)


class TestState:
    async def test_limits_of_a_session_count_one_request(self, tmp_path: Path, era: str) -> None:
        """`max_calls` and `max_duration` are not quotas for the life of the gateway."""
        limits = {"max_calls": 2, "max_duration": "300ms"}
        sandbox = {"default_profile": "short", "profiles": {"short": limits}}
        async with script(tmp_path, era, sandbox=sandbox) as client:
            for _ in range(4):
                result = await client.invoke("echo", text="hi")
                assert "hi" == result["content"][0]["text"], result
                await trio.sleep(0.1)

    async def test_a_profile_is_for_one_request(self, tmp_path: Path, era: str) -> None:
        """`gateway_set_profile` changes nothing for others and says what to do instead."""
        async with script(tmp_path, era, routing_profiles=PROFILES) as client:
            refused = await client.ask("gateway_set_profile", profile="narrow")
            assert "X-MCP-Profile: narrow" in refused["message"]
            refused = await client.ask("gateway_set_state", state="checkout")
            assert "initialize" in refused["message"]

            narrow = {"x-mcp-profile": "narrow"}
            denied = await client.invoke("echo", narrow, text="hi")
            assert "NOT_ALLOWED" == denied["recovery"]["error_code"]
            shown = await client.ask("gateway_get_profile", narrow)
            assert "narrow" == shown["structuredContent"]["profile"]
            allowed = await client.invoke("echo", text="hi")
            assert "hi" == allowed["content"][0]["text"]

    async def test_costs_and_sequences_are_those_of_one_request(
        self, tmp_path: Path, era: str
    ) -> None:
        """The report of a session has only its own calls; no sequence joins two requests."""
        async with script(tmp_path, era) as client:
            for _ in range(4):
                result = await client.invoke("echo", text="hi")
            assert "predicted_next" not in result
            report = (await client.ask("gateway_cost_report"))["structuredContent"]
            assert 0 == report["session"]["call_count"]
            assert 4 == report["aggregate"]["total_calls"]

    async def test_promoted_tools_are_listed_for_nobody_else(
        self, tmp_path: Path, era: str
    ) -> None:
        """A used tool joins the list of its own session only."""
        async with script(tmp_path, era, spec_preview={"enabled": True}) as client:
            await client.invoke("echo", text="hi")
            unknown = await client.ask("echo", text="hi")
            assert "Unknown tool" in unknown["message"]

    async def test_long_results_are_read_on_by_their_id_alone(
        self, tmp_path: Path, era: str
    ) -> None:
        """The next page is there for who has the id, and an error tells no id of others."""
        async with script(tmp_path, era, meta_mcp={"result_limit": 1000}) as client:
            first = await client.invoke("big", bytes=2500)
            place = first["_meta"]["gateway/page"]
            assert len(place["id"]) > 20
            pages = [first["content"][0]["text"]]
            while place["next_offset"] is not None:
                given = {"id": place["id"], "offset": place["next_offset"]}
                read = {"server": "gateway", "tool": "read_result", "arguments": given}
                page = await client.ask("gateway_invoke", **read)
                place = page["_meta"]["gateway/page"]
                pages.append(page["content"][0]["text"])
            assert place["total"] == len("".join(pages)) >= 2500

            guess = {"server": "gateway", "tool": "read_result", "arguments": {"id": "r1"}}
            unknown = await client.ask("gateway_invoke", **guess)
            assert "Unknown result 'r1'" in unknown["message"]
            assert place["id"] not in unknown["message"]

    async def test_a_server_per_session_keeps_its_process(self, tmp_path: Path, era: str) -> None:
        """`scope: session` has one process for the requests of a caller: their state is kept."""
        one = {"command": fake("--tools", "counter"), "scope": "session"}
        async with http_gateway({"one": one}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                async with httpx.AsyncClient(trust_env=False, base_url=gateway.base) as http:
                    client = Script(http, era)
                    said = [(await client.invoke("counter"))["content"][0] for _ in range(2)]
                    assert said[0]["text"] != said[1]["text"]


async def test_the_profile_of_a_server_is_that_of_its_latest_process(
    tmp_path: Path,
) -> None:
    """A server that is replaced by a reload is presented by its own name, not by the old one's."""

    def server(name: str) -> dict[str, Any]:
        script = (
            "import sys, json\n"
            "for line in sys.stdin:\n"
            "    message = json.loads(line)\n"
            "    if 'id' not in message: continue\n"
            "    result = {'tools': []}\n"
            "    if message['method'] == 'initialize':\n"
            "        result = {'protocolVersion': '2025-11-25', 'capabilities': {},\n"
            f"                  'serverInfo': {{'name': '{name}', 'version': '1'}}}}\n"
            "    print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result}),"
            " flush=True)\n"
        )
        return {"command": [sys.executable, "-c", script]}

    params = {"_meta": STATELESS}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    async with (
        http_gateway({"one": server("before")}, folder=tmp_path) as gateway,
        httpx.AsyncClient(trust_env=False, base_url=gateway.base) as http,
    ):

        async def name() -> str:
            response = await http.post("/mcp/one", json=message, headers=headers)
            meta = response.json()["result"]["_meta"]
            return str(meta["io.modelcontextprotocol/serverInfo"]["name"])

        assert "before" == await name()
        path = tmp_path / "gateway.yaml"
        path.write_text(yaml_config({"one": server("after")}, mark=gateway.mark))
        with trio.fail_after(PATIENCE):
            while await name() == "before":  # noqa: ASYNC110 - nothing announces the reload
                await trio.sleep(0.1)
            assert "after" == await name()
