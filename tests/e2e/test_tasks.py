"""Tasks of one server's endpoint, in both flavours, with a real server that has them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.conftest import NpmServer
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.patience import PATIENCE
from tests.support.processes import processes_with

pytestmark = [pytest.mark.process, pytest.mark.real]

EXTENSION = "io.modelcontextprotocol/tasks"
TOOL = "simulate-research-query"
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


@attrs.define
class Raw:
    """A client that POSTs messages, of either era."""

    http: httpx.AsyncClient
    session: dict[str, str] = attrs.field(factory=dict)
    _last: int = 0

    async def post(self, message: dict[str, Any], **headers: str) -> httpx.Response:
        """POST one message to the server's own address."""
        return await self.http.post(
            "/mcp/everything", json=message, headers={**HEADERS, **self.session, **headers}
        )

    async def ask(
        self, method: str, /, _headers: dict[str, str] | None = None, **params: Any
    ) -> Any:
        """Send a request and return its answer, whichever way it came."""
        self._last += 1
        message = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        response = await self.post(message, **(_headers or {}))
        if method == "initialize":
            self.session = {"mcp-session-id": response.headers["mcp-session-id"]}
        if "event-stream" not in response.headers["content-type"]:
            return response.json()
        lines = [line[5:] for line in response.text.splitlines() if line.startswith("data:")]
        found = [json.loads(line) for line in lines if line.strip()]
        return next(each for each in found if each.get("id") == self._last and "method" not in each)

    async def modern(self, method: str, name: str, /, **params: Any) -> Any:
        """Send a request of the stateless era whose client knows tasks."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
        }
        headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name}
        return await self.ask(method, headers, **params, _meta=meta)

    async def begin(self) -> Any:
        """Open a session of the handshake revisions; return its capabilities."""
        info = {"name": "tests", "version": "1"}
        answer = await self.ask(
            "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=info
        )
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer["result"]["capabilities"]


@asynccontextmanager
async def serving(command: list[str], folder: Path) -> AsyncIterator[tuple[HttpGateway, Raw]]:
    """Run a gateway with the everything-server of npm, and a client."""
    backends = {"everything": {"command": command, "timeout": "60s"}}
    async with (
        http_gateway(backends, folder=folder) as gateway,
        httpx.AsyncClient(trust_env=False, base_url=gateway.base, timeout=PATIENCE) as http,
    ):
        with trio.fail_after(2 * PATIENCE):
            yield gateway, Raw(http)


async def test_a_task_of_the_older_flavour(npm_server: NpmServer, tmp_path: Path) -> None:
    """It is created under an id of ours, looked at, listed, and gives its result at its end."""
    async with serving(npm_server("server-everything"), tmp_path) as (_, client):
        assert "tasks" in await client.begin()
        created = await client.ask("tools/call", name=TOOL, arguments={"topic": "bees"}, task={})
        task = created["result"]["task"]
        assert ("working", 32) == (task["status"], len(task["taskId"]))
        named = {"taskId": task["taskId"]}
        assert task["taskId"] == (await client.ask("tasks/get", **named))["result"]["taskId"]
        listed = (await client.ask("tasks/list"))["result"]["tasks"]
        assert [task["taskId"]] == [each["taskId"] for each in listed]
        result = (await client.ask("tasks/result", **named))["result"]
        assert "bees" in result["content"][0]["text"]
        related = result["_meta"]["io.modelcontextprotocol/related-task"]
        assert named == related
        unknown = await client.ask("tasks/get", taskId="x" * 32)
        assert -32602 == unknown["error"]["code"]
        other = Raw(client.http)
        await other.begin()
        assert [] == (await other.ask("tasks/list"))["result"]["tasks"]


async def test_the_newer_flavour_in_front_of_an_older_server(
    npm_server: NpmServer, tmp_path: Path
) -> None:
    """A client of the stateless era gets the extension's fields, and the result inlined."""
    async with serving(npm_server("server-everything"), tmp_path) as (_, client):
        assert EXTENSION in (await client.begin())["extensions"]
        client.session = {}
        given = {"name": TOOL, "arguments": {"topic": "owls"}}
        created = (await client.modern("tools/call", TOOL, **given))["result"]
        assert ("task", "working") == (created["resultType"], created["status"])
        assert {"ttlMs", "pollIntervalMs"} <= created.keys()
        task_id = created["taskId"]
        while True:
            told = (await client.modern("tasks/get", task_id, taskId=task_id))["result"]
            if told["status"] == "completed":
                break
            await trio.sleep(0.2)
        assert "owls" in told["result"]["content"][0]["text"]
        assert "ttl" not in told


async def test_a_task_whose_server_was_restarted(npm_server: NpmServer, tmp_path: Path) -> None:
    """It has failed, and says why."""
    async with serving(npm_server("server-everything"), tmp_path) as (gateway, client):
        await client.begin()
        created = await client.ask("tools/call", name=TOOL, arguments={"topic": "ants"}, task={})
        task_id = created["result"]["task"]["taskId"]
        for pid in processes_with(gateway.mark):
            if pid != gateway.process.pid:
                os.kill(pid, signal.SIGKILL)
        await client.ask("tools/list")
        told = (await client.ask("tasks/get", taskId=task_id))["result"]
        assert "failed" == told["status"]
        assert "restarted" in told["statusMessage"]
