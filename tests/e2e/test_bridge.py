"""One server over another transport, and several clients over one gateway."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import mcp.types as types
import pytest
import trio
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from trio_websocket import open_websocket_url

from tests.e2e.running import until
from tests.support.client import RpcError
from tests.support.driver import fake, open_gateway, pids_in
from tests.support.http_gateway import http_gateway
from tests.support.patience import PATIENCE

pytestmark = [
    pytest.mark.process,
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TOOLS = "echo,progress,ask_elicitation,slow"


async def elicit(_context: Any, _params: Any) -> types.ElicitResult:
    """Answer as a person would."""
    return types.ElicitResult(action="accept", content={"name": "Ada"})


def text(result: Any) -> str:
    """Return the first text of a result."""
    first: str = result.content[0].text
    return first


def command(*words: str) -> list[str]:
    """Return a command of the gateway."""
    return [sys.executable, "-m", "mcpgw", *words]


def stdio(folder: Path, *words: str) -> StdioServerParameters:
    """Return how the official client starts a command of the gateway."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    env = {**inherited, "MCP_GATEWAY_HOME": str(folder / "home")}
    return StdioServerParameters(
        command=sys.executable, args=["-m", "mcpgw", *words], env=env, cwd=str(folder)
    )


def bridging(*flags: str) -> tuple[str, ...]:
    """Return the words of a bridge from a fake server to the network."""
    words = " ".join(fake("--tools", TOOLS))
    return ("bridge", "--stdio", words, "--port", "0", *flags)


class TestFromStdio:
    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    async def test_to_http(self, mode: Any, tmp_path: Path) -> None:
        """The server itself is at /mcp, with its requests and notifications."""
        reports: list[float] = []

        async def progressed(done: float, _total: Any, _message: Any) -> None:
            reports.append(done)

        words = bridging("--to", "http")
        async with http_gateway({}, args=words, folder=tmp_path, config=False) as gateway:
            with trio.fail_after(PATIENCE):
                async with Client(
                    f"{gateway.base}/mcp", mode=mode, elicitation_callback=elicit
                ) as client:
                    assert "fake" == client.server_info.name
                    assert TOOLS.split(",") == [t.name for t in (await client.list_tools()).tools]
                    assert "hi" == text(await client.call_tool("echo", {"text": "hi"}))
                    assert "Ada" in text(await client.call_tool("ask_elicitation", {}))
                    await client.call_tool("progress", {"steps": 2}, progress_callback=progressed)
                    assert [1, 2] == reports

    async def test_to_sse(self, tmp_path: Path) -> None:
        """The older pair of endpoints."""
        words = bridging("--to", "sse")
        async with http_gateway({}, args=words, folder=tmp_path, config=False) as gateway:
            with trio.fail_after(PATIENCE):
                async with (
                    sse_client(f"{gateway.base}/sse") as (read, write),
                    ClientSession(read, write) as session,
                ):
                    await session.initialize()
                    assert "hi" == text(await session.call_tool("echo", {"text": "hi"}))

    async def test_to_websocket(self, tmp_path: Path) -> None:
        """One text frame is one message."""
        words = bridging("--to", "ws")
        async with http_gateway({}, args=words, folder=tmp_path, config=False) as gateway:
            url = f"ws://127.0.0.1:{gateway.port}/ws"
            with trio.fail_after(PATIENCE):
                async with open_websocket_url(url, subprotocols=["mcp"]) as socket:
                    info = {"name": "t", "version": "1"}
                    hello = {
                        "protocolVersion": "2025-11-25",
                        "capabilities": {},
                        "clientInfo": info,
                    }
                    for number, (method, params) in enumerate(
                        [("initialize", hello), ("tools/call", {"name": "echo"})]
                    ):
                        request = {"jsonrpc": "2.0", "id": number, "method": method}
                        await socket.send_message(json.dumps({**request, "params": params}))
                        answer = json.loads(await socket.get_message())
                        assert number == answer["id"]
                    assert "content" in answer["result"]


