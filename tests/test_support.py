"""The fake server, the echo server and the driver do what the other tests rely on."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver import (
    MARK,
    Gateway,
    Message,
    RpcError,
    alive,
    echo_command,
    fake,
    logged_cancelled,
    logged_methods,
    open_descriptors,
    open_gateway,
    pids_in,
    processes_with,
    yaml_config,
)
from tests.support.fake_tools import BEHAVIOURS

pytestmark = pytest.mark.process

EVERY_TOOL = ",".join(sorted(BEHAVIOURS))


async def text_of(server: Gateway, tool: str, arguments: Message | None = None) -> str:
    """Call a tool and return its first text."""
    text: str = (await server.call(tool, arguments))["content"][0]["text"]
    return text


async def names_of(server: Gateway) -> list[str]:
    """Return the names on the first page of tools."""
    return [tool["name"] for tool in (await server.request("tools/list"))["tools"]]


class TestDriver:
    async def test_many_large_calls_at_once(self) -> None:
        """Calls of 20 kB in both directions, 200 at once, never block each other."""
        text = "ü" * 10_000
        async with open_gateway(command=echo_command()) as server:
            await server.initialize()
            under_way = [server.begin_call("echo", {"text": f"{n}{text}"}) for n in range(200)]
            for number, pending in enumerate(under_way):
                result = await pending.result()
                assert f"{number}{text}" == result["content"][0]["text"]
            assert 0 == await server.end()
            assert 201 == len(server.raw_lines)
            assert ([], [], []) == (server.garbage, server.strays, server.duplicates)

    async def test_failures_of_the_body_come_out_bare(self) -> None:
        """An assertion that fails inside of the block is not wrapped into a group."""
        with pytest.raises(AssertionError, match="as it was"):
            async with open_gateway(command=fake()) as server:
                raise AssertionError("as it was")
        assert not alive(server.pid)

    async def test_answers_that_never_come(self) -> None:
        """A request times out with what stderr said, and ends when stdout does."""
        async with open_gateway(command=fake("--hang", "--stderr", "some reason")) as server:
            with pytest.raises(TimeoutError, match="some reason"):
                await server.request("ping", timeout=0.2)
            pending = server.begin("ping")
            server.process.kill()
            with pytest.raises(ConnectionError, match="some reason"):
                await pending.result()
            with pytest.raises(ConnectionError):
                await server.wait_notification("any")
            assert -signal.SIGKILL == await server.wait()
            with pytest.raises(ConnectionError):
                await server.request("ping")

    async def test_odd_lines_are_kept_apart(self) -> None:
        """Second answers, unmatched answers and lines that are not JSON are distinguished."""
        answer = '{"jsonrpc":"2.0","id":1,"result":{}}'
        lines = [answer, answer, '{"jsonrpc":"2.0","id":7,"result":{}}', "no json", "no end"]
        code = f"input(); import sys; sys.stdout.write({chr(10).join(lines)!r})"
        async with open_gateway(command=[sys.executable, "-c", code]) as server:
            assert {} == await server.request("ping")
            assert 0 == await server.wait()
            assert [1] == [message["id"] for message in server.duplicates]
            assert [7] == [message["id"] for message in server.strays]
            assert [b"no json", b"no end"] == server.garbage

    async def test_environment_and_folder(self, tmp_path: Path) -> None:
        """The child gets its own state folder, a mark to be found by, and the config's path."""
        code = """import json, os, sys
params = {"environment": dict(os.environ), "argv": sys.argv}
print(json.dumps({"jsonrpc": "2.0", "method": "started", "params": params}), flush=True)
input()"""
        command = [sys.executable, "-c", code]
        async with open_gateway(
            "{}", command=command, args=["--more"], env={"X": "y"}, cwd=tmp_path
        ) as server:
            started = await server.wait_notification("started")
            variables, words = started["environment"], started["argv"]
            assert str(server.home) == variables["MCP_GATEWAY_HOME"]
            assert (server.mark, "y") == (variables[MARK], variables["X"])
            assert ["-c", "-c", str(tmp_path / "gateway.yaml"), "--more"] == words
            assert [server.pid] == processes_with(server.mark)
            assert open_descriptors(server.pid) >= 3
            assert alive(server.pid)
        assert [] == processes_with(server.mark)
        assert not alive(server.pid)


