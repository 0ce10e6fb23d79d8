"""Hostile names, descriptions, errors and results: no command lets one control the terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shell import Shell, shell_in
from tests.e2e.test_secrets import LEAKY
from tests.observe.test_printable import controls
from tests.support.driver import fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

HOSTILE = "x\x1b]0;PWNED\x07\x1b[2J\x9b2J\x7f\b\u202e\u2066\u2028y"
FORGED = "x\r\nfake  row  of a table"
COMMANDS = (
    ("tool", "list"),
    ("tool", "list", "-f", "plain"),
    ("tool", "list", "-f", "json"),
    ("tool", "inspect", f"names:{HOSTILE}"),
    ("tool", "inspect", f"names:{HOSTILE}", "-f", "json"),
    ("tool", "invoke", f"names:{HOSTILE}", "-f", "json"),
    ("tool", "invoke", "says:result", "-f", "json"),
    ("tool", "invoke", "says:rpc_error", "-f", "table"),
    ("tool", "invoke", "says:die"),
    ("tool", "invoke", "names:xPWNED"),
    ("search", "the tool of a table"),
    ("search", "the tool of a table", "-f", "plain"),
    ("search", "the tool of a table", "-f", "json", "--explain"),
    ("doctor",),
    ("doctor", "-f", "plain"),
    ("doctor", "-f", "json"),
    ("stats",),
    ("stats", "-f", "json"),
    ("approvals", "list", "--all"),
    ("approvals", "show", "names", HOSTILE),
    ("approvals", "list", "--all", "-f", "json"),
    ("auth", "status"),
    ("cap", "validate", "bad.yaml"),
    ("cap", "list", "."),
    ("cap", "show", "bad.yaml"),
    ("cap", "search", HOSTILE),
    ("skills", "import", "skill"),
    ("skills", "list"),
    ("skills", "search", HOSTILE),
    ("validate", "tools.json"),
    ("validate", "tools.json", "-f", "json"),
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Give a folder with servers, files and a skill that are hostile in every text."""
    folder = tmp_path_factory.mktemp("hostile")
    tools = [
        {"name": name, "title": name, "description": f"The tool {name}", "inputSchema": schema}
        for name in (HOSTILE, FORGED)
        for schema in [{"type": "object", "properties": {name: {"description": HOSTILE}}}]
    ]
    (folder / "tools.json").write_text(json.dumps(tools))
    (folder / "bad.yaml").write_text(
        json.dumps({"name": HOSTILE, "description": HOSTILE, HOSTILE: HOSTILE})
    )
    (folder / "skill").mkdir()
    (folder / "skill" / "SKILL.md").write_text(
        f"---\nname: skill\ndescription: {json.dumps(HOSTILE)}\n---\nBody {HOSTILE}\n"
    )
    names = fake("--list-file", folder / "tools.json")
    says = {"command": [sys.executable, str(LEAKY), "serve"], "env": {"WHAT": f"{HOSTILE}{FORGED}"}}
    dies = {"command": [sys.executable, str(LEAKY), "die"], "env": {"WHAT": HOSTILE}}
    with shell_in(folder, {}) as shell:
        retry = {"retry": {"max_attempts": 1}}
        off = {"tool_poisoning": "off"}
        backends = {"names": names, "says": says, "dies": dies}
        shell.configure(backends, security=off, failsafe=retry)
        yield shell


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands(shell: Shell, words: tuple[str, ...]) -> None:
    """Piped output of every command holds no control character but line breaks and tabs."""
    more = ("--registry", "r.json") if words[0] == "skills" else ()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mcpgw",
            *words,
            *more,
        ],
        input=b"",
        capture_output=True,
        cwd=shell.folder,
        env=shell.environment(),
        timeout=2 * PATIENCE,
        check=False,
    )
    text = (done.stdout + done.stderr).decode()
    assert "Traceback" not in text
    assert set(controls(text)) <= {"\n", "\t"}
    assert not any(line.startswith("fake  row") for line in done.stdout.decode().splitlines())


def test_commands_print_through_one_module() -> None:
    """No command writes text by itself, except texts whose foreign parts were escaped before."""
    folder = Path(__file__).parents[2] / "mcpgw" / "cli"
    own = {"output.py", "app.py", "stats.py", "validation.py", "doctor/__init__.py"}
    others = {
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        if "click.echo(" in file.read_text()
    }
    assert others <= own


def test_withheld_definitions(shell: Shell, tmp_path: Path) -> None:
    """The log and the doctor name what is withheld, in escapes."""
    names = fake("--list-file", shell.folder / "tools.json")
    with shell_in(tmp_path, {"names": names}) as strict:
        for words in (("tool", "list"), ("doctor",)):
            done = strict.run(*words)
            assert set(controls(done.out + done.err)) <= {"\n", "\t"}
            assert r"\x1b" in done.out + done.err


class TestResults:
    """Texts of results: for people and for programs."""

    @pytest.fixture
    def words(self, shell: Shell) -> list[str]:
        """Give a command that prints a hostile text of a result, of two lines."""
        tool = [sys.executable, "-m", "mcpgw", "tool", "invoke", "says:result", "-f", "plain"]
        return [*tool, "-c", str(shell.folder / "gateway.yaml")]

    def test_piped(self, shell: Shell, words: list[str]) -> None:
        """A program gets every byte of the text."""
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=shell.environment(),
            check=True,
        )
        assert f"before {HOSTILE}{FORGED} after\n" == done.stdout.decode()

    def test_at_a_terminal(self, shell: Shell, words: list[str]) -> None:
        """A person sees escapes; line breaks and tabs work."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env=shell.environment(),
        )
        os.close(theirs)
        written = b""
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            written += piece
        os.close(ours)
        assert 0 == process.wait(PATIENCE)
        text = written.decode().replace("\r\n", "\n")
        assert set(controls(text)) <= {"\n"}
        assert text.startswith(r"before x\x1b]0;PWNED\x07")
        assert "\nfake  row" in text