class TestToStdio:
    @pytest.mark.parametrize(("path", "mode"), [("/mcp/one", "auto"), ("/mcp/one", "legacy"), ("/sse/one", "legacy")])  # fmt: skip  # noqa: E501
    async def test_from_a_url(self, path: str, mode: Any, tmp_path: Path) -> None:
        """A client at stdin reaches a server by its URL, of either transport."""
        async with http_gateway({"one": fake("--tools", TOOLS)}, folder=tmp_path) as gateway:
            words = ("bridge", "--url", f"{gateway.base}{path}", "--to", "stdio")
            with trio.fail_after(PATIENCE):
                async with Client(
                    stdio(tmp_path, *words), mode=mode, elicitation_callback=elicit
                ) as client:
                    assert "hi" == text(await client.call_tool("echo", {"text": "hi"}))
                    assert "Ada" in text(await client.call_tool("ask_elicitation", {}))

    async def test_a_session_that_was_forgotten(self, tmp_path: Path) -> None:
        """The far gateway is restarted in between: the client does not notice."""
        backends = {"one": fake("--tools", TOOLS)}
        async with http_gateway(backends, folder=tmp_path) as first:
            port = first.port
            words = command("bridge", "--url", f"{first.base}/mcp/one", "--to", "stdio")
            async with open_gateway(command=words) as client:
                await client.initialize()
                call = {"name": "echo", "arguments": {"text": "1"}}
                result = await client.request("tools/call", call, timeout=PATIENCE)
                assert "1" == result["content"][0]["text"]
                await first.end()
                again = ("serve", "--mode", "http", "--port", str(port))
                async with http_gateway(backends, args=again, folder=tmp_path):
                    result = await client.request("tools/call", call, timeout=PATIENCE)
                    assert "1" == result["content"][0]["text"]
                assert 0 == await client.end(timeout=PATIENCE)

    async def test_requests_while_the_gateway_is_away(self, tmp_path: Path) -> None:
        """They wait for it; the one in flight when it was killed is answered with an error."""
        backends = {"one": fake("--tools", f"{TOOLS},slow")}
        async with http_gateway(backends, folder=tmp_path) as first:
            port = first.port
            words = command("bridge", "--url", f"{first.base}/mcp/one", "--to", "stdio")
            async with open_gateway(command=words) as client:
                await client.initialize()
                slow = client.begin("tools/call", {"name": "slow", "arguments": {"seconds": 500}})
                call = {"name": "echo", "arguments": {"text": "1"}}
                await client.request("tools/call", call, timeout=PATIENCE)
                first.process.kill()
                await first.process.wait()
                ping = client.begin("ping")
                held = client.begin("tools/call", call)
                again = ("serve", "--mode", "http", "--port", str(port))
                async with http_gateway(backends, args=again, folder=tmp_path):
                    assert {} == await ping.result(timeout=PATIENCE)
                    result = await held.result(timeout=PATIENCE)
                    assert "1" == result["content"][0]["text"]
                    with pytest.raises(RpcError):
                        await slow.result(timeout=PATIENCE)
                assert 0 == await client.end(timeout=PATIENCE)

    async def test_nobody_is_there(self) -> None:
        """The first request is answered by an error that says so, and the exit status is 1."""
        words = command("bridge", "--url", "http://127.0.0.1:9/mcp", "--to", "stdio")
        async with open_gateway(command=words) as client:
            pending = client.begin("initialize", {"protocolVersion": "2025-11-25"})
            assert 1 == await client.wait(timeout=PATIENCE)
            assert pending.answer is not None
            assert "127.0.0.1:9" in pending.answer["error"]["message"]


class TestSharing:
    async def test_five_clients_share_one_set_of_servers(self, tmp_path: Path) -> None:
        """`--mode auto` finds the running gateway, its token too, and starts nothing itself."""
        pids = tmp_path / "pids"
        backend = {"one": fake("--tools", TOOLS, "--pid-file", pids)}
        auth = {"enabled": True, "bearer_token": "auto"}
        async with http_gateway(backend, folder=tmp_path, auth=auth) as gateway:
            text_of = (tmp_path / "gateway.yaml").read_text()
            fixed = json.loads(text_of)
            fixed["server"] = {"port": gateway.port}
            (tmp_path / "near.yaml").write_text(json.dumps(fixed))
            note = tmp_path / "home" / "listening-0.json"
            note.rename(note.with_name(f"listening-{gateway.port}.json"))
            words = ("serve", "--mode", "auto", "-c", str(tmp_path / "near.yaml"))
            done: list[str] = []

            async def use(number: int) -> None:
                async with Client(stdio(tmp_path, *words), mode="legacy") as client:
                    given = {"server": "one", "tool": "echo", "arguments": {"text": str(number)}}
                    done.append(text(await client.call_tool("gateway_invoke", given)))

            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    for number in range(5):
                        nursery.start_soon(use, number)
            assert ["0", "1", "2", "3", "4"] == sorted(done)
            assert 1 == len(pids_in(pids))

    async def test_without_one_it_serves_itself(self, tmp_path: Path) -> None:
        """`--mode auto` without a running gateway is `--mode stdio`."""
        (tmp_path / "gateway.yaml").write_text(
            json.dumps({"server": {"port": 9}, "backends": {"one": {"command": fake()}}})
        )
        words = ("serve", "--mode", "auto", "-c", str(tmp_path / "gateway.yaml"))
        with trio.fail_after(PATIENCE):
            async with Client(stdio(tmp_path, *words), mode="legacy") as client:
                given = {"server": "one", "tool": "echo", "arguments": {"text": "x"}}
                assert "x" == text(await client.call_tool("gateway_invoke", given))

    async def test_stdio_and_http_together(self, tmp_path: Path) -> None:
        """A client at stdin and one by HTTP use the same servers; the first one's end ends all."""
        pids = tmp_path / "pids"
        config = {"backends": {"one": {"command": fake("--tools", TOOLS, "--pid-file", pids)}}}
        path = tmp_path / "both.yaml"
        path.write_text(json.dumps(config))
        words = command("serve", "--mode", "stdio", "--http", "--port", "0", "-c", str(path))
        async with open_gateway(command=words) as first:
            await first.initialize()
            with trio.fail_after(PATIENCE):
                await until(lambda: "http.listening" in first.stderr, what="it listens")
                line = next(li for li in first.stderr.splitlines() if "http.listening" in li)
                url = line.split("url=")[1].split()[0]
                assert (
                    "a" == (await first.invoke("one", "echo", {"text": "a"}))["content"][0]["text"]
                )
                async with Client(url, mode="legacy") as second:
                    given = {"server": "one", "tool": "echo", "arguments": {"text": "b"}}
                    assert "b" == text(await second.call_tool("gateway_invoke", given))
            assert 1 == len(pids_in(pids))
            assert 0 == await first.end(timeout=PATIENCE)
