"""Real clients and real servers with the gateway between them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import mcp.types as types
import pytest
import trio
from fastmcp import Client as FastClient
from fastmcp.client.transports import StdioTransport
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.conftest import NpmServer
from tests.e2e.running import new_mark
from tests.support.driver import MARK, fake, processes_with, yaml_config
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.process, pytest.mark.real]

ASKING = fake("--tools", "echo,fail,progress,log,ask_sampling,ask_elicitation,ask_roots")


def script(name: str) -> list[str]:
    """Return the command of a server from PyPI that is installed beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    return [str(path)]


@attrs.frozen
class Setting:
    """The command with which a client starts its gateway, and the mark of all its processes."""

    folder: Path
    mark: str

    @classmethod
    def make(cls, folder: Path, backends: Mapping[str, list[str]]) -> Setting:
        """Write the gateway.yaml."""
        setting = cls(folder, new_mark())
        # Real servers may take long to start on a slow machine with cold caches.
        marked = {
            name: {"command": command, "timeout": "60s"} for name, command in backends.items()
        }
        (folder / "gateway.yaml").write_text(yaml_config(marked, mark=setting.mark))
        return setting

    @property
    def args(self) -> list[str]:
        """Arguments after the interpreter."""
        return ["-m", "mcpgw", "serve", "--mode", "stdio", "-c", str(self.folder / "gateway.yaml")]

    @property
    def env(self) -> dict[str, str]:
        """The environment of the gateway."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        return {**inherited, "MCP_GATEWAY_HOME": str(self.folder / "home"), MARK: self.mark}

    @property
    def parameters(self) -> StdioServerParameters:
        """The same for the official client."""
        return StdioServerParameters(command=sys.executable, args=self.args, env=self.env)


@asynccontextmanager
async def nothing_left(setting: Setting) -> AsyncIterator[None]:
    """Bound the time, and see that no process stays."""
    with trio.fail_after(3 * PATIENCE):
        yield
    with trio.move_on_after(PATIENCE):
        while processes_with(setting.mark):  # noqa: ASYNC110 - the kernel tells nobody
            await trio.sleep(0.02)
    assert [] == processes_with(setting.mark)


def first_text(result: types.CallToolResult) -> str:
    """Return the first text of a result."""
    [content, *_] = result.content
    assert isinstance(content, types.TextContent)
    return content.text


async def invoke(
    client: Client | ClientSession, server: str, tool: str, arguments: dict[str, Any], **more: Any
) -> types.CallToolResult:
    """Call a backend's tool."""
    given = {"server": server, "tool": tool, "arguments": arguments}
    result = await client.call_tool("gateway_invoke", given, **more)
    assert isinstance(result, types.CallToolResult)
    return result


