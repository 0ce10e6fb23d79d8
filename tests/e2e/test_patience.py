"""A person who answers slowly does not fail the call that asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from tests.e2e.running import running
from tests.support.driver import fake

pytestmark = pytest.mark.process


async def test_waiting_for_the_client_does_not_count_as_the_servers_time() -> None:
    """While a backend waits for an elicitation the call that caused it has more time."""
    backends = {"one": {"command": fake("--tools", "ask_elicitation,slow"), "timeout": "1s"}}
    async with running(backends, capabilities={"elicitation": {}}) as gateway:

        async def answer(_params: dict[str, Any]) -> dict[str, Any]:
            await trio.sleep(2.5)
            return {"action": "accept", "content": {"name": "Ann"}}

        gateway.on_request["elicitation/create"] = answer
        result = await gateway.invoke("one", "ask_elicitation", {})
        late = await gateway.invoke("one", "slow", {"seconds": 5})

    assert not result.get("isError")
    assert "Ann" in json.dumps(result["content"])
    assert "BACKEND_TIMEOUT" == late["recovery"]["error_code"]


async def test_the_time_of_a_call_is_its_own() -> None:
    """Neither a quick answer to another call's question nor an open question moves its deadline."""
    backends = {"one": {"command": fake("--tools", "ask_elicitation,slow"), "timeout": "1s"}}
    async with running(backends, capabilities={"elicitation": {}}) as gateway:
        asked = 0
        second = trio.Event()

        async def answer(_params: dict[str, Any]) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked == 1:
                second.set()
                await trio.sleep(3)
            return {"action": "accept", "content": {"name": "Ann"}}

        gateway.on_request["elicitation/create"] = answer
        results: dict[str, Any] = {}

        async def call(key: str, tool: str, arguments: dict[str, Any]) -> None:
            results[key] = await gateway.invoke("one", tool, arguments)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "slow person", "ask_elicitation", {})
            await second.wait()
            nursery.start_soon(call, "quick person", "ask_elicitation", {})
            nursery.start_soon(call, "no question", "slow", {"seconds": 2.5})

    assert not results["slow person"].get("isError")
    assert not results["quick person"].get("isError")
    assert "BACKEND_TIMEOUT" == results["no question"]["recovery"]["error_code"]
