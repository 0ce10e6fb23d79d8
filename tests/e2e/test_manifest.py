"""Manifests stored between starts, so that tools are known before any start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from tests.e2e.running import found, payload, running, servers, text, until
from tests.support.driver import MARK, Gateway, alive, fake, pids_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

TOOLS_CHANGED = "notifications/tools/list_changed"
WORDS = "--tools", "read_thermometer,open_window"


def remembered(
    backends: Mapping[str, list[str]], folder: Path, **variables: str
) -> AbstractAsyncContextManager[Gateway]:
    """Run a gateway in a folder with the same configuration each time.

    Each gateway of these tests has a mark of its own in the environment of its backends, which
    is part of their configuration; here the folder stands for it.
    """
    mark = f"e2e-manifest-{folder}"
    return running(
        {name: {"command": command, "env": {MARK: mark}} for name, command in backends.items()},
        folder=folder,
        env={MARK: mark, **variables},
    )


async def tools(gateway: Gateway, server: str) -> list[str]:
    """Return the names of a server's tools."""
    result = await gateway.call("gateway_list_tools", {"server": server}, timeout=PATIENCE)
    return [tool["name"] for tool in payload(result)["tools"]]


async def all_tools(gateway: Gateway) -> list[tuple[str, str]]:
    """Return server and name of all tools."""
    listed = payload(await gateway.call("gateway_list_tools", timeout=PATIENCE))
    return [(tool["server"], tool["name"]) for tool in listed["tools"]]


async def learn(folder: Path, backends: Mapping[str, list[str]]) -> None:
    """Let a gateway learn what its backends offer, and end it."""
    async with remembered(backends, folder) as gateway:
        for server in backends:
            assert await tools(gateway, server)


def kept(folder: Path) -> list[Path]:
    """Return the manifest files."""
    return sorted((folder / "home" / "manifests").glob("*.json"))


class TestSecondStart:
    async def test_knows_the_tools_without_starting_anything(self, tmp_path: Path) -> None:
        """A second start searches, lists and describes from the manifests; the first call
        starts exactly one server."""
        pids = {name: tmp_path / f"{name}.pids" for name in ("one", "two")}
        backends = {
            "one": fake(*WORDS, "--pid-file", pids["one"]),
            "two": fake("--tools", "echo,counter", "--pid-file", pids["two"]),
        }
        await learn(tmp_path, backends)
        assert [1, 1] == [len(pids_in(path)) for path in pids.values()]

        async with remembered(backends, tmp_path) as gateway:
            assert ("one", "read_thermometer") == (await found(gateway, "read thermometer"))[0]
            assert [
                ("one", "read_thermometer"),
                ("one", "open_window"),
                ("two", "echo"),
                ("two", "counter"),
            ] == await all_tools(gateway)
            assert ["read_thermometer", "open_window"] == await tools(gateway, "one")
            described = (await gateway.request("tools/list", timeout=PATIENCE))["tools"]
            assert "4 tools on 2 servers" in json.dumps(described)
            resources = (await gateway.request("resources/list", timeout=PATIENCE))["resources"]
            assert "fake://one" in [resource["uri"] for resource in resources]
            prompts = (await gateway.request("prompts/list", timeout=PATIENCE))["prompts"]
            assert ["one/greet", "two/greet"] == [prompt["name"] for prompt in prompts]
            states = await servers(gateway)
            assert [False, False] == [entry["running"] for entry in states.values()]
            assert [1, 1] == [len(pids_in(path)) for path in pids.values()]

            result = await gateway.invoke("two", "counter", timeout=PATIENCE)
            assert "1" == text(result)
            assert [1, 2] == [len(pids_in(path)) for path in pids.values()]

    async def test_an_unchanged_list_is_not_announced(self, tmp_path: Path) -> None:
        """A server that starts and offers what the manifest says brings no notification."""
        backends = {"one": fake("--tools", "echo,change_tools")}
        await learn(tmp_path, backends)
        async with remembered(backends, tmp_path) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            # A real change comes after whatever the start would have brought.
            await gateway.invoke("one", "change_tools", {"name": "fresh"}, timeout=PATIENCE)
            await until(
                lambda: TOOLS_CHANGED in [n["method"] for n in gateway.notifications],
                what="announced",
            )
            await gateway.request("ping")
            methods = [notification["method"] for notification in gateway.notifications]
            assert 1 == methods.count(TOOLS_CHANGED)

    async def test_a_wrong_tool_name_starts_the_server_and_says_so(self, tmp_path: Path) -> None:
        """A name that the manifest lacks is looked for in the live list before it is refused."""
        tool_list = tmp_path / "tools.json"
        tool_list.write_text('["echo"]')
        backends = {"one": fake("--list-file", tool_list)}
        await learn(tmp_path, backends)
        tool_list.write_text('["echo", "counter"]')
        async with remembered(backends, tmp_path) as gateway:
            assert ["echo"] == await tools(gateway, "one")
            assert "1" == text(await gateway.invoke("one", "counter", timeout=PATIENCE))
            refused = await gateway.invoke("one", "conter", timeout=PATIENCE)
            assert "TOOL_NOT_FOUND" == refused["recovery"]["error_code"]
            assert "counter" in refused["recovery"]["related_tools"]