async def best(client: Client | ClientSession, query: str) -> tuple[str, str]:
    """Return server and tool of the first hit of a search."""
    result = await client.call_tool("gateway_search_tools", {"query": query})
    assert isinstance(result, types.CallToolResult)
    assert result.structured_content == json.loads(first_text(result))
    match = result.structured_content["matches"][0]
    return match["server"], match["tool"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a git repository with one commit and one new file."""
    path = tmp_path / "repository"
    path.mkdir()
    (path / "read.me").write_text("hello\n")
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "The first commit"]):
        subprocess.run(["git", *words], cwd=path, check=True, stdin=subprocess.DEVNULL)
    (path / "fresh.txt").write_text("new\n")
    return path


ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
"""The revision that the official client comes to in each of its modes."""


class TestOfficialClient:
    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    async def test_python_servers(self, mode: Any, tmp_path: Path, repository: Path) -> None:
        """Search, call and errors of real servers, as the official client sees them."""
        setting = Setting.make(
            tmp_path, {"time": script("mcp-server-time"), "git": script("mcp-server-git")}
        )
        async with nothing_left(setting), Client(setting.parameters, mode=mode) as client:
            assert ERAS[mode] == client.protocol_version
            assert "mcp-gateway" == client.server_info.name
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert {"gateway_search_tools", "gateway_invoke"} <= set(names)
            for name in ("time", "git"):
                await client.call_tool("gateway_list_tools", {"server": name})
            assert ("time", "get_current_time") == await best(client, "what time is it now")
            assert ("time", "convert_time") == await best(client, "convert time between timezones")
            assert ("git", "git_status") == await best(client, "git status of the working tree")

            now = await invoke(client, "time", "get_current_time", {"timezone": "Etc/UTC"})
            assert not now.is_error
            assert "Etc/UTC" in first_text(now)
            status = await invoke(client, "git", "git_status", {"repo_path": str(repository)})
            assert not status.is_error
            assert "fresh.txt" in first_text(status)
            log = await invoke(client, "git", "git_log", {"repo_path": str(repository)})
            assert "The first commit" in first_text(log)

            wrong = await invoke(client, "time", "get_current_time", {"timezone": "Mars/Base"})
            assert wrong.is_error
            assert "Mars/Base" in first_text(wrong)
            wrong = await invoke(client, "git", "git_status", {"repo_path": str(tmp_path / "no")})
            assert wrong.is_error

    async def test_session_class(self, tmp_path: Path) -> None:
        """The lower of the official client's classes, with the progress of a call."""
        setting = Setting.make(tmp_path, {"fake": ASKING})
        reports: list[tuple[float, float | None, str | None]] = []

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            reports.append((progress, total, message))

        async with (
            nothing_left(setting),
            stdio_client(setting.parameters) as (read, write),
            ClientSession(read, write) as session,
        ):
            answer = await session.initialize()
            assert "2025-11-25" == answer.protocol_version
            assert "gateway_invoke" in [tool.name for tool in (await session.list_tools()).tools]
            result = await invoke(
                session, "fake", "progress", {"steps": 3}, progress_callback=progressed
            )
            assert "3 steps" == first_text(result)
            assert [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")] == reports
            failed = await invoke(session, "fake", "fail", {"text": "out of paper"})
            assert (True, "out of paper") == (failed.is_error, first_text(failed))

    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    async def test_a_backend_asks(self, mode: Any, tmp_path: Path) -> None:
        """Sampling, elicitation, roots and logs of a backend arrive at the client's callbacks."""
        setting = Setting.make(tmp_path, {"fake": ASKING})
        logs: list[types.LoggingMessageNotificationParams] = []
        async with nothing_left(setting), Client(
            setting.parameters,
            mode=mode,
            logging_callback=_keep(logs),
            log_level="info" if mode == "auto" else None,
            **CALLBACKS,
        ) as client:  # fmt: skip
            sampled = json.loads(first_text(await invoke(client, "fake", "ask_sampling", {})))
            assert "Paris" == sampled["result"]["content"]["text"]
            elicited = json.loads(first_text(await invoke(client, "fake", "ask_elicitation", {})))
            assert {"action": "accept", "content": {"name": "Ada"}} == elicited["result"]
            roots = json.loads(first_text(await invoke(client, "fake", "ask_roots", {})))
            assert ["file:///home/ada"] == [root["uri"] for root in roots["result"]["roots"]]
            await invoke(client, "fake", "log", {"level": "warning", "data": "careful"})
            with trio.fail_after(PATIENCE):
                while not logs:  # noqa: ASYNC110 - the callback tells nobody
                    await trio.sleep(0.02)
            assert ("warning", "fake/fake", "careful") == (
                logs[-1].level,
                logs[-1].logger,
                logs[-1].data,
            )


class TestNpmServers:
    async def test_everything(self, tmp_path: Path, npm_server: NpmServer) -> None:
        """All that server-everything can do passes through: content, prompts, resources, and
        what it asks of the client."""
        setting = Setting.make(tmp_path, {"everything": npm_server("server-everything")})
        reports: list[float] = []

        async def progressed(progress: float, _total: float | None, _message: str | None) -> None:
            reports.append(progress)

        async with (
            nothing_left(setting),
            Client(setting.parameters, mode="auto", **CALLBACKS) as client,
        ):
            await client.call_tool("gateway_list_tools", {"server": "everything"})
            assert ("everything", "get-sum") == await best(client, "sum of two numbers")
            total = await invoke(client, "everything", "get-sum", {"a": 2, "b": 3})
            assert "5" in first_text(total)
            weather = await invoke(
                client, "everything", "get-structured-content", {"location": "Chicago"}
            )
            assert weather.structured_content is not None
            assert {"temperature", "conditions", "humidity"} == weather.structured_content.keys()
            image = await invoke(client, "everything", "get-tiny-image", {})
            assert "image" in [content.type for content in image.content]
            wrong = await invoke(client, "everything", "get-sum", {"a": "x", "b": 3})
            assert wrong.is_error
            long = await invoke(
                client,
                "everything",
                "trigger-long-running-operation",
                {"duration": 1, "steps": 2},
                progress_callback=progressed,
            )
            assert not long.is_error
            assert [1, 2] == reports

            resources = (await client.list_resources()).resources
            assert resources
            read = await client.read_resource(str(resources[0].uri))
            assert read.contents
            assert (await client.list_resource_templates()).resource_templates
            prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
            assert "everything/simple-prompt" in prompts
            assert (await client.get_prompt("everything/simple-prompt")).messages
            given = await client.get_prompt("everything/args-prompt", {"city": "Paris"})
            assert "Paris" in str(given.messages[0].content)

            sampled = await invoke(
                client, "everything", "trigger-sampling-request", {"prompt": "hi", "maxTokens": 9}
            )
            assert "Paris" in str(sampled.content)
            elicited = await invoke(client, "everything", "trigger-elicitation-request", {})
            assert not elicited.is_error
            assert "Ada" in str(elicited.content)
            roots = await invoke(client, "everything", "get-roots-list", {})
            assert "file:///home/ada" in str(roots.content)

    async def test_filesystem_and_memory(self, tmp_path: Path, npm_server: NpmServer) -> None:
        """Files are written, read and refused, and a graph is remembered."""
        files = tmp_path / "files"
        files.mkdir()
        setting = Setting.make(
            tmp_path,
            {
                "files": npm_server("server-filesystem", str(files)),
                "memory": npm_server("server-memory"),
            },
        )
        async with nothing_left(setting), Client(setting.parameters) as client:
            for name in ("files", "memory"):
                await client.call_tool("gateway_list_tools", {"server": name})
            assert ("files", "write_file") == await best(client, "write a file")
            assert ("memory", "create_entities") == await best(
                client, "create entities in the knowledge graph"
            )
            path = str(files / "note.txt")
            written = await invoke(
                client, "files", "write_file", {"path": path, "content": "a note"}
            )
            assert not written.is_error, first_text(written)
            assert "a note" == await trio.Path(path).read_text()
            read = await invoke(client, "files", "read_text_file", {"path": path})
            assert "a note" == first_text(read)
            outside = await invoke(client, "files", "read_text_file", {"path": "/etc/passwd"})
            assert outside.is_error
            assert "outside" in first_text(outside)


class TestFastMcpClient:
    def test_a_session(self, tmp_path: Path) -> None:
        """FastMCP's client under asyncio lists, searches, calls, and answers what is asked."""
        setting = Setting.make(tmp_path, {"fake": ASKING, "time": script("mcp-server-time")})

        async def session() -> None:
            transport = StdioTransport(
                sys.executable, setting.args, env=setting.env, keep_alive=False
            )
            async with FastClient(
                transport, sampling_handler=_sample_fast, roots=["file:///home/ada"]
            ) as client:
                names = [tool.name for tool in await client.list_tools()]
                assert "gateway_search_tools" in names
                now = await client.call_tool(
                    "gateway_invoke",
                    {
                        "server": "time",
                        "tool": "get_current_time",
                        "arguments": {"timezone": "Etc/UTC"},
                    },
                )
                assert "Etc/UTC" in now.content[0].text
                sampled = await client.call_tool(
                    "gateway_invoke", {"server": "fake", "tool": "ask_sampling"}
                )
                assert "Paris" in sampled.content[0].text
                roots = await client.call_tool(
                    "gateway_invoke", {"server": "fake", "tool": "ask_roots"}
                )
                assert "file:///home/ada" in roots.content[0].text
                prompt = await client.get_prompt("fake/greet", {"name": "Ada"})
                assert "Ada" in str(prompt.messages[0].content)
                assert "fake://one" in [str(r.uri) for r in await client.list_resources()]
                contents = await client.read_resource("fake://one")
                assert "the first resource" in str(contents[0])

        async def bounded() -> None:
            await asyncio.wait_for(session(), 3 * PATIENCE)

        asyncio.run(bounded())

        async def look() -> None:
            async with nothing_left(setting):
                pass

        trio.run(look)


async def _sample(_context: Any, params: types.CreateMessageRequestParams) -> Any:
    assert params.messages
    content = types.TextContent(type="text", text="Paris")
    return types.CreateMessageResult(role="assistant", content=content, model="test")


async def _elicit(_context: Any, params: Any) -> types.ElicitResult:
    assert params.message
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def _roots(_context: Any) -> types.ListRootsResult:
    return types.ListRootsResult.model_validate({"roots": [{"uri": "file:///home/ada"}]})


async def _sample_fast(_messages: Any, _params: Any, _context: Any) -> str:
    return "Paris"


def _keep(logs: list[types.LoggingMessageNotificationParams]) -> Any:
    async def keep(params: types.LoggingMessageNotificationParams) -> None:
        logs.append(params)

    return keep


CALLBACKS: dict[str, Any] = {
    "sampling_callback": _sample,
    "elicitation_callback": _elicit,
    "list_roots_callback": _roots,
}
