"""A gateway among its own servers, directly or behind others, is refused and starts nothing."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from mcpgw.config.chain import (
    DEEPEST,
    MOST_TOKENS,
    GatewayChain,
    config_token,
    problem_of_start,
    read_chain,
)
from mcpgw.config.environment import CHAIN
from tests.support.driver import fake
from tests.support.fakes import yaml_config
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.http_session import http_session
from tests.support.patience import PATIENCE
from tests.support.processes import processes_with

ONE = fake("--tools", "echo")


class TestStart:
    def test_a_file_in_the_chain_is_refused_by_any_of_its_names(self, tmp_path: Path) -> None:
        """A symbolic link or a relative path is the same file."""
        file = tmp_path / "gateway.yaml"
        file.touch()
        link = tmp_path / "link.yaml"
        link.symlink_to(file)
        environ = {CHAIN: GatewayChain(file=file).to("me")}

        assert "among its own servers" in problem_of_start(link, environ)
        assert "" == problem_of_start(tmp_path / "other.yaml", environ)
        assert "" == problem_of_start(None, environ)
        assert "" == problem_of_start(file, {})

    def test_the_chain_has_a_greatest_length(self, tmp_path: Path) -> None:
        """Files with a new name each time end somewhere too."""
        chain = GatewayChain()
        for number in range(DEEPEST):
            assert "" == problem_of_start(tmp_path / "x", {CHAIN: ",".join(chain.above)})
            chain.file = tmp_path / f"{number}.yaml"
            chain = GatewayChain(read_chain(chain.to("next")))
        assert "started by one another" in problem_of_start(
            tmp_path / "x", {CHAIN: ",".join(chain.above)}
        )

    @pytest.mark.parametrize("text", ["", "x", "c-", "s-zz", "\n" * 9, "c-1 s-2", "c-" * 100_000])
    def test_other_text_is_ignored(self, text: str) -> None:
        """The variable and the header may hold anything."""
        assert () == read_chain(text)

    def test_the_chain_is_bounded(self) -> None:
        """A client cannot make it grow without end."""
        tokens = [f"s-{number:016x}" for number in range(3 * MOST_TOKENS)]
        chain = GatewayChain()
        assert MOST_TOKENS == len(read_chain(",".join(tokens)))
        for token in tokens:
            assert "" == chain.loop([token], None, ["a"])
        assert MOST_TOKENS == len(read_chain(chain.to("a")))

    def test_only_the_way_that_leads_back_is_refused(self) -> None:
        """A client behind one server may use another one."""
        chain = GatewayChain()
        tokens = read_chain(chain.to("a"))
        assert "a" == chain.loop(tokens, "a", ["a", "b"])
        assert "a" == chain.loop(tokens, None, ["a", "b"])
        assert "" == chain.loop(tokens, "b", ["a", "b"])
        assert "" == chain.loop(tokens, None, ["b"])
        assert "" == GatewayChain().loop(tokens, None, ["a", "b"])

    def test_a_token_does_not_tell_the_path(self) -> None:
        """Remote servers see the chain."""
        assert "secret" not in config_token(Path("/home/secret/gateway.yaml"))


def serving(config: Path, *more: str) -> list[str]:
    """Return the command of a gateway with a configuration."""
    return [sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio", "-c", str(config), *more]


def free_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def at_port(port: int, backends: dict[str, Any], folder: Path) -> AsyncIterator[HttpGateway]:
    """Run a gateway at a port."""
    await trio.Path(folder).mkdir(exist_ok=True)
    args = ("serve", "--mode", "http", "--port", str(port))
    async with http_gateway(backends, args=args, folder=folder) as gateway:
        yield gateway


async def invoke(gateway: HttpGateway, *path: str, tool: str, **arguments: Any) -> str:
    """Call a tool of the last server of a path through gateways; return the text."""
    call = {"server": path[-1], "tool": tool, "arguments": arguments}
    for name in path[-2::-1]:
        call = {"server": name, "tool": "gateway_invoke", "arguments": call}
    async with http_session(gateway.base, "/mcp") as session:
        result = await session.request("tools/call", {"name": "gateway_invoke", "arguments": call})
    return str(result["content"][0]["text"])


@pytest.mark.process
class TestLoops:
    async def test_the_same_configuration_as_a_command(self, tmp_path: Path) -> None:
        """The call is refused in words, other servers work, and no processes pile up."""
        me = serving(tmp_path / "gateway.yaml")
        async with http_gateway({"me": me, "one": ONE}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                said = await invoke(gateway, "me", tool="gateway_list_servers")
                assert "among its own servers" in said
                assert "hi" == await invoke(gateway, "one", tool="echo", text="hi")
            assert len(processes_with(gateway.mark)) < 6

    async def test_behind_another_gateway(self, tmp_path: Path) -> None:
        """A starts B, and B's attempt to start A again is refused; B's other servers work."""
        second = tmp_path / "second.yaml"
        first = serving(tmp_path / "gateway.yaml")
        second.write_text(yaml_config({"first": first, "one": ONE}, mark="unused"))
        async with http_gateway({"second": serving(second)}, folder=tmp_path) as gateway:
            with trio.fail_after(PATIENCE):
                assert "hi" == await invoke(gateway, "second", "one", tool="echo", text="hi")
                said = await invoke(gateway, "second", "first", tool="gateway_list_servers")
                assert "among its own servers" in said

    async def test_its_own_address(self, tmp_path: Path) -> None:
        """A URL that is the gateway's own is refused; its other servers work."""
        port = free_port()
        for path in ("/mcp", "/mcp/me"):
            backends = {"me": {"http_url": f"http://127.0.0.1:{port}{path}"}, "one": ONE}
            async with at_port(port, backends, tmp_path) as gateway:
                with trio.fail_after(PATIENCE):
                    said = await invoke(gateway, "me", tool="gateway_list_servers")
                    assert "'me' leads back to it" in said
                    assert "hi" == await invoke(gateway, "one", tool="echo", text="hi")

    async def test_two_gateways_that_are_servers_of_each_other(self, tmp_path: Path) -> None:
        """Whichever connects second is refused, and says so to the client."""
        ports = free_port(), free_port()
        first = {"second": {"http_url": f"http://127.0.0.1:{ports[1]}/mcp"}, "one": ONE}
        second = {"first": {"http_url": f"http://127.0.0.1:{ports[0]}/mcp"}, "one": ONE}
        async with (
            at_port(ports[0], first, tmp_path / "a") as gateway,
            at_port(ports[1], second, tmp_path / "b"),
        ):
            with trio.fail_after(PATIENCE):
                assert "hi" == await invoke(gateway, "second", "one", tool="echo", text="hi")
                said = await invoke(gateway, "second", "first", tool="gateway_list_servers")
                assert "leads back to it" in said

    async def test_one_server_of_each_other_is_no_loop(self, tmp_path: Path) -> None:
        """Two gateways may each show one server of the other."""
        ports = free_port(), free_port()
        first = {"theirs": {"http_url": f"http://127.0.0.1:{ports[1]}/mcp/one"}, "one": ONE}
        second = {"theirs": {"http_url": f"http://127.0.0.1:{ports[0]}/mcp/one"}, "one": ONE}
        async with (
            at_port(ports[0], first, tmp_path / "a") as gateway,
            at_port(ports[1], second, tmp_path / "b") as other,
        ):
            with trio.fail_after(PATIENCE):
                assert "hi" == await invoke(gateway, "theirs", tool="echo", text="hi")
                assert "hi" == await invoke(other, "theirs", tool="echo", text="hi")
