"""`mcp-gateway search` and what the search tool says of its matches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import running
from tests.support.driver import Gateway, example_command, fake, yaml_config
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

EXAMPLE = {"example": {"command": example_command(), "description": "Small tools"}}


def search(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = folder / "gateway.yaml"
    config.write_text(yaml_config(EXAMPLE))
    return subprocess.run(
        [sys.executable, "-m", "mcpgw", "-c", str(config), "search", *words],
        env={**os.environ, "MCP_GATEWAY_HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_command(tmp_path: Path) -> None:
    """It prints the matches as a table, as names, or as JSON; 3 says that nothing fits."""
    found = search(tmp_path, "-n", "3", "what", "time", "is", "it")
    assert (0, "") == (found.returncode, found.stderr)
    assert "example:current_time" in found.stdout.splitlines()[0]
    assert 3 >= len(found.stdout.splitlines())
    names = search(tmp_path, "--format", "plain", "how many words are in a text")
    assert "example:count_words" == names.stdout.splitlines()[0]
    told = json.loads(search(tmp_path, "-f", "json", "--explain", "hash a text").stdout)
    assert "hash_text" == told["matches"][0]["tool"]
    assert "ranking" in told["matches"][0]
    nothing = search(tmp_path, "brew me an espresso")
    assert 3 == nothing.returncode
    assert "No good match" in nothing.stderr
    slip = search(tmp_path, "-n", "1", "cont wrods in texxt")
    assert "Searched for 'count' instead of 'cont'" in slip.stderr


async def find(gateway: Gateway, query: str, **more: Any) -> Any:
    result = await gateway.call("gateway_search_tools", {"query": query, **more}, timeout=PATIENCE)
    return result["structuredContent"]


async def test_what_is_disabled_comes_last_and_is_marked() -> None:
    """The tools of a killed server are still found, behind all others, with their status."""
    backends = {**EXAMPLE, "fake": {"command": fake("--tools", "count_words,echo")}}
    async with running(backends) as gateway:
        await gateway.call("gateway_list_tools", {})
        before = await find(gateway, "count words")
        assert {"example", "fake"} <= {match["server"] for match in before["matches"][:2]}
        await gateway.call("gateway_kill_server", {"server": "example"})
        after = await find(gateway, "count words")
        assert "fake" == after["matches"][0]["server"]
        states = [match.get("status") == "disabled" for match in after["matches"]]
        assert sorted(states) == states
        assert states[-1]


async def test_a_page_is_not_filled_where_nothing_fits() -> None:
    """Then there are few matches, and the answer says so."""
    async with running(EXAMPLE) as gateway:
        found = await find(gateway, "book a flight to the moon for my cat", limit=25)
        assert len(found["matches"]) <= 5
        assert not found["matches"] or found["fits"] is False
        assert found["hint"]


async def test_failures_of_the_tool_move_it_down() -> None:
    """Of two like tools the one that works comes first; wrong arguments change nothing."""
    tools = {"command": fake("--tools", "fail,echo")}
    backends = {"one": tools, "two": {"command": fake("--tools", "fail")}}
    sections = {"error_budget": {"enabled": False}}
    async with running(backends, **sections) as gateway:
        await gateway.call("gateway_list_tools", {})
        assert "one" == (await find(gateway, "fail"))["matches"][0]["server"]
        for _ in range(8):
            await gateway.invoke("one", "fail", {"text": "no"})
        found = await find(gateway, "please fail now", explain=True)
        first = found["matches"][0]
        assert ("two", "fail") == (first["server"], first["tool"])
        reasons = {match["server"]: match["ranking"] for match in found["matches"]}
        assert "success" in json.dumps(reasons["one"])