class TestChangedLists:
    async def test_a_restart_with_other_tools(self, tmp_path: Path) -> None:
        """A server that restarts with other tools is searched with these, the client is notified,
        and the next start knows them."""
        tool_list, pids = tmp_path / "tools.json", tmp_path / "pids"
        tool_list.write_text('["read_thermometer", "counter", "exit_now"]')
        backends = {"one": fake("--list-file", tool_list, "--pid-file", pids)}
        async with remembered(backends, tmp_path) as gateway:
            await gateway.invoke("one", "counter", timeout=PATIENCE)
            assert ("one", "read_thermometer") in await found(gateway, "read thermometer")
            tool_list.write_text('["read_barometer", "counter", "exit_now"]')
            seen = len(gateway.notifications)
            await gateway.invoke("one", "exit_now", timeout=PATIENCE)
            await until(lambda: not alive(pids_in(pids)[0]), what="gone")
            assert "1" == text(await gateway.invoke("one", "counter", timeout=PATIENCE))
            with trio.fail_after(PATIENCE):
                while "read_barometer" not in await tools(gateway, "one"):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            assert ("one", "read_barometer") == (await found(gateway, "read barometer"))[0]
            assert ("one", "read_thermometer") not in await found(gateway, "read thermometer")
            assert ["read_barometer", "counter", "exit_now"] == await tools(gateway, "one")
        started = len(pids_in(pids))
        async with remembered(backends, tmp_path) as gateway:
            assert ("one", "read_barometer") == (await found(gateway, "read barometer"))[0]
            assert started == len(pids_in(pids))

    async def test_changed_between_two_starts(self, tmp_path: Path) -> None:
        """The manifest applies until the server starts; then its own list does."""
        tool_list = tmp_path / "tools.json"
        tool_list.write_text('["read_thermometer", "echo"]')
        backends = {"one": fake("--list-file", tool_list)}
        await learn(tmp_path, backends)
        tool_list.write_text('["read_barometer", "echo"]')
        async with remembered(backends, tmp_path) as gateway:
            assert ("one", "read_thermometer") in await found(gateway, "read thermometer")
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            await gateway.wait_notification(TOOLS_CHANGED, timeout=PATIENCE)
            assert ["read_barometer", "echo"] == await tools(gateway, "one")
            assert ("one", "read_barometer") == (await found(gateway, "read barometer"))[0]
            gone = await gateway.invoke("one", "read_thermometer", timeout=PATIENCE)
            assert "TOOL_NOT_FOUND" == gone["recovery"]["error_code"]


class TestWhichManifest:
    async def test_another_configuration(self, tmp_path: Path) -> None:
        """A manifest stored under another configuration is neither used nor lost."""
        pids = tmp_path / "pids"
        first = {"one": fake("--tools", "echo", "--pid-file", pids)}
        other = {"one": fake("--tools", "counter", "--pid-file", pids)}
        await learn(tmp_path, first)
        async with remembered(other, tmp_path) as gateway:
            assert [("one", "counter")] == await all_tools(gateway)
        assert 2 == len(pids_in(pids))
        async with remembered(first, tmp_path) as gateway:
            assert [("one", "echo")] == await all_tools(gateway)
            assert 2 == len(pids_in(pids))

    async def test_another_home(self, tmp_path: Path) -> None:
        """MCP_GATEWAY_HOME says where they are kept: in another one nothing is known."""
        pids = tmp_path / "pids"
        backends = {"one": fake("--pid-file", pids)}
        await learn(tmp_path, backends)
        other = str(tmp_path / "other")
        async with remembered(backends, tmp_path, MCP_GATEWAY_HOME=other) as gateway:
            assert [("one", "echo")] == await all_tools(gateway)
        assert 2 == len(pids_in(pids))
        assert 1 == len(list((tmp_path / "other" / "manifests").iterdir()))

    @pytest.mark.parametrize("damage", ["torn", "empty", "noise", "list", "version"])
    async def test_a_damaged_one_is_as_good_as_none(self, damage: str, tmp_path: Path) -> None:
        """A damaged manifest is ignored: the server is asked, and it is stored again."""
        pids = tmp_path / "pids"
        backends = {"one": fake("--pid-file", pids)}
        await learn(tmp_path, backends)
        [path] = kept(tmp_path)
        whole = path.read_bytes()
        path.write_bytes(
            {
                "torn": whole[: len(whole) // 2],
                "empty": b"",
                "noise": b"\x00\xff\x00 noise \xc3",
                "list": b"[1, 2, 3]",
                "version": whole.replace(b'"format":1', b'"format":999'),
            }[damage]
        )
        assert whole != path.read_bytes()
        async with remembered(backends, tmp_path) as gateway:
            assert [("one", "echo")] == await found(gateway, "echo")
            assert 2 == len(pids_in(pids))
        assert "echo" in json.dumps(json.loads(path.read_text()))
        async with remembered(backends, tmp_path) as gateway:
            assert [("one", "echo")] == await found(gateway, "echo")
            assert 2 == len(pids_in(pids))

    async def test_a_home_that_cannot_be_written(self, tmp_path: Path) -> None:
        """Without storage everything works, but each start asks again."""
        (tmp_path / "home").write_text("a file where the folder should be")
        async with running({"one": fake()}, folder=tmp_path) as gateway:
            assert [("one", "echo")] == await found(gateway, "echo")
            result = await gateway.invoke("one", "echo", {"text": "hello"}, timeout=PATIENCE)
            assert "hello" == text(result)
