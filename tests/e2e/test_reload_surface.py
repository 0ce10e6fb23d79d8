"""Settings of the surface take effect when gateway.yaml is saved; no server is restarted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import running
from tests.support.driver import Gateway, RpcError, fake, pids_in, yaml_config
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


async def payload(gateway: Gateway, tool: str, arguments: Any = None) -> Any:
    return (await gateway.call(tool, arguments or {}, timeout=PATIENCE))["structuredContent"]


async def test_everything_around_a_running_server(tmp_path: Path) -> None:
    """Profiles, transforms, surfaced tools, operator tools, synonyms: all without a restart."""
    pids = tmp_path / "pids"
    command = fake("--tools", "echo,counter", "--pid-file", pids)
    async with running({"one": {"command": command}}, folder=tmp_path) as gateway:
        assert "1" == (await gateway.invoke("one", "counter", {}))["content"][0]["text"]

        async def save(one: dict[str, Any], **sections: Any) -> None:
            seen = len(gateway.notifications)
            text = yaml_config({"one": {"command": command, **one}}, mark=gateway.mark, **sections)
            (tmp_path / "gateway.yaml").write_text(text)
            await payload(gateway, "gateway_reload_config")
            await gateway.wait_notification("notifications/tools/list_changed", after=seen)

        await save({}, routing_profiles={"few": {"allow_tools": ["echo"]}})
        assert ["few"] == [
            each["name"] for each in (await payload(gateway, "gateway_list_profiles"))["profiles"]
        ]
        await payload(gateway, "gateway_set_profile", {"profile": "few"})
        tools = (await payload(gateway, "gateway_list_tools"))["tools"]
        assert ["echo"] == [tool["name"] for tool in tools]

        await save({"transform": [{"namespace": "x"}]})
        tools = (await payload(gateway, "gateway_list_tools"))["tools"]
        assert ["x_echo", "x_counter"] == [tool["name"] for tool in tools]
        result = await gateway.invoke("one", "x_counter", {})
        assert "2" == result["content"][0]["text"]
        assert "x_counter" in (await gateway.invoke("one", "counter", {}))["content"][0]["text"]

        surfaced = {"surfaced_tools": [{"server": "one", "tool": "echo"}], "operator_tools": True}
        await save({}, meta_mcp=surfaced)
        listed = {tool["name"] for tool in (await gateway.request("tools/list"))["tools"]}
        assert {"echo", "gateway_restart_server"} <= listed

        (tmp_path / "words.yaml").write_text("groups:\n  - [echo, parrot]\n")
        await save({"description": "Says it again"}, search={"synonyms": ["words.yaml"]})
        found = await payload(gateway, "gateway_search_tools", {"query": "parrot"})
        assert "echo" == found["matches"][0]["tool"]
        assert 1 == len(pids_in(pids))
        assert "3" == (await gateway.invoke("one", "counter", {}))["content"][0]["text"]


async def test_a_broken_section_changes_nothing(tmp_path: Path) -> None:
    """A file with a fault in a new section is refused with its line; what runs goes on."""
    profiles = {"few": {"allow_tools": ["echo"]}}
    backends = {"one": fake("--tools", "echo")}
    async with running(backends, folder=tmp_path, routing_profiles=profiles) as gateway:
        await payload(gateway, "gateway_list_tools")
        broken = json.loads((tmp_path / "gateway.yaml").read_text())
        broken["routing_profiles"]["few"]["alow_tools"] = "x"
        broken["cost_governance"] = {"alerts": [{"at_percent": "half", "action": "explode"}]}
        broken["backends"]["one"]["transform"] = [{"namespaec": "x"}]
        (tmp_path / "gateway.yaml").write_text(json.dumps(broken, indent=2))
        with pytest.raises(RpcError) as caught:
            await payload(gateway, "gateway_reload_config")
        told = str(caught.value)
        for part in ("alow_tools", "allow_tools", "at_percent", "explode", "namespace"):
            assert part in told
        assert ["few"] == [
            each["name"] for each in (await payload(gateway, "gateway_list_profiles"))["profiles"]
        ]
