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