class TestFakeServer:
    async def test_simple_tools(self) -> None:
        """Each simple tool answers at once with what its name promises."""
        command = fake("--tools", f"{EVERY_TOOL},other", "--annotate", "big=idempotent")
        async with open_gateway(command=command, env={"X": "y"}) as server:
            assert {"listChanged": True} == (await server.initialize())["capabilities"]["tools"]
            tools = {t["name"]: t for t in (await server.request("tools/list"))["tools"]}
            assert {*EVERY_TOOL.split(","), "other"} == set(tools)
            assert {"readOnlyHint": True} == tools["echo"]["annotations"]
            assert tools["big"]["annotations"]["idempotentHint"]
            assert "annotations" not in tools["fail"]
            assert "hi" == await text_of(server, "echo", {"text": "hi"})
            assert '"y"' == await text_of(server, "env", {"name": "X"})
            assert "null" == await text_of(server, "env", {"name": "NOT_SET"})
            assert 70_000 == len(await text_of(server, "big", {"bytes": 70_000}))
            assert "5" == await text_of(server, "counter")
            assert '{"tool": "other", "arguments": {"a": 1}}' == await text_of(
                server, "other", {"a": 1}
            )
            assert (await server.call("fail"))["isError"] is True
            assert "kept" == (await server.call("unknown_fields"))["_meta"]["x-extra"]
            with pytest.raises(RpcError) as caught:
                await server.call("rpc_error")
            assert (-32050, "rpc_error") == (caught.value.code, caught.value.data["tool"])
            with pytest.raises(RpcError) as caught:
                await server.call("nope")
            assert -32602 == caught.value.code

    async def test_notifications(self) -> None:
        """Progress, log messages and list changes arrive, and the list has changed."""
        async with open_gateway(command=fake("--tools", "progress,log,change_tools")) as server:
            await server.initialize()
            await server.call("progress", {"steps": 3}, meta={"progressToken": 0})
            steps = [message["params"]["progress"] for message in server.notifications]
            assert [1, 2, 3] == steps
            await server.call("log", {"level": "error"})
            assert "error" == (await server.wait_notification("notifications/message"))["level"]
            assert "new" == await text_of(server, "change_tools", {"name": "new"})
            await server.wait_notification("notifications/tools/list_changed", after=3)
            assert "new" in await names_of(server)

    async def test_slow_calls(self, tmp_path: Path) -> None:
        """A slow call lets others pass; cancelled, it is logged and never answered."""
        log = tmp_path / "log"
        async with open_gateway(command=fake("--tools", "slow", "--log", log)) as server:
            await server.initialize()
            pending = server.begin_call("slow", {"seconds": 50})
            assert "slept 0" == await text_of(server, "slow", {"seconds": 0})
            server.cancel(pending)
            assert {} == await server.request("ping")
            assert [pending.id] == logged_cancelled(log)
            assert 0 == await server.end()
            assert not pending.answered
        assert [
            "initialize",
            "notifications/initialized",
            "tools/call",
            "tools/call",
            "notifications/cancelled",
            "ping",
        ] == logged_methods(log)

    @pytest.mark.parametrize(
        ("tool", "method"),
        [
            ("ask_sampling", "sampling/createMessage"),
            ("ask_elicitation", "elicitation/create"),
            ("ask_roots", "roots/list"),
        ],
    )
    async def test_questions_to_the_client(self, tool: str, method: str) -> None:
        """The tool asks the client and tells what it said, be it a result or an error."""

        async def answer(params: Message) -> Message:
            return {"seen": sorted(params)}

        async with open_gateway(command=fake("--tools", tool)) as server:
            await server.initialize()
            refused = json.loads(await text_of(server, tool))
            assert -32601 == refused["error"]["code"]
            server.on_request[method] = answer
            answered = json.loads(await text_of(server, tool, {"params": {"a": 1}}))
            assert {"result": {"seen": ["a"]}} == answered
            assert [method, method] == [message["method"] for message in server.requests]

    async def test_bad_lines_and_banner(self) -> None:
        """Garbage and an answer to nothing come before the real answer."""
        async with open_gateway(command=fake("--tools", "bad_lines", "--banner")) as server:
            await server.initialize()
            assert "the real answer" == await text_of(server, "bad_lines")
            assert server.garbage[0].startswith(b"Fake server")
            assert 3 == len(server.garbage)
            assert ["never-asked"] == [message["id"] for message in server.strays]

    async def test_flood(self) -> None:
        """The server answers in the midst of its noise."""
        async with open_gateway(command=fake("--flood")) as server:
            await server.initialize()
            assert "hi" == await text_of(server, "echo", {"text": "hi"})
            assert 1000 < len(server.garbage)
            assert 0 == await server.end()

    async def test_resources_and_prompts(self) -> None:
        """There are resources, a template and a prompt, and -32002 for what is not there."""
        async with open_gateway(command=fake("--instructions", "Be kind.")) as server:
            assert "Be kind." == (await server.initialize())["instructions"]
            read = await server.request("resources/read", {"uri": "fake://one"})
            assert "the first resource" == read["contents"][0]["text"]
            with pytest.raises(RpcError) as caught:
                await server.request("resources/read", {"uri": "fake://none"})
            assert (-32002, {"uri": "fake://none"}) == (caught.value.code, caught.value.data)
            prompt = {"name": "greet", "arguments": {"name": "Ann"}}
            answer = await server.request("prompts/get", prompt)
            assert "Say hello to Ann." == answer["messages"][0]["content"]["text"]

    async def test_pages(self) -> None:
        """Every list comes in pages with opaque cursors."""
        async with open_gateway(command=fake("--tools", "a,b,c,d,e", "--page-size", 2)) as server:
            await server.initialize()
            pages: list[list[str]] = []
            params: Message = {}
            while True:
                page = await server.request("tools/list", params)
                pages.append([tool["name"] for tool in page["tools"]])
                if "nextCursor" not in page:
                    break
                params = {"cursor": page["nextCursor"]}
            assert [["a", "b"], ["c", "d"], ["e"]] == pages
            with pytest.raises(RpcError) as caught:
                await server.request("tools/list", {"cursor": "e30="})
            assert -32602 == caught.value.code

    async def test_what_it_declares(self) -> None:
        """Version and capabilities can be forced, and the first lists be empty."""
        flags = ("--protocol", "1999-01-01", "--no-capabilities", "--no-tools-first", 1)
        async with open_gateway(command=fake(*flags)) as server:
            result = await server.initialize()
            assert ("1999-01-01", {}) == (result["protocolVersion"], result["capabilities"])
            assert [] == await names_of(server)
            assert ["echo"] == await names_of(server)

    async def test_list_file(self, tmp_path: Path) -> None:
        """The list file is read at each list, with names and whole definitions."""
        path = tmp_path / "tools.json"
        path.write_text('["a"]')
        async with open_gateway(command=fake("--list-file", path)) as server:
            await server.initialize()
            assert ["a"] == await names_of(server)
            tool: dict[str, Any] = {"name": "b", "description": "Own."}
            path.write_text(json.dumps(["counter", tool]))
            listed = (await server.request("tools/list"))["tools"]
            assert {**tool, "inputSchema": {"type": "object"}} == listed[1]
            assert "1" == await text_of(server, "counter")

    async def test_crash_at_start_once(self, tmp_path: Path) -> None:
        """A crash at the start gives its code and stderr; with --once only the first time."""
        flags = ("--crash-at-start", 3, "--stderr", "no token", "--once", tmp_path / "mark")
        async with open_gateway(command=fake(*flags, "--pid-file", tmp_path / "pids")) as server:
            assert 3 == await server.wait()
            assert "no token\n" == server.stderr
        async with open_gateway(command=fake(*flags, "--pid-file", tmp_path / "pids")) as again:
            await again.initialize()
            assert [server.pid, again.pid] == pids_in(tmp_path / "pids")

    @pytest.mark.parametrize(("flags", "code"), [(["--die-on", "echo"], 137), ([], 5)])
    async def test_death_at_a_call(self, flags: list[str], code: int) -> None:
        """The process dies at a call without an answer."""
        async with open_gateway(command=fake("--tools", "echo,exit_now", *flags)) as server:
            await server.initialize()
            with pytest.raises(ConnectionError):
                await server.call("echo" if flags else "exit_now", {"code": code})
            assert code == await server.wait()

    async def test_stubborn_process(self, tmp_path: Path) -> None:
        """It can ignore EOF and SIGTERM and have a child; leaving the block ends them all."""
        flags = ("--ignore-eof", "--ignore-term", "--grandchild", "--pidfile", tmp_path / "pid")
        async with open_gateway(command=fake(*flags), grace=0.2) as server:
            await server.initialize()
            (grandchild,) = pids_in(tmp_path / "pid")
            os.kill(server.pid, signal.SIGTERM)
            with pytest.raises(TimeoutError):
                await server.end(timeout=0.3)
            assert sorted([server.pid, grandchild]) == processes_with(server.mark)
        assert [] == processes_with(server.mark)


