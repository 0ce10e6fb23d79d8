"""`tool list`, `inspect` and `invoke` as a shell script meets them, with their exit statuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcpgw.cli.exit_codes import FAILED, INTERRUPTED, NOT_FOUND, OK, TOOL_ERROR, UNAVAILABLE, USAGE
from tests.e2e.shell import Done, Shell, shell_in
from tests.support.driver import fake, pids_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

TYPED = {
    "name": "typed",
    "description": "Takes a value of each kind.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "words": {"type": "string"},
            "count": {"type": "integer"},
            "ratio": {"type": "number"},
            "sure": {"type": "boolean"},
            "items": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object"},
        },
    },
}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a folder for commands."""
    with shell_in(tmp_path, {"one": fake("--tools", "echo,slow,fail,rpc_error,counter")}) as shell:
        yield shell


class TestList:
    def test_table(self, shell: Shell) -> None:
        """The table has a head, and a line for each tool."""
        done = shell.run("tool", "list")
        assert (OK, "") == (done.status, done.err)
        head, *lines = done.out.splitlines()
        assert ["SERVER", "TOOL", "DESCRIPTION"] == head.split()
        assert "one     echo       The tool echo of the fake server." == lines[0]
        assert 5 == len(lines)

    def test_plain(self, shell: Shell) -> None:
        """The plain form is what the other commands take: SERVER:TOOL."""
        done = shell.run("tool", "list", "--format", "plain")
        assert (OK, "") == (done.status, done.err)
        assert ["one:echo", "one:slow", "one:fail", "one:rpc_error", "one:counter"] == (
            done.out.splitlines()
        )

    def test_json(self, shell: Shell) -> None:
        """The JSON form is a list of objects."""
        done = shell.run("tool", "list", "-f", "json")
        assert (OK, "") == (done.status, done.err)
        first = {
            "server": "one",
            "name": "echo",
            "description": "The tool echo of the fake server.",
        }
        assert first == done.json[0]
        assert 5 == len(done.json)

    def test_one_server(self, shell: Shell) -> None:
        """With --server only that one's tools are listed, and only it is started."""
        pids = shell.folder / "pids"
        shell.configure({"one": fake("--pid-file", pids), "two": fake("--tools", "counter")})
        done = shell.run("tool", "list", "-s", "two", "-f", "plain")
        assert (OK, "two:counter\n") == (done.status, done.out)
        assert [] == pids_in(pids)
        unknown = shell.run("tool", "list", "--server", "tow")
        assert (NOT_FOUND, "") == (unknown.status, unknown.out)
        assert "two" in unknown.err

    def test_a_slow_server_is_waited_for(self, shell: Shell) -> None:
        """The list is whole although one server needs much longer to start than another."""
        shell.configure({"one": fake(), "two": fake("--delay-start", 4, "--tools", "counter")})
        done = shell.run("tool", "list", "-f", "plain")
        assert "one:echo\ntwo:counter\n" == done.out, done.err
        assert (OK, "") == (done.status, done.err)

    def test_a_server_that_does_not_start(self, shell: Shell) -> None:
        """Known tools are listed; stderr and the status report that the list is incomplete."""
        crashing = fake("--crash-at-start", 3, "--stderr", "no key in the keyring")
        shell.configure({"one": fake(), "two": crashing},
                        failsafe={"retry": {"initial_backoff": "10ms"}})  # fmt: skip
        done = shell.run("tool", "list", "-f", "plain")
        assert (FAILED, "one:echo\n") == (done.status, done.out)
        assert "'two'" in done.err
        assert "no key in the keyring" in done.err

    def test_no_server_at_all(self, shell: Shell) -> None:
        """Without servers, nothing is listed, with a warning and status 0."""
        shell.configure({})
        hint = "Warning: no servers are configured. Add one under `backends` in gateway.yaml.\n"
        assert Done(OK, "[]\n", hint) == shell.run("tool", "list", "-f", "json")
        assert Done(OK, "", hint) == shell.run("tool", "list", "-f", "plain")

    def test_it_is_remembered(self, shell: Shell) -> None:
        """The second time nothing is started."""
        pids = shell.folder / "pids"
        shell.configure({"one": fake("--pid-file", pids)})
        first = shell.run("tool", "list")
        assert first == shell.run("tool", "list")
        assert 1 == len(pids_in(pids))


