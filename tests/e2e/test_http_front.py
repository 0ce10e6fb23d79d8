"""The gateway by HTTP: real clients at its own surface and at one server's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import mcp.types as types
import pytest
import trio
from mcp import Client, ClientSession
from mcp.client.sse import sse_client

from tests.e2e.running import until
from tests.support.driver import alive, fake
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.patience import PATIENCE

pytestmark = [
    pytest.mark.process,
    pytest.mark.real,
    # The official client leaves streams to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TOOLS = "echo,slow,progress,log,ask_sampling,ask_elicitation,ask_roots,unknown_fields"
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def text(result: types.CallToolResult) -> str:
    """Return the first text of a result."""
    [content, *_] = result.content
    assert isinstance(content, types.TextContent)
    return content.text


async def sample(_context: Any, _params: Any) -> types.CreateMessageResult:
    """Answer as a model would."""
    said = types.TextContent(type="text", text="Paris")
    return types.CreateMessageResult(role="assistant", content=said, model="test")


async def elicit(_context: Any, _params: Any) -> types.ElicitResult:
    """Answer as a person would."""
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def roots(_context: Any) -> types.ListRootsResult:
    """Tell one folder."""
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])


CALLBACKS: dict[str, Any] = {
    "sampling_callback": sample,
    "elicitation_callback": elicit,
    "list_roots_callback": roots,
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
class TestOfficialClient:
    async def test_the_whole_surface(self, mode: Any, tmp_path: Path) -> None:
        """Meta-tools, and through them a server's tools, what they ask and report."""
        reports: list[float] = []

        async def progressed(done: float, _total: float | None, _message: str | None) -> None:
            reports.append(done)

        async with http_gateway({"one": fake("--tools", TOOLS)}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                async with Client(f"{gateway.base}/mcp", mode=mode, **CALLBACKS) as client:
                    names = [tool.name for tool in (await client.list_tools()).tools]
                    assert "gateway_invoke" in names

                    async def invoke(tool: str, **arguments: Any) -> types.CallToolResult:
                        given = {"server": "one", "tool": tool, "arguments": arguments}
                        result = await client.call_tool(
                            "gateway_invoke", given, progress_callback=progressed
                        )
                        assert isinstance(result, types.CallToolResult)
                        return result

                    assert "hi" == text(await invoke("echo", text="hi"))
                    assert "3 steps" == text(await invoke("progress", steps=3))
                    assert [1, 2, 3] == reports
                    assert "Paris" in text(await invoke("ask_sampling"))
                    assert "Ada" in text(await invoke("ask_elicitation"))
                    assert "file:///home/ada" in text(await invoke("ask_roots"))

    async def test_one_servers_own_face(self, mode: Any, tmp_path: Path) -> None:
        """Its name, tools, resources, prompts and completion are there as if it were alone."""
        async with http_gateway({"one": fake("--tools", TOOLS)}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                async with Client(f"{gateway.base}/mcp/one", mode=mode, **CALLBACKS) as client:
                    assert "fake" == client.server_info.name
                    names = [tool.name for tool in (await client.list_tools()).tools]
                    assert TOOLS.split(",") == names
                    result = await client.call_tool("echo", {"text": "hi"})
                    assert isinstance(result, types.CallToolResult)
                    assert "hi" == text(result)
                    assert "Ada" in text(await client.call_tool("ask_elicitation", {}))  # type: ignore[arg-type]
                    found = (await client.list_resources()).resources
                    assert ["fake://one", "fake://two"] == [str(each.uri) for each in found]
                    assert (await client.read_resource("fake://one")).contents
                    assert ["greet"] == [p.name for p in (await client.list_prompts()).prompts]


async def test_the_older_pair_of_endpoints(tmp_path: Path) -> None:
    """HTTP+SSE serves the official client, for the whole and for one server."""
    async with http_gateway({"one": fake("--tools", TOOLS)}, folder=tmp_path) as gateway:
        for path, wanted in (("/sse", "gateway_invoke"), ("/sse/one", "echo")):
            with trio.fail_after(PATIENCE):
                async with (
                    sse_client(f"{gateway.base}{path}") as (read, write),
                    ClientSession(read, write) as session,
                ):
                    await session.initialize()
                    names = [tool.name for tool in (await session.list_tools()).tools]
                    assert wanted in names


async def post(
    client: httpx.AsyncClient, gateway: HttpGateway, path: str, message: Any, **headers: str
) -> httpx.Response:
    """POST one message."""
    return await client.post(f"{gateway.base}{path}", json=message, headers={**JSON, **headers})


def request(method: str, number: int = 1, **params: Any) -> dict[str, Any]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


HELLO = request(
    "initialize",
    protocolVersion="2025-11-25",
    capabilities={},
    clientInfo={"name": "test", "version": "1"},
)


class TestSessions:
    async def test_a_session_from_begin_to_end(self, tmp_path: Path) -> None:
        """It is minted at `initialize`, needed afterwards, and gone after DELETE."""
        async with http_gateway({"one": fake()}, folder=tmp_path) as gateway, httpx.AsyncClient(
            trust_env=False
        ) as client:  # fmt: skip
            begun = await post(client, gateway, "/mcp", HELLO)
            session = {"mcp-session-id": begun.headers["mcp-session-id"]}
            listing = request("tools/list", 2)
            alone = await post(client, gateway, "/mcp", listing)
            assert "gateway_invoke" in {each["name"] for each in alone.json()["result"]["tools"]}
            spoken = {"mcp-protocol-version": "2025-11-25"}
            assert 400 == (await post(client, gateway, "/mcp", listing, **spoken)).status_code
            assert 200 == (await post(client, gateway, "/mcp", listing, **session)).status_code
            assert 404 == (await post(client, gateway, "/mcp/one", listing, **session)).status_code
            forged = {"mcp-session-id": "x" * 32}
            assert 404 == (await post(client, gateway, "/mcp", listing, **forged)).status_code
            ended = await client.delete(f"{gateway.base}/mcp", headers=session)
            assert 204 == ended.status_code
            assert 404 == (await post(client, gateway, "/mcp", listing, **session)).status_code

    async def test_unknown_and_broken_servers(self, tmp_path: Path) -> None:
        """A server that is not there, or does not start, is an error that says so."""
        broken = {"command": ["no-such-program-anywhere"]}
        backends = {"one": fake(), "bad": broken}
        async with (
            http_gateway(backends, folder=tmp_path) as gateway,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            missing = await post(client, gateway, "/mcp/oen", HELLO)
            assert 404 == missing.status_code
            assert "one" in missing.json()["error"]["message"]
            failed = await post(client, gateway, "/mcp/bad", HELLO)
            assert 503 == failed.status_code
            assert "no-such-program-anywhere" in failed.json()["error"]["message"]
            health = await client.get(f"{gateway.base}/health")
            assert (200, "degraded") == (health.status_code, health.json()["status"])

    async def test_a_server_of_its_own_for_each_session(self, tmp_path: Path) -> None:
        """With `scope: session` every session has its own process, which ends with it."""
        pids = tmp_path / "pids"
        backend = {"command": fake("--tools", "echo", "--pid-file", pids), "scope": "session"}
        async with http_gateway({"one": backend}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                async with Client(f"{gateway.base}/mcp/one", mode="legacy") as first:
                    await first.call_tool("echo", {"text": "1"})
                    async with Client(f"{gateway.base}/mcp/one", mode="legacy") as second:
                        await second.call_tool("echo", {"text": "2"})
                        mine = pids.read_text().split()
                        assert 2 == len(mine)
                    await until(lambda: not alive(int(mine[1])), what="the second has ended")
                    result = await first.call_tool("echo", {"text": "3"})
                    assert isinstance(result, types.CallToolResult)
                    assert "3" == text(result)
                    assert mine == pids.read_text().split()


async def test_a_token(tmp_path: Path) -> None:
    """With a token only /health answers without it; `auto` prints one at the start."""
    auth = {"enabled": True, "bearer_token": "auto"}
    async with http_gateway({"one": fake()}, folder=tmp_path, auth=auth) as gateway:
        line = next(each for each in gateway.log.splitlines() if "bearer token" in each)
        token = line.split()[-1]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert 401 == (await post(client, gateway, "/mcp", HELLO)).status_code
            wrong = {"authorization": f"Bearer {token}x"}
            assert 401 == (await post(client, gateway, "/mcp", HELLO, **wrong)).status_code
            right = {"authorization": f"Bearer {token}"}
            assert 200 == (await post(client, gateway, "/mcp", HELLO, **right)).status_code
            assert 200 == (await client.get(f"{gateway.base}/health")).status_code


async def test_a_tool_as_a_rest_route(tmp_path: Path) -> None:
    """`/openapi/NAME` has a document, and each tool is a POST route that calls it."""
    async with (
        http_gateway({"one": fake()}, folder=tmp_path) as gateway,
        httpx.AsyncClient(trust_env=False, base_url=gateway.base) as client,
    ):
        document = (await client.get("/openapi/one/openapi.json")).json()
        assert ["/echo"] == list(document["paths"])
        answer = await client.post("/openapi/one/echo", json={"text": "hi"})
        assert (200, "hi") == (answer.status_code, json.loads(answer.text)["text"])
        for wrong in (False, 5, None, ["hi"], {"a": "hi"}):
            refused = await client.post("/openapi/one/echo", json={"text": wrong})
            assert 400 == refused.status_code, "values of a wrong type must not be converted"
            assert "must be a string" in refused.json()["detail"]
        assert 404 == (await client.post("/openapi/one/none", json={})).status_code
