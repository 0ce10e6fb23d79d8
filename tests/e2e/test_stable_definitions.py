"""Definitions of the gateway's own tools: they stay the same while it starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.running import running
from tests.e2e.test_manifest import remembered
from tests.support.driver import Gateway, fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

CHANGED = "notifications/tools/list_changed"
LATER = 1.2
"""Seconds after which everything is loaded that a gateway loads by itself."""
BACKENDS = {"one": fake("--tools", "echo"), "two": fake("--tools", "echo,counter")}


async def definitions(gateway: Gateway) -> list[Any]:
    """Return the answer of `tools/list`."""
    found: list[Any] = (await gateway.request("tools/list", timeout=PATIENCE))["tools"]
    return found


def changes(gateway: Gateway) -> int:
    """Return how many notifications of changed tools the client received."""
    return sum(message["method"] == CHANGED for message in gateway.notifications)


@pytest.mark.parametrize("builtin", [False, True])
async def test_a_start_with_known_tools_changes_nothing(tmp_path: Path, builtin: bool) -> None:
    """They are the same from the first answer on, and the client is not notified."""
    variables = {"MCP_GATEWAY_CAPABILITIES__ENABLED": "true"} if builtin else {}
    async with remembered(BACKENDS, tmp_path, **variables) as gateway:
        await gateway.call("gateway_list_tools", {})

    async with remembered(BACKENDS, tmp_path, **variables) as gateway:
        first = await definitions(gateway)
        assert "3 tools on 2 servers" in json.dumps(first)
        await trio.sleep(LATER)
        await gateway.call("gateway_search_tools", {"query": "echo"})
        await gateway.invoke("one", "echo", {"text": "hi"})
        await trio.sleep(LATER / 2)
        assert first == await definitions(gateway)
        assert 0 == changes(gateway)


async def test_the_first_start_of_all_tells_one_change(tmp_path: Path) -> None:
    """Tools are counted once all are known; nothing says `0 tools` before."""
    env = {"MCP_GATEWAY_HOME": str(tmp_path / "home")}
    async with running(BACKENDS, env=env) as gateway:
        first = json.dumps(await definitions(gateway))
        assert "tools of 2 servers" in first
        assert "0 tools" not in first
        await gateway.call("gateway_list_tools", {})
        await gateway.wait_notification(CHANGED, timeout=PATIENCE)
        await trio.sleep(LATER)
        assert 1 == changes(gateway)
        assert "3 tools on 2 servers" in json.dumps(await definitions(gateway))


async def test_a_server_that_never_answers_keeps_them_as_they_are(tmp_path: Path) -> None:
    """Its tools are not known, so the number of all tools is not either."""
    env = {"MCP_GATEWAY_HOME": str(tmp_path / "home")}
    backends = {**BACKENDS, "hang": fake("--hang")}
    async with running(backends, env=env) as gateway:
        first = await definitions(gateway)
        await gateway.call("gateway_list_tools", {"server": "one"})
        await gateway.call("gateway_list_tools", {"server": "two"})
        await trio.sleep(LATER / 2)
        assert first == await definitions(gateway)
        assert 0 == changes(gateway)


async def test_a_ready_server_without_an_answer_is_named_as_such(tmp_path: Path) -> None:
    """The problem is not that the server is ready."""
    server = (
        "import sys, json\n"
        "for line in sys.stdin:\n"
        "    message = json.loads(line)\n"
        "    if message['method'] == 'initialize':\n"
        "        result = {'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}},\n"
        "                  'serverInfo': {'name': 'mute', 'version': '1'}}\n"
        "        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result}),"
        " flush=True)\n"
    )
    mute = {"command": [sys.executable, "-c", server], "timeout": "1s"}
    async with running({"mute": mute}, folder=tmp_path) as gateway:
        answer = await gateway.call("gateway_list_tools", {"server": "mute"})
        problem = json.loads(answer["content"][0]["text"])["problem"]
        assert "is ready" not in problem
        assert "still loading its tools" in problem