class TestInspect:
    def test_json(self, shell: Shell) -> None:
        """The JSON form is the tool's definition, with its server."""
        done = shell.run("tool", "inspect", "one:echo", "--format", "json")
        assert (OK, "") == (done.status, done.err)
        assert {
            "server": "one",
            "name": "echo",
            "description": "The tool echo of the fake server.",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
            "annotations": {"readOnlyHint": True},
        } == done.json

    @pytest.mark.parametrize("form", ["table", "plain"])
    def test_for_people(self, form: str, shell: Shell) -> None:
        """The other forms say the same in lines."""
        done = shell.run("tool", "inspect", "echo", "-f", form)
        assert (OK, "") == (done.status, done.err)
        for part in ("one", "echo", "The tool echo of the fake server.", '"type": "string"'):
            assert part in done.out

    def test_not_found(self, shell: Shell) -> None:
        """A name that is wrong is answered with the nearest right one, and status 3."""
        for wanted, near in (("one:ecko", "echo"), ("ecko", "echo"), ("won:echo", "one")):
            done = shell.run("tool", "inspect", wanted)
            assert (NOT_FOUND, "") == (done.status, done.out)
            assert near in done.err.replace(wanted, "")


class TestInvoke:
    def test_forms(self, shell: Shell) -> None:
        """The whole result as JSON, or its texts."""
        done = shell.run("tool", "invoke", "one:echo", "text=hello")
        assert (OK, "") == (done.status, done.err)
        assert [{"type": "text", "text": "hello"}] == done.json["content"]
        for form in ("plain", "table"):
            done = shell.run("tool", "invoke", "echo", "text=hello", "-f", form)
            assert Done(OK, "hello\n", "") == done

    def test_values_are_typed_by_the_schema(self, shell: Shell) -> None:
        """KEY=VALUE is text where the schema wants text, else JSON, else text."""
        (shell.folder / "tools.json").write_text(json.dumps([TYPED]))
        shell.configure({"one": fake("--list-file", shell.folder / "tools.json")})
        done = shell.run(
            "tool", "invoke", "one:typed", "-f", "plain",
            "words=5", "count=5", "ratio=0.5", "sure=true", 'items=["a","b"]', 'more={"a": 1}',
            "unknown=null", "loose=a=b, and so on", "blank=",
        )  # fmt: skip
        assert (OK, "") == (done.status, done.err)
        assert {
            "words": "5",
            "count": 5,
            "ratio": 0.5,
            "sure": True,
            "items": ["a", "b"],
            "more": {"a": 1},
            "unknown": None,
            "loose": "a=b, and so on",
            "blank": "",
        } == done.json["arguments"]

    def test_json_from_stdin_and_option(self, shell: Shell) -> None:
        """stdin, --json and KEY=VALUE are laid over each other in this order."""
        (shell.folder / "tools.json").write_text(json.dumps([TYPED]))
        shell.configure({"one": fake("--list-file", shell.folder / "tools.json")})
        done = shell.run(
            "tool", "invoke", "typed", "-f", "plain", "--json", '{"count": 2, "ratio": 2}',
            "ratio=3", stdin='{"words": "ü", "count": 1, "ratio": 1}\n',
        )  # fmt: skip
        assert (OK, "") == (done.status, done.err)
        assert {"words": "ü", "count": 2, "ratio": 3} == done.json["arguments"]
        for option in ("-j", "-a", "--args"):
            done = shell.run("tool", "invoke", "typed", "-f", "plain", option, '{"count": 2}')
            assert {"count": 2} == done.json["arguments"]

    def test_the_tool_fails(self, shell: Shell) -> None:
        """A tool's own failure is status 4, and its words are the result."""
        done = shell.run("tool", "invoke", "one:fail", "text=out of paper", "-f", "plain")
        assert (TOOL_ERROR, "out of paper\n") == (done.status, done.out)
        done = shell.run("tool", "invoke", "one:fail", "text=out of paper")
        assert TOOL_ERROR == done.status
        assert done.json["isError"] is True

    def test_the_server_answers_with_an_error(self, shell: Shell) -> None:
        """A running server that refuses the call in time is not reported as unreachable."""
        done = shell.run("tool", "invoke", "one:rpc_error", "-f", "plain")
        assert "a protocol error of the backend" in done.out
        assert TOOL_ERROR == done.status

    def test_not_found(self, shell: Shell) -> None:
        """No such server or tool is status 3, with the nearest name."""
        for wanted, near in (("one:ecko", "echo"), ("ecko", "echo"), ("won:echo", "one")):
            done = shell.run("tool", "invoke", wanted, "text=hello")
            assert (NOT_FOUND, "") == (done.status, done.out)
            assert near in done.err.replace(wanted, "")

    def test_unavailable(self, shell: Shell) -> None:
        """A server that does not start, or answers too late, is status 5 with the cause."""
        shell.configure(
            {
                "dead": fake("--crash-at-start", 3, "--stderr", "no key in the keyring"),
                "none": ["/no/such/program"],
                "late": {"command": fake("--tools", "slow"), "timeout": "3s"},
            },
            failsafe={"retry": {"initial_backoff": "10ms"}},
        )
        dead = shell.run("tool", "invoke", "dead:echo", "text=hello", "-f", "plain")
        assert UNAVAILABLE == dead.status
        assert "no key in the keyring" in dead.out + dead.err
        none = shell.run("tool", "invoke", "none:echo", "-f", "plain")
        assert UNAVAILABLE == none.status
        assert "/no/such/program" in none.out + none.err
        assert OK == shell.run("tool", "list", "-s", "late").status
        late = shell.run("tool", "invoke", "late:slow", "seconds=60", "-f", "plain")
        assert UNAVAILABLE == late.status
        assert "3 s" in late.out + late.err

    @pytest.mark.parametrize(
        ("words", "stdin"),
        [
            (["one:echo", "text"], ""),
            (["one:echo", "=hello"], ""),
            (["one:echo", "--json", "{text: 1}"], ""),
            (["one:echo", "--json", "[1]"], ""),
            (["one:echo"], "{ not json"),
            (["one:echo"], "7"),
            ([], ""),
            (["one:echo", "--format", "xml"], ""),
        ],
    )
    def test_wrong_arguments(self, words: Sequence[str], stdin: str, shell: Shell) -> None:
        """Arguments that cannot be understood are status 2, and nothing on stdout."""
        done = shell.run("tool", "invoke", *words, stdin=stdin)
        assert (USAGE, "") == (done.status, done.out)
        assert done.err.strip()

    def test_a_name_on_several_servers(self, shell: Shell) -> None:
        """A tool's name alone is not enough where several servers have it."""
        shell.configure({"one": fake(), "two": fake()})
        done = shell.run("tool", "invoke", "echo", "text=hello")
        assert (USAGE, "") == (done.status, done.out)
        for choice in ("one:echo", "two:echo"):
            assert choice in done.err

    def test_logs_do_not_mix_with_the_result(self, shell: Shell) -> None:
        """Whatever the log level, stdout holds the result alone."""
        done = shell.run("tool", "invoke", "one:echo", "text=hello", "--log-level", "debug")
        assert (OK, "hello") == (done.status, done.json["content"][0]["text"])
        assert "backend.ready" in done.err
        done = shell.run("tool", "invoke", "one:echo", "text=hello",
                         MCP_GATEWAY_LOG_LEVEL="info", MCP_GATEWAY_LOG_FORMAT="json")  # fmt: skip
        assert "hello" == done.json["content"][0]["text"]
        assert "backend.ready" in [json.loads(line)["event"] for line in done.err.splitlines()]

    def test_interrupted(self, shell: Shell) -> None:
        """Control-C ends a call with status 130, without a traceback and with no process left."""
        log = shell.folder / "log"
        shell.configure({"one": fake("--tools", "slow", "--log", log)})
        process = subprocess.Popen(
            [sys.executable, "-m", "mcpgw", "tool", "invoke", "one:slow", "seconds=50"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=shell.folder,
            env=shell.environment(),
        )
        with process:
            end = time.monotonic() + PATIENCE
            while not (log.exists() and "tools/call" in log.read_text()):
                assert time.monotonic() < end, "the call never came"
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
        assert (INTERRUPTED, "") == (process.returncode, out)
        assert "Traceback" not in err


EXAMPLE = [sys.executable, "-m", "mcpgw.example"]
HANG = [sys.executable, "-c", "import sys; sys.stdin.read()"]


class TestServersThatDoNotAnswer:
    def test_a_list_has_the_others(self, shell: Shell) -> None:
        """The known tools are printed, and the missing server is named."""
        shell.configure({"one": fake("--tools", "echo"), "hang": HANG})
        done = shell.run("tool", "list", "-f", "plain", "--timeout", "1.5")
        assert (FAILED, "one:echo\n") == (done.status, done.out)
        assert "Server 'hang' has been starting" in done.err

    def test_a_list_is_printed_while_it_waits(self, shell: Shell) -> None:
        """After a few seconds the tools that are known are there, before the wait is over."""
        shell.configure({"one": fake("--tools", "echo"), "hang": HANG})
        process = subprocess.Popen(
            [sys.executable, "-m", "mcpgw", "tool", "list", "-f", "plain"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=shell.folder,
            env=shell.environment(PYTHONUNBUFFERED="1"),
            text=True,
        )
        began = time.monotonic()
        assert process.stdout is not None
        assert "one:echo\n" == process.stdout.readline()
        assert time.monotonic() - began < 30
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert "Waiting for hang" in err
        assert INTERRUPTED == process.returncode

    @pytest.mark.parametrize("name", ["hang:echo", "echo"])
    def test_a_call_says_so(self, shell: Shell, name: str) -> None:
        """A tool is not said to be missing from a server that has not answered `initialize`."""
        shell.configure({"hang": HANG})
        done = shell.run("tool", "invoke", name, "--timeout", "1")
        assert (UNAVAILABLE if ":" in name else NOT_FOUND) == done.status
        assert "has not answered `initialize` yet" in done.err

    def test_a_search_has_the_others(self, shell: Shell) -> None:
        """The ranking is of the tools that are known, and the missing server is named."""
        shell.configure({"one": fake("--tools", "echo"), "hang": HANG})
        done = shell.run("search", "echo", "-f", "plain", "--timeout", "1.5")
        assert (OK, "one:echo\n") == (done.status, done.out)
        assert "'hang' are not known yet" in done.err


class TestOwnErrors:
    def test_wrong_arguments_are_a_wrong_command_line(self, shell: Shell) -> None:
        """The call is not made: the reason is on stderr, and no result on stdout."""
        shell.configure({"one": EXAMPLE})
        done = shell.run("tool", "invoke", "one:slugify", "txt=hi", "-f", "plain")
        assert (USAGE, "") == (done.status, done.out)
        assert "'txt' (did you mean 'text'?)" in done.err

    def test_json_output_stays_json(self, shell: Shell) -> None:
        """A program gets the whole answer; a person the reason."""
        shell.configure({"one": EXAMPLE})
        done = shell.run("tool", "invoke", "one:slugify", "txt=hi")
        assert USAGE == done.status
        assert "INVALID_PARAM" == done.json["recovery"]["error_code"]
        assert "did you mean" in done.err

    def test_an_invalid_option_of_a_call(self, shell: Shell) -> None:
        """It is refused in one line."""
        done = shell.run("tool", "invoke", "one:echo", "text=hi", "_fields=1")
        assert (USAGE, "") == (done.status, done.out)
        assert "'_fields' must be a list" in done.err

    def test_no_meta_tool_is_named(self, shell: Shell) -> None:
        """A person at a terminal cannot call `gateway_list_servers`."""
        shell.configure({"one": [sys.executable, "-c", "raise SystemExit(3)"]})
        said = [
            shell.run("tool", "invoke", "one:echo", "-f", "plain"),
            shell.run("search", "no such thing at all"),
            shell.run("tool", "list"),
        ]
        for done in said:
            assert done.status != OK
            assert "gateway_" not in done.err + done.out
            assert ".." not in done.err.replace("...", "")
