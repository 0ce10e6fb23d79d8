"""A call that is not idempotent reaches its server once at the most, whatever fails."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import trio

from tests.e2e.running import running
from tests.support.driver import Message
from tests.support.fakes import FAKE_SERVER
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

CALLS = 30
WORKERS = 4


@pytest.mark.parametrize("seed", ["a", "b"])
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "with keys"])
async def test_a_counting_server_under_faults(tmp_path: Path, seed: str, keyed: bool) -> None:
    """Crashes, errors, late and missing answers, kills and reloads never make a second sending.

    With idempotency keys each call is asked for three times by the client as well; where the
    first may have had an effect, the server still sees it once.
    """
    log = tmp_path / "calls.log"
    counting = {
        "command": [
            sys.executable,
            str(FAKE_SERVER.with_name("counting_server.py")),
            str(log),
            seed,
        ],
        "timeout": "1s",
        "circuit_breaker": {"enabled": False},
        "rate_limit": {"enabled": False},
    }
    sections = {
        "error_budget": {"enabled": False},
        "cache": {"enabled": True},
        "failsafe": {
            "retry": {"max_attempts": 5, "initial_backoff": "10ms", "max_backoff": "50ms"}
        },
    }
    outcomes: Counter[str] = Counter()
    async with running({"counting": counting}, folder=tmp_path, tidy=False, **sections) as gateway:
        await gateway.call("gateway_list_tools", {})

        async def one(tool: str, number: int) -> None:
            given: Message = {
                "server": "counting",
                "tool": tool,
                "arguments": {"n": f"{tool}-{number}"},
            }
            if keyed:
                given["idempotency_key"] = f"{tool}-{number}"
            for _ in range(3 if keyed else 1):
                result = await gateway.call("gateway_invoke", given, timeout=PATIENCE)
                outcomes["error" if result.get("isError") else "done"] += 1

        async def work(first: int) -> None:
            for number in range(first, CALLS, WORKERS):
                for tool in ("write", "bare", "read"):
                    await one(tool, number)

        async with trio.open_nursery() as nursery:
            for first in range(WORKERS):
                nursery.start_soon(work, first)

    fates: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        tool, number, fate = line.split(" ", 2)
        fates.setdefault(f"{tool} {number}", []).append(fate)
    once = {call: sent for call, sent in fates.items() if not call.startswith("read")}
    assert len(once) > CALLS
    for call, sent in once.items():
        # Only a plain error is a reason for the client's own next try to be sent.
        assert set(sent[:-1]) <= ({"error", "failed"} if keyed else set()), (call, sent)
    assert any(len(sent) > 1 for call, sent in fates.items() if call.startswith("read"))
    assert outcomes["done"]
    assert outcomes["error"]
