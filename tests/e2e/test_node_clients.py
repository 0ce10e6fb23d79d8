"""Clients that are not Python: the official TypeScript client and the Inspector's command line,
and FastMCP's client, over every transport."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from fastmcp import Client as FastClient
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport

from tests.conftest import NPM, node22
from tests.support.driver import fake, yaml_config
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.process, pytest.mark.real]

CLIENT = Path(__file__).parents[1] / "support" / "node" / "client.mjs"
INVOKE = {"server": "one", "tool": "echo", "arguments": {"text": "hi"}}
WAYS = ("stdio", "http", "sse")


def stdio_command(folder: Path) -> list[str]:
    """Return how a client starts a gateway of its own."""
    path = folder / "own.yaml"
    path.write_text(yaml_config({"one": fake()}))
    return [sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio", "-c", str(path)]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of such a client."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    return {**inherited, "MCP_GATEWAY_HOME": str(folder / "home")}


def address(gateway: HttpGateway, way: str, server: str = "") -> str:
    """Return where a client finds the gateway, or one server of it."""
    path = "/sse" if way == "sse" else "/mcp"
    return gateway.base + path + (f"/{server}" if server else "")


async def output(words: list[str], folder: Path, **env: str) -> Any:
    """Run a program and return the JSON that it prints last."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            words, capture_stdout=True, capture_stderr=True, check=False, cwd=folder,
            env={**environment(folder), **env}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    assert 0 == done.returncode, done.stdout.decode() + done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", WAYS)
async def test_the_typescript_client(way: str, tmp_path: Path) -> None:
    """It lists and calls on the whole gateway, and by network on one server's endpoint."""
    node = node22()
    sdk = str(NPM / "sdk")
    async with http_gateway({"one": fake()}, folder=tmp_path) as gateway:
        target = json.dumps(stdio_command(tmp_path)) if way == "stdio" else address(gateway, way)
        words = [node, str(CLIENT), way, target, "gateway_invoke", json.dumps(INVOKE)]
        said = await output(words, tmp_path, SDK=sdk)
        assert "mcp-gateway" == said["server"]
        assert "gateway_search_tools" in said["tools"]
        assert "hi" == said["result"]["content"][0]["text"]
        if way != "stdio":
            own = [node, str(CLIENT), way, address(gateway, way, "one"), "echo", '{"text": "yo"}']
            said = await output(own, tmp_path, SDK=sdk)
            assert ("fake", ["echo"]) == (said["server"], said["tools"])
            assert "yo" == said["result"]["content"][0]["text"]


@pytest.mark.parametrize("way", WAYS)
async def test_the_inspector(way: str, tmp_path: Path) -> None:
    """Its command line lists and calls tools."""
    node = node22()
    inspector = NPM / "inspector"
    program = (
        inspector / json.loads((inspector / "package.json").read_text())["bin"]["mcp-inspector"]
    )
    async with http_gateway({"one": fake()}, folder=tmp_path) as gateway:
        where = stdio_command(tmp_path)
        if way != "stdio":
            where = [address(gateway, way), "--transport", way]
        else:
            config = {"mcpServers": {"gw": {"command": where[0], "args": where[1:]}}}
            (tmp_path / "inspector.json").write_text(json.dumps(config))
            where = ["--config", str(tmp_path / "inspector.json"), "--server", "gw"]
        start = [node, str(program), "--cli", *where]
        path = f"{Path(node).parent}:{os.environ['PATH']}"
        listed = await output([*start, "--method", "tools/list"], tmp_path, PATH=path)
        assert "gateway_invoke" in [tool["name"] for tool in listed["tools"]]
        called = await output(
            [*start, "--method", "tools/call", "--tool-name", "gateway_invoke",
             "--tool-args-json", json.dumps(INVOKE)],
            tmp_path, PATH=path,
        )  # fmt: skip
        assert "hi" == called["content"][0]["text"]


@pytest.mark.parametrize("way", WAYS)
async def test_fastmcp(way: str, tmp_path: Path) -> None:
    """Its client lists and calls tools; it runs on asyncio, so in a thread of its own."""
    async with http_gateway({"one": fake()}, folder=tmp_path) as gateway:
        command, *args = stdio_command(tmp_path)

        async def talk() -> tuple[list[str], str]:
            transport: Any = StdioTransport(command=command, args=args, env=environment(tmp_path))
            if way == "http":
                transport = StreamableHttpTransport(address(gateway, way))
            elif way == "sse":
                transport = SSETransport(address(gateway, way))
            async with asyncio.timeout(PATIENCE), FastClient(transport) as client:
                names = [tool.name for tool in await client.list_tools()]
                result = await client.call_tool("gateway_invoke", INVOKE)
                return names, result.content[0].text

        names, text = await trio.to_thread.run_sync(lambda: asyncio.run(talk()))
        assert "gateway_invoke" in names
        assert "hi" == text
