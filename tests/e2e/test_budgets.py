"""Budgets over several processes: what earlier ones have spent counts from the first call."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import running
from tests.support.driver import echo_command
from tests.support.fakes import yaml_config
from tests.support.patience import PATIENCE
from tests.support.processes import WITHOUT_CAPABILITIES

pytestmark = pytest.mark.process

GOVERNANCE: Mapping[str, Any] = {
    "enabled": True,
    "default_cost": 0.4,
    "budgets": {"per_tool": {"echo": 1.0}},
}


def invoke(folder: Path) -> tuple[int, str]:
    """Call the tool by a command of its own; return its status and what it said."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mcpgw",
            "tool",
            "invoke",
            "-c",
            "gateway.yaml",
            "one:echo",
            "text=x",
        ],
        cwd=folder,
        env={**inherited, **WITHOUT_CAPABILITIES, "MCP_GATEWAY_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_commands_in_a_row_stop_at_the_limit(tmp_path: Path) -> None:
    """Two calls at 0.4 fit into 1.0; the third and all further commands are refused."""
    (tmp_path / "gateway.yaml").write_text(
        yaml_config({"one": echo_command()}, cost_governance=GOVERNANCE)
    )
    said = [invoke(tmp_path) for _ in range(4)]

    assert [0, 0] == [status for status, _ in said[:2]], said
    for status, text in said[2:]:
        assert status != 0
        assert "BUDGET_EXCEEDED" in text


async def test_the_first_call_and_the_first_report_of_a_session(tmp_path: Path) -> None:
    """A session that begins with a call or a report knows what was spent and counted before."""
    env = {"MCP_GATEWAY_HOME": str(tmp_path / "home")}
    backends = {"one": echo_command()}
    async with running(backends, env=env, cost_governance=GOVERNANCE) as gateway:
        for _ in range(2):
            await gateway.invoke("one", "echo", {"text": "x"})

    async with running(backends, env=env, cost_governance=GOVERNANCE) as gateway:
        refused = await gateway.call(
            "gateway_invoke", {"server": "one", "tool": "echo", "arguments": {"text": "x"}}
        )
        assert "BUDGET_EXCEEDED" == refused["recovery"]["error_code"]

    for tool, path in (
        ("gateway_get_stats", ("invocations",)),
        ("gateway_cost_report", ("aggregate", "total_calls")),
    ):
        async with running(backends, env=env, cost_governance=GOVERNANCE) as gateway:
            value: Any = json.loads((await gateway.call(tool, {}))["content"][0]["text"])
            for key in path:
                value = value[key]
            assert value >= 2


async def test_a_locked_state_file_delays_the_first_call_for_a_bounded_time(
    tmp_path: Path,
) -> None:
    """A call is made although the earlier spending is unknown, and the log says so."""
    env = {"MCP_GATEWAY_HOME": str(tmp_path / "home")}
    async with running({"one": echo_command()}, env=env, cost_governance=GOVERNANCE) as gateway:
        await gateway.invoke("one", "echo", {"text": "x"})

    lock = sqlite3.connect(tmp_path / "home" / "state.db", isolation_level=None)
    try:
        lock.execute("PRAGMA locking_mode = EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
        async with running({"one": echo_command()}, env=env, cost_governance=GOVERNANCE) as gateway:
            result = await gateway.invoke("one", "echo", {"text": "x"})
            assert result.get("isError") is not True
            assert "cost.totals_unknown" in gateway.stderr
            lock.execute("ROLLBACK")
    finally:
        lock.close()
