"""A server whose source files change: `backends.<name>.watch`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.running import running, text, until
from tests.support.driver import fake, pids_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


async def test_a_change_starts_the_server_anew(tmp_path: Path) -> None:
    """The new process has the new tools, calls wait for it, and the client is notified."""
    tools, pids = tmp_path / "tools.json", tmp_path / "pids"
    tools.write_text('["one"]')
    backend = {
        "command": fake("--list-file", tools, "--pid-file", pids),
        "cwd": str(tmp_path),
        "watch": ["*.json"],
        "timeout": "20s",
    }
    async with running({"dev": backend}) as gateway:
        await gateway.invoke("dev", "one", timeout=PATIENCE)
        (first,) = pids_in(pids)
        await gateway.wait_notification("notifications/tools/list_changed", timeout=PATIENCE)
        seen = len(gateway.notifications)
        tools.write_text('["one", "two"]')
        await gateway.wait_notification(
            "notifications/tools/list_changed", after=seen, timeout=PATIENCE
        )
        assert not (await gateway.invoke("dev", "two", timeout=PATIENCE)).get("isError")
        assert 2 == len(pids_in(pids))
        assert first != pids_in(pids)[-1]


async def test_a_call_under_way_is_answered_first(tmp_path: Path) -> None:
    """The old process finishes its calls before it ends; a call made meanwhile waits."""
    source, pids = tmp_path / "server.py", tmp_path / "pids"
    source.write_text("1")
    backend = {
        "command": fake("--tools", "slow,echo", "--pid-file", pids),
        "cwd": str(tmp_path),
        "watch": ["**/*.py"],
    }
    async with running({"dev": backend}) as gateway:
        await gateway.invoke("dev", "echo", timeout=PATIENCE)
        slow = gateway.begin_invoke("dev", "slow", {"seconds": 2.5})
        source.write_text("22")
        await until(
            lambda: "backend.source_changed" in gateway.stderr, what="the change is noticed"
        )
        late = gateway.begin_invoke("dev", "echo", {"text": "late"})
        assert not slow.answered
        assert "slept" in text(await slow.result(timeout=PATIENCE)) or slow.answered
        assert "late" == text(await late.result(timeout=PATIENCE))
        assert 2 == len(pids_in(pids))