async def test_generated_tools_of_the_echo_server() -> None:
    """ECHO_TOOLS adds tools that work, and other methods get their answers and errors."""
    async with open_gateway(command=echo_command(), env={"ECHO_TOOLS": "3"}) as server:
        await server.initialize()
        names = await names_of(server)
        assert ["echo", "echo_write", "generated_00000"] == names[:3]
        assert 5 == len(names)
        assert "hi" == await text_of(server, names[4], {"text": "hi"})
        pending = server.begin("tools/call", {"name": "echo", "arguments": {"text": "s"}}, id='"')
        assert "s" == (await pending.result())["content"][0]["text"]
        server.send_raw(b'{"jsonrpc"\n\n')
        for method, params in (("tools/call", {"name": "no"}), ("server/discover", {})):
            with pytest.raises(RpcError):
                await server.request(method, params)
        assert [-32700] == [message["error"]["code"] for message in server.strays]


def test_yaml_config() -> None:
    """A backend is its command or a whole section, and gets the mark beside its own variables."""
    text = yaml_config(
        {"a": ["x"], "b": {"command": ["y"], "env": {"K": "v"}}, "c": {"http_url": "u"}},
        mark="m",
        server={"port": 1},
    )
    assert {
        "server": {"port": 1},
        "backends": {
            "a": {"command": ["x"], "env": {MARK: "m"}},
            "b": {"command": ["y"], "env": {MARK: "m", "K": "v"}},
            "c": {"http_url": "u"},
        },
    } == json.loads(text)
