"""Commands whose code would contain an input are refused; all others run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.command_rules import code_from_inputs
from mcpgw.capabilities.parsing import read_capability
from mcpgw.config.problems import ConfigError

CODE = [
    ["sh", "-c", "echo {v}"],
    ["sh", "-c", "{v}"],
    ["/bin/bash", "-lc", "x {v}"],
    ["bash", "-x", "-c", "-e", "x {v}"],
    ["bash", "--rcfile", "f", "-c", "x {v}"],
    ["bash", "-o", "pipefail", "-c", "x {v}"],
    ["zsh", "-ic", "x {v|y}"],
    ["fish", "--command=x {v}"],
    ["sh", "{v}"],
    ["python", "-c", "print('{v}')"],
    ["python3.12", "-Ic", "print({v})"],
    ["/usr/bin/python3", "-cprint({v})"],
    ["python", "-m", "{v}"],
    ["python", "{v}", "x"],
    ["node", "-e", "f('{v}')"],
    ["node", "--require", "x", "-pe", "{v}"],
    ["node", "--eval=f({v})"],
    ["deno", "eval", "f({v})"],
    ["bun", "-e", "{v}"],
    ["perl", "-ne", "print {v}"],
    ["perl", "-e", "1;", "-e", "print {v}"],
    ["perl", "-e{v}"],
    ["ruby", "-rjson", "-e", "puts {v}"],
    ["php", "-r", "echo {v};"],
    ["Rscript", "-e", "{v}"],
    ["osascript", "-e", 'say "{v}"'],
    ["lua5.4", "-e", "{v}"],
    ["powershell", "-NoProfile", "-Command", "Get-Item", "{v}"],
    ["pwsh", "-c", "x {v}"],
    ["powershell.exe", "-EncodedCommand", "{v}"],
    ["pwsh", "Get-Item {v}"],
    ["cmd", "/c", "dir", "{v}"],
    ["C:\\Windows\\cmd.exe", "/d/c", "dir {v}"],
    ["env", "sh", "-c", "x {v}"],
    ["env", "-u", "A", "B=1", "sh", "-c", "x {v}"],
    ["env", "-S", "sh -c {v}"],
    ["env", "{v}"],
    ["sudo", "-u", "me", "bash", "-c", "x {v}"],
    ["nice", "-n", "5", "sh", "-c", "x {v}"],
    ["timeout", "5", "{v}"],
    ["timeout", "-k", "1", "5", "sh", "-c", "x {v}"],
    ["xargs", "-I", "X", "sh", "-c", "x {v}"],
    ["busybox", "sh", "-c", "x {v}"],
    ["docker", "exec", "box", "sh", "-c", "x {v}"],
    ["kubectl", "exec", "pod", "--", "bash", "-lc", "x {v}"],
    ["uv", "run", "python", "-c", "f({v})"],
    ["find", ".", "-exec", "sh", "-c", "x {v}", ";"],
    ["find", ".", "-exec", "{v}", ";"],
    ["ssh", "host", "x {v}"],
    ["ssh", "-p", "22", "host", "ls", "{v}"],
    ["ssh", "-o", "ProxyCommand={v}", "host"],
    ["watch", "-n", "1", "ls", "{v}"],
    ["parallel", "x {v}", ":::", "a"],
    ["eval", "{v}"],
    ["su", "me", "-c", "x {v}"],
    ["script", "-qc", "x {v}", "/dev/null"],
    ["flock", "/tmp/l", "-c", "x {v}"],
    ["npx", "-c", "x {v}"],
    ["npm", "exec", "-c", "x {v}"],
    ["awk", "/{v}/", "file"],
    ["awk", "-F", ",", "{v}", "file"],
    ["sed", "-n", "{v}p", "file"],
    ["sed", "-e", "s/a/{v}/", "file"],
    ["psql", "-c", "select '{v}'"],
    ["mysql", "-e{v}"],
    ["sqlite3", "db", "{v}"],
    ["sh", "-c", ["echo {v}"]],
    ["sh", "-c", {"json": "{v}"}],
    ["sh", ["-c", "echo {v}"]],
    ["nu", "-c", "{v}"],
    ["python3", "-W", "ignore", "-X", "dev", "-c", "{v}"],
    ["perl", "-I", "lib", "-e", "{v}"],
    ["ruby", "-C", "dir", "-e", "{v}"],
    ["php", "-d", "a=1", "-r", "{v}"],
    ["bash", "-O", "extglob", "-c", "{v}"],
    ["PowerShell", "-ExecutionPolicy", "Bypass", "-Command", "{v}"],
    ["tar", "-cf", "a.tar", "--to-command={v}", "dir"],
    ["tar", "-xf", "a.tar", "-I", "{v}"],
    ["tar", "cf", "a.tar", "--checkpoint=1", "--checkpoint-action", "{v}"],
    ["rsync", "-a", "-e", "{v}", "a", "b"],
    ["rsync", "a", "b", "--rsh=ssh {v}"],
    ["sort", "--compress-program={v}", "file"],
    ["git", "-C", "dir", "-c", "{v}", "status"],
    ["ghci", "-e", "{v}"],
    ["gdb", "-batch", "-ex", "{v}"],
    ["vim", "-es", "-c", "{v}", "file"],
    ["nvim", "+{v}"],
    ["tmux", "new", "-d", "{v}"],
    ["make", "-C", "dir", "NAME={v}"],
]
PLAIN = [
    ["echo", "{v}"],
    ["grep", "-e", "{v}", "file"],
    ["git", "log", "-c", "{v}"],
    ["sh", "-c", 'echo "$1"', "sh", "{v}"],
    ["bash", "-euc", 'echo "$1"', "-", "{v}"],
    ["sh", "script.sh", "{v}"],
    ["sh", "script.sh", "-c", "{v}"],
    ["python", "-c", "import sys", "{v}"],
    ["python", "-m", "json.tool", "{v}"],
    ["python3", "-W", "ignore", "tool.py", "-c", "{v}"],
    ["node", "tool.js", "-e", "{v}"],
    ["perl", "-ne", "print", "{v}"],
    ["powershell", "-NoProfile", "-File", "tool.ps1", "{v}"],
    ["kubectl", "get", "node", "{v}"],
    ["tool", "script", "{v}"],
    ["tool", "env", "{v}"],
    ["timeout", "{v}", "sleep", "5"],
    ["nice", "-n", "{v}", "sleep", "5"],
    ["env", "NAME={v}", "tool"],
    ["xargs", "-n", "1", "echo", "{v}"],
    ["ssh", "{v}", "uptime"],
    ["ssh", "-p", "22", "{v}", "uptime"],
    ["awk", "-v", "x={v}", "1", "file"],
    ["awk", "1", "{v}"],
    ["sed", "-n", "1p", "{v}"],
    ["sed", "-f", "a.sed", "{v}"],
    ["psql", "-f", "q.sql", "-v", "id={v}"],
    ["sqlite3", "-safe", "db", "{v}"],
    ["jq", "{v}", "file"],
    ["sh", "-c", "echo {env.NAME}"],
    ["docker", "run", "python", "{v}"],
    ["git", "-C", "{v}", "status"],
    ["git", "commit", "-m", "{v}"],
    ["git", "-c", "core.pager=cat", "log", "{v}"],
    ["tar", "-czf", "a.tgz", "{v}"],
    ["tar", "-C", "{v}", "-xf", "a.tar"],
    ["rsync", "-av", "--delete", "{v}", "host:dir"],
    ["rsync", "-e", "ssh", "{v}", "host:dir"],
    ["sort", "-k", "2", "{v}"],
    ["make", "-C", "dir", "-j", "{v}", "all"],
    ["python3", "-X", "dev", "tool.py", "{v}"],
    ["ruby", "-C", "{v}", "tool.rb"],
]


@pytest.mark.parametrize("command", CODE, ids=str)
def test_code_with_an_input_is_refused(command: list[Any]) -> None:
    """Whatever the interpreter, its options and the wrappers around it."""
    problem = code_from_inputs(command)
    assert problem is not None
    assert "command" == problem.key
    word = command[problem.index[0]]
    assert "{v" in str(word[problem.index[1]] if len(problem.index) > 1 else word)


@pytest.mark.parametrize("command", PLAIN, ids=str)
def test_an_input_as_an_argument_is_fine(command: list[Any]) -> None:
    """Also of a program that is called like an interpreter, or after its code."""
    assert code_from_inputs(command) is None


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (["sh"], True),
        (["bash", "-s", "x"], True),
        (["python3", "-"], True),
        (["env", "node"], True),
        (["psql", "db"], True),
        (["at", "now"], True),
        (["xargs", "-I", "%", "sh", "-c", "echo %"], True),
        (["xargs", "-i", "sh", "-c", "echo {}"], True),
        (["xargs", "-I%", "sh", "-c", 'echo "$1"', "sh", "%"], False),
        (["xargs", "-I", "%", "echo", "%"], False),
        (["xargs", "sh", "-c", "echo x"], False),
        (["sh", "-c", "cat"], False),
        (["python", "tool.py"], False),
        (["python", "-m", "json.tool"], False),
        (["cat"], False),
        (["docker", "exec", "-i", "box", "sh"], True),
        (["kubectl", "exec", "-i", "pod", "--", "python3", "-"], True),
        (["uv", "run", "python"], True),
        (["docker", "run", "-i", "python", "python", "tool.py"], False),
        (["docker", "exec", "-i", "box", "cat"], False),
        (["ssh", "-p", "22", "host"], True),
        (["ssh", "host", "python3", "-"], True),
        (["ssh", "host", "cat"], False),
        (["grep", "python"], False),
    ],
    ids=str,
)
def test_code_from_stdin(command: list[Any], refused: bool) -> None:
    """An interpreter without a script runs its input."""
    problem = code_from_inputs(command, "x {v}")
    assert refused is (problem is not None)
    assert problem is None or problem.key in ("stdin", "command")
    assert code_from_inputs(command, "plain") is None


def test_a_file_with_such_a_command_is_not_loaded() -> None:
    """The error has the line of the word, and the fix."""
    text = (
        "name: x\ndescription: x\n"
        "schema: {input: {type: object, properties: {v: {type: string}}}}\n"
        "providers:\n  primary:\n    service: cli\n    config:\n      command:\n"
        '        - sh\n        - -c\n        - "echo {v}"\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_capability(Path("x.yaml"), text.encode())
    (problem,) = caught.value.problems
    assert 11 == problem.line
    assert "of its own" in problem.hint
