"""Gateways of one person share their counters through the state folder."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.running import NO_RATE_LIMIT, running
from tests.support.driver import Gateway, echo_command
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

ECHO = {"echo": echo_command()}
EACH = 150


async def stats(gateway: Gateway) -> Any:
    return json.loads((await gateway.call("gateway_get_stats", {}))["content"][0]["text"])


async def test_two_gateways_lose_no_count(tmp_path: Path) -> None:
    """Both call at the same time, and write all the while; together they count every call."""
    home = {"MCP_GATEWAY_HOME": str(tmp_path / "home")}
    often = {"tool_profiles": {"persistence_interval": "50ms"}, "failsafe": NO_RATE_LIMIT}

    async def work(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        async with running(ECHO, folder=folder, env=home, **often) as gateway:
            for number in range(EACH):
                await gateway.invoke("echo", "echo", {"text": f"{name} {number}"})
            assert EACH == (await stats(gateway))["this_run"]["invocations"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "one")
        nursery.start_soon(work, "two")

    async with running(ECHO, env=home) as gateway:
        with trio.fail_after(PATIENCE):
            while (await stats(gateway))["invocations"] != 2 * EACH:  # noqa: ASYNC110
                await trio.sleep(0.1)
        seen = await stats(gateway)
    assert (0, 0) == (seen["this_run"]["invocations"], seen["failures"])
    top = seen["top_tools"][0]
    assert ("echo", "echo", 2 * EACH) == (top["server"], top["tool"], top["count"])
    assert top["p50_ms"] <= top["p95_ms"]


async def test_a_killed_gateway_leaves_a_state_that_opens(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: the file is whole, and the next gateway goes on."""
    home = tmp_path / "home"
    env = {"MCP_GATEWAY_HOME": str(home)}
    often = {"tool_profiles": {"persistence_interval": "20ms"}, "failsafe": NO_RATE_LIMIT}
    for _round in range(3):
        async with running(ECHO, env=env, tidy=False, **often) as gateway:
            for number in range(40):
                await gateway.invoke("echo", "echo", {"text": str(number)})
            gateway.process.kill()
            await gateway.process.wait()
        with sqlite3.connect(home / "state.db") as database:
            assert [("ok",)] == database.execute("pragma integrity_check").fetchall()
        database.close()
    async with running(ECHO, env=env) as gateway:
        await gateway.invoke("echo", "echo", {"text": "again"})
        assert 1 <= (await stats(gateway))["invocations"] <= 121
