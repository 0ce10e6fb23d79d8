"""Standard streams and signals of the commands: closed, full, and repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK, USAGE
from tests.e2e.shell import Shell, shell_in
from tests.support.driver import fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

MCPGW = f"{sys.executable} -m mcpgw"
COMMANDS = (
    "--version",
    "--help",
    "tool list",
    "tool invoke one:echo text=hi",
    "search echo",
    "stats",
    "doctor",
    "skills list",
    "cap registry-list",
)


POST = """
import sys, urllib.request as u
u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"}))
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a folder for commands."""
    with shell_in(tmp_path, {"one": fake("--tools", "echo,slow")}) as shell:
        yield shell


def sh(shell: Shell, text: str) -> subprocess.CompletedProcess[str]:
    """Run a command line with redirections."""
    return subprocess.run(
        ["sh", "-c", text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=shell.folder,
        env=shell.environment(),
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line(shell: Shell, command: str) -> None:
    """Whatever writes the output, the error is one line and the status is 1."""
    done = sh(shell, f"{MCPGW} {command} > /dev/full")
    lines = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert (FAILED, 1) == (done.returncode, len(lines)), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_leaves_is_no_error(shell: Shell, command: str) -> None:
    """`| true` ends a command without a word."""
    done = sh(shell, f"{{ {MCPGW} {command}; }} | true")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert "cannot be written" not in done.stderr


@pytest.mark.parametrize("mode", ["stdio", "proxy", "auto"])
@pytest.mark.parametrize(("closed", "name"), [("0<&-", "stdin"), (">&-", "stdout")])
def test_a_closed_stream_is_one_line(shell: Shell, mode: str, closed: str, name: str) -> None:
    """No client can be served there; no library's error is shown."""
    done = sh(shell, f"{MCPGW} serve --mode {mode} {closed}")
    assert FAILED == done.returncode
    assert f"{name} is closed" in done.stderr
    assert 1 == len(done.stderr.splitlines()), done.stderr


def test_other_commands_need_no_stdin(shell: Shell) -> None:
    """A command that reads nothing works with stdin closed."""
    done = sh(shell, f"{MCPGW} tool invoke one:echo text=hi -f plain 0<&-")
    assert (OK, "hi\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["stdio", "http"])
def test_a_second_signal_ends_at_once(shell: Shell, number: signal.Signals, mode: str) -> None:
    """Calls in flight are not waited for, and no process is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcpgw", "serve", "--mode", mode, "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=shell.folder,
        env=shell.environment(),
    )
    assert process.stderr is not None
    with process:
        call = {"server": "one", "tool": "slow", "arguments": {"seconds": 30}}
        params = {"name": "gateway_invoke", "arguments": call}
        message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
        waiting = None
        if mode == "stdio":
            assert process.stdin is not None
            begin = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            }
            first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin}
            for each in (first, message):
                process.stdin.write(json.dumps(each).encode() + b"\n")
            process.stdin.flush()
        else:
            line = b""
            while b"http.listening" not in line:
                line = process.stderr.readline()
            url = line.decode().split("url=")[1].split()[0]
            waiting = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    POST,
                    url,
                    json.dumps(message),
                ],
                stderr=subprocess.DEVNULL,
            )
        while b"backend.ready" not in (line := process.stderr.readline()) or b"=one" not in line:
            assert line
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(number)
        while b"signal_received" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(number)
        status = process.wait(PATIENCE)
        assert time.monotonic() - began < 5
        assert status in (-number, OK)
        if waiting is not None:
            waiting.wait(PATIENCE)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("serv", "serve"), ("tools", "tool"), ("skill", "skills"), ("serach", "search")],
)
def test_a_misspelt_command_is_corrected(shell: Shell, word: str, meant: str) -> None:
    """The closest command is named."""
    done = shell.run(word)
    assert USAGE == done.status
    assert f"Did you mean: {meant}?" in done.err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ("bridge --url docs.example.org/mcp --to stdio", USAGE, "must start with http"),
        ("bridge --url ftp://docs.example.org --to ws", USAGE, "must start with http"),
        ("approvals accept nobody", NOT_FOUND, "'nobody' has no pending definitions."),
        ("approvals accept nobody a", NOT_FOUND, "'nobody' has no pending definitions 'a'."),
        ("approvals forget nobody", NOT_FOUND, "There are no entries of 'nobody'."),
        ("approvals forget --missing", OK, ""),
        ("tool inspect one", NOT_FOUND, "'one' is a server; `tool list --server one` lists"),
        ("tool invoke one:", NOT_FOUND, "'one' is a server; `tool list --server one` lists"),
        ("cap install weather_curent", NOT_FOUND, "Did you mean: weather_current"),
    ],
)
def test_wrong_arguments(shell: Shell, arguments: str, status: int, told: str) -> None:
    """The error names the value and, if there is one, the right one."""
    done = shell.run(*arguments.split())
    assert status == done.status
    assert told in done.err
    assert bool(told) == bool(done.err)


def test_the_log_names_the_configuration_first(shell: Shell) -> None:
    """Whatever is logged first, the file in use comes before it; with debug, calls follow."""
    request = {"server": "one", "tool": "echo", "arguments": {"text": "hi"}}
    begin = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    lines = [
        {"id": 1, "method": "initialize", "params": begin},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "gateway_invoke", "arguments": request},
        },
        {
            "id": 3,
            "method": "tools/call",
            "params": {"name": "gateway_invoke", "arguments": {**request, "tool": "ehco"}},
        },
    ]
    stdin = "".join(json.dumps({"jsonrpc": "2.0", **line}) + "\n" for line in lines)
    done = shell.run("serve", "--mode", "stdio", "--log-level", "debug", stdin=stdin)
    told = done.err.splitlines()
    assert "config.used" in told[0]
    assert f"path={os.path.realpath(shell.folder)}/gateway.yaml" in told[0]
    calls = [line for line in told if "call.finished" in line]
    assert 1 == len(calls)
    assert "outcome=OK" in calls[0]
    assert "tool=echo" in calls[0]
    assert any("call.failed" in line and "ehco" in line for line in told)

    elsewhere = shell.folder / "empty"
    elsewhere.mkdir()
    done = Shell(elsewhere, shell.mark).run(
        "serve", "--mode", "stdio", stdin=stdin.replace("ehco", "echo")
    )
    assert "path=none" in done.err.splitlines()[0]
    assert "gateway.yaml" in done.err.splitlines()[0]


@pytest.mark.parametrize("mode", ["stdio", "http"])
def test_a_closed_stderr_is_no_failure(shell: Shell, mode: str) -> None:
    """Log lines, such as that of a server that does not start, go nowhere; calls are answered."""
    about = {"protocolVersion": "2025-11-25", "capabilities": {}}
    about["clientInfo"] = {"name": "t", "version": "1"}
    first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    call = {"server": "one", "tool": "echo", "arguments": {"text": "hi"}}
    params = {"name": "gateway_invoke", "arguments": call}
    second = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    if mode == "stdio":
        messages = shell.folder / "messages"
        messages.write_text("".join(f"{json.dumps(each)}\n" for each in (first, second)))
        done = sh(shell, f"{MCPGW} serve --mode stdio <messages 2>&-")
        assert OK == done.returncode
        assert '"hi"' in done.stdout
        return
    done = sh(shell, f"timeout -s INT 3 {MCPGW} serve --mode http --port 0 2>&-; echo $?")
    assert "124\n" == done.stdout
