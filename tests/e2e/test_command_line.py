"""The command line itself: help, version, usage errors, which gateway.yaml, ways to serve."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mcpgw import __version__
from mcpgw.cli.exit_codes import FAILED, OK, USAGE
from tests.e2e.shell import Done, Shell, shell_in
from tests.support.driver import fake

pytestmark = pytest.mark.process


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a folder for commands."""
    with shell_in(tmp_path, {"one": fake()}) as shell:
        yield shell


def session(*requests: dict[str, Any]) -> str:
    """Return the lines that a client writes."""
    first = {
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "sh", "version": "0"},
        },
    }
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, **request})
        for number, request in enumerate((first, *requests), 1)
    ]
    lines.insert(1, json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    return "".join(f"{line}\n" for line in lines)


class TestBrokenConfiguration:
    @pytest.mark.parametrize(
        "words", [["list"], ["inspect", "one:echo"], ["invoke", "one:echo", "text=hello"]]
    )
    def test_file_and_line(self, words: Sequence[str], shell: Shell) -> None:
        """A broken file is status 1, with file, line, key and the nearest right key, once."""
        broken = "backends:\n  one:\n    command: cat\n    tiemout: 5s\n"
        (shell.folder / "gateway.yaml").write_text(broken)
        done = shell.run("tool", *words)
        assert (FAILED, "") == (done.status, done.out)
        assert 1 == done.err.count("gateway.yaml:4")
        for part in ("backends.one.tiemout", "timeout"):
            assert part in done.err

    def test_no_such_file(self, shell: Shell) -> None:
        """A file that is named and does not exist is status 1."""
        done = shell.run("tool", "list", "-c", "elsewhere.yaml")
        assert (FAILED, "") == (done.status, done.out)
        assert "elsewhere.yaml" in done.err

    def test_which_file(self, shell: Shell) -> None:
        """The option comes before the variable, this before the current folder; before and
        after the command's name it means the same."""
        for name in ("by_option", "by_variable", "here"):
            shell.configure({name: fake()})
            (shell.folder / "gateway.yaml").rename(shell.folder / f"{name}.yaml")
        (shell.folder / "here.yaml").rename(shell.folder / "gateway.yaml")
        variable = {"MCP_GATEWAY_CONFIG": "by_variable.yaml"}
        plain = ("-f", "plain")
        assert "here:echo\n" == shell.run("tool", "list", *plain).out
        assert "by_variable:echo\n" == shell.run("tool", "list", *plain, **variable).out
        option = ("-c", "by_option.yaml")
        assert "by_option:echo\n" == shell.run("tool", "list", *plain, *option, **variable).out
        assert "by_option:echo\n" == shell.run(*option, "tool", "list", *plain).out
        before = shell.run(*option, "tool", "list", *plain, **variable)
        assert "by_option:echo\n" == before.out


class TestCommandLine:
    @pytest.mark.parametrize(
        "command",
        [[], ["serve"], ["tool"], ["tool", "list"], ["tool", "inspect"], ["tool", "invoke"]],
        ids=" ".join,
    )
    def test_help(self, command: Sequence[str], shell: Shell) -> None:
        """Every command explains itself on stdout."""
        done = shell.run(*command, "--help")
        assert (OK, "") == (done.status, done.err)
        usage = " ".join(["Usage: mcp-gateway", *command])
        assert done.out.startswith(usage)
        assert "--help" in done.out
        assert done == shell.run(*command, "-h")

    def test_version(self, shell: Shell) -> None:
        """The version is said alone, so that scripts can read it."""
        for option in ("--version", "-V"):
            assert Done(OK, f"mcp-gateway {__version__}\n", "") == shell.run(option)

    @pytest.mark.parametrize(
        "words",
        [
            ["--wrong"],
            ["wrong"],
            ["serve", "--wrong"],
            ["serve", "--mode", "wrong"],
            ["serve", "--mode=wrong"],
            ["serve", "--mode"],
            ["serve", "--stdio", "--wrong"],
            ["serve", "--mode", "stdio", "extra"],
            ["serve", "--mode", "stdio", "--log-level", "loud"],
            ["serve", "--mode", "stdio", "--log-format", "xml"],
            ["serve", "--mode", "stdio", "-c"],
            ["tool", "wrong"],
            ["tool", "list", "--wrong"],
            ["tool", "inspect"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, words: Sequence[str], shell: Shell) -> None:
        """Unknown options are status 2 with a usage message, and nothing is started."""
        done = shell.run(*words, stdin=session({"method": "tools/list"}))
        assert (USAGE, "") == (done.status, done.out)
        assert "Usage: mcp-gateway" in done.err or "requires an argument" in done.err

    @pytest.mark.parametrize(
        "words",
        [
            ["serve", "--mode", "stdio"],
            ["serve", "--mode=stdio"],
            ["serve", "--stdio"],
            ["serve"],
            ["serve", "--stdio", "-c", "gateway.yaml", "--log-level", "WARNING"],
            ["serve", "--config=gateway.yaml", "--log-format=json", "--mode=stdio"],
            ["serve", "-cgateway.yaml", "--stdio"],
            ["-c", "gateway.yaml", "serve", "--stdio"],
            ["--log-level", "error", "serve", "--mode", "stdio"],
        ],
        ids=" ".join,
    )
    def test_ways_to_serve(self, words: Sequence[str], shell: Shell) -> None:
        """However it is written, the same session is served, with the calls at its end."""
        call = {"server": "one", "tool": "echo", "arguments": {"text": "hello"}}
        done = shell.run(
            *words,
            stdin=session(
                {"method": "tools/list"},
                {"method": "tools/call", "params": {"name": "gateway_invoke", "arguments": call}},
            ),
        )
        assert OK == done.status, done.err
        messages = [json.loads(line) for line in done.out.splitlines()]
        answers = {message["id"]: message["result"] for message in messages if "id" in message}
        assert {1, 2, 3} == answers.keys()
        assert "gateway_invoke" in [tool["name"] for tool in answers[2]["tools"]]
        assert "hello" == answers[3]["content"][0]["text"]
