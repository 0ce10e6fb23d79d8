"""Playbooks through the real gateway: their steps are calls like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.running import running
from tests.support.driver import Gateway, RpcError, example_command, fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

EXAMPLE = {"example": example_command()}


async def play(gateway: Gateway, name: str, arguments: Any = None, **more: Any) -> Any:
    given = {"name": name, "arguments": arguments or {}, **more}
    result = await gateway.call("gateway_run_playbook", given, timeout=PATIENCE)
    return result["structuredContent"] | {"isError": result["isError"]}


async def test_the_built_in_playbooks_work() -> None:
    """With the example server or without any, no key and no network."""
    async with running({}) as gateway:
        overview = (await play(gateway, "gateway-overview"))["output"]
        assert ([], 0, 0) == (overview["servers"], overview["calls"], overview["failures"])
        found = await play(gateway, "find-tools", {"task": "send a message"})
        assert [] == found["output"]["matches"]
        assert ["servers"] == found["steps_skipped"]
    async with running(EXAMPLE) as gateway:
        report = await play(gateway, "text-report", {"text": "See https://a.example now. Yes."})
        assert {
            "title": "Untitled",
            "words": 6,
            "minutes": report["output"]["minutes"],
            "urls": ["https://a.example"],
            "slug": "untitled-6-words",
            "sha256": "not requested",
        } == report["output"]
        assert ["digest"] == report["steps_skipped"]
        there = {"time": "2026-01-05T14:30", "from": "UTC", "to": "+05:30"}
        times = (await play(gateway, "meeting-times", there))["output"]
        assert (5.5, "MONDAY, +05:30") == (times["hours_ahead"], times["label"])
        same = (await play(gateway, "meeting-times", {**there, "to": "UTC"}))["output"]
        assert "the same time" == same["label"]
        overview = (await play(gateway, "gateway-overview"))["output"]
        assert ["example"] == [server["name"] for server in overview["servers"]]
        assert overview["calls"] >= 6
        found = (await play(gateway, "find-tools", {"task": "count words", "limit": 2}))["output"]
        assert "count_words" == found["matches"][0]["tool"]
        assert len(found["matches"]) <= 2


async def test_steps_keep_to_the_sessions_limits(tmp_path: Path) -> None:
    """A profile refuses a step as it refuses a call; the error names step, tool and cause."""
    profiles = {"clock": {"allow_tools": ["current_time"]}}
    async with running(EXAMPLE, routing_profiles=profiles) as gateway:
        await gateway.call("gateway_set_profile", {"profile": "clock"})
        failed = await play(gateway, "text-report", {"text": "x"})
        assert failed["isError"]
        for part in ("text-report", "step 1 of 4", "'counted'", "example:count_words", "profile"):
            assert part in failed["error"]
        with pytest.raises(RpcError, match="Did you mean: text-report"):
            await play(gateway, "text-reprot", {"text": "x"})
        with pytest.raises(RpcError, match="'text'"):
            await play(gateway, "text-report", {})
        plan = await play(gateway, "text-report", {"text": "x"}, dry_run=True)
        assert ["counted", "links", "slug", "digest"] == [step["step"] for step in plan["plan"]]
        assert False is plan["plan"][3]["runs"]


async def test_files_take_effect_when_they_are_saved(tmp_path: Path) -> None:
    """New, changed, broken and removed files, and the answer of gateway_reload_capabilities."""
    folder = tmp_path / "playbooks"
    folder.mkdir()
    text = (
        "name: mine\ndescription: d\nsteps:\n"
        "- {name: a, server: one, tool: echo, arguments: {text: %s}}\n"
    )
    backends = {"one": fake("--tools", "echo")}
    async with running(backends, folder=tmp_path) as gateway:
        await gateway.call("gateway_list_tools", {})
        (folder / "mine.yaml").write_text(text % "first")
        reloaded = await gateway.call("gateway_reload_capabilities", {})
        assert 5 == reloaded["structuredContent"]["playbooks"]["total"]
        assert {"a": "first"} == (await play(gateway, "mine"))["output"]
        (folder / "mine.yaml").write_text(text % "second")
        with trio.fail_after(PATIENCE):
            while (await play(gateway, "mine"))["output"] != {"a": "second"}:  # noqa: ASYNC110
                await trio.sleep(0.1)
        (folder / "mine.yaml").write_text("name: [")
        broken = await gateway.call("gateway_reload_capabilities", {})
        assert "mine.yaml" in json.dumps(broken["structuredContent"]["problems"])
        assert {"a": "second"} == (await play(gateway, "mine"))["output"]
        (folder / "mine.yaml").unlink()
        await gateway.call("gateway_reload_capabilities", {})
        with pytest.raises(RpcError, match="Playbook not found: mine"):
            await play(gateway, "mine")
