"""The demo: what it prints, that it fails loudly, and the picture that is made of it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mcpgw.gateway.gateway import Gateway
from mcpgw.meta.registry import MetaToolRegistry
from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "scripts" / "demo.py"
LISTED = MetaToolRegistry().listed(Gateway(None, {}).context)
ESCAPE = "\x1b["


def run_demo(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a person would, its output in a pipe."""
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return subprocess.run(
        [sys.executable, str(DEMO), *arguments],
        env={**kept, "COLUMNS": "92", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def masked(line: str) -> str:
    """Return a line without what differs from run to run."""
    return re.sub(r"\d+", "#", re.sub(r"Mon|Tues|Wednes|Thurs|Fri|Satur|Sun", "", line)).strip()


@pytest.fixture(scope="module")
def printed() -> str:
    """Run the demo once and return what it printed."""
    done = run_demo()
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def make_recording() -> Iterator[ModuleType]:
    """Import scripts/make_recording.py."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        yield importlib.import_module("make_recording")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.mark.process
class TestDemo:
    """scripts/demo.py."""

    def test_it_shows_every_step(self, printed: str) -> None:
        """The meta-tools, the search with its scores, the answer, the costs and the end."""
        assert [] == [tool.name for tool in LISTED if tool.name not in printed]
        assert re.search(r"\d\.\d{3}  example  current_time  ", printed)
        assert '"zone": "' in printed
        assert re.search(r"19 tools behind the gateway +[\d,]+ tokens", printed)
        assert f"{len(LISTED)} tools that the client sees" in printed
        assert "one token for 4 characters of compact JSON" in printed
        assert "Break-even is at about " in printed
        assert "The gateway ended with status 0" in printed

    def test_a_pipe_gets_no_colours(self, printed: str) -> None:
        """Outside of a terminal there are no escapes, and no lines of the protocol."""
        assert (False, False) == (ESCAPE in printed, "jsonrpc" in printed)

    def test_the_readme_shows_what_it_prints(self, printed: str) -> None:
        """Each line of the README's excerpt is a line of the demo, times and dates aside."""
        readme = (ROOT / "README.md").read_text("utf-8")
        excerpt = readme.partition("<!-- the demo prints -->\n```text\n")[2].partition("```")[0]
        lines = [masked(line) for line in printed.splitlines()]
        shown = [masked(line) for line in excerpt.splitlines() if line.strip()]
        assert len(shown) > 5
        missing = [
            line
            for line in shown
            if not any(other.startswith(line.removesuffix("...").rstrip()) for other in lines)
        ]
        assert [] == missing

    def test_verbose_shows_the_lines_of_the_conversation(self) -> None:
        """With --verbose every message is there as it went over the wire."""
        done = run_demo("--verbose")
        assert 0 == done.returncode
        assert re.search(
            r'^> \{"jsonrpc": "2.0", "id": 1, "method": "initialize"', done.stdout, re.M
        )
        assert re.search(r'^< \{.*"serverInfo"', done.stdout, re.M)

    def test_colours_can_be_asked_for(self) -> None:
        """With --color always there are escapes even in a pipe."""
        assert ESCAPE in run_demo("--color", "always").stdout

    @pytest.mark.parametrize(
        ("gateway", "reason"),
        [
            ("false", "the gateway ended before it answered initialize"),
            ("echo", "the gateway wrote a line that is not JSON: serve --mode stdio"),
            ("no-such-gateway", "No such file"),
        ],
    )
    def test_a_gateway_that_does_not_work_fails_it(self, gateway: str, reason: str) -> None:
        """If a step fails, the status is 1 and stderr has the reason."""
        done = run_demo("--gateway", gateway)
        assert (1, True) == (done.returncode, reason in done.stderr)
        assert "All of this really happened" not in done.stdout


class TestPicture:
    """scripts/make_recording.py."""

    def test_styles_become_runs(self, make_recording: ModuleType) -> None:
        """Each run knows its column, its text, its colour and its weight."""
        line = "a \x1b[1;34mhead\x1b[0m \x1b[32m██\x1b[0m"
        run, plain = make_recording.Run, make_recording.PLAIN
        blue, green = make_recording.COLOURS[34], make_recording.COLOURS[32]
        expected = [run(0, "a ", plain, False), run(2, "head", blue, True)]
        expected += [run(7, "██", green, False)]
        assert expected == list(make_recording.runs(line))

    def test_text_is_escaped_and_bars_are_drawn(self, make_recording: ModuleType) -> None:
        """The picture is well-formed XML whatever the text; a bar is a rectangle."""
        picture = make_recording.draw('<a> & "b"\n██', title='<"&">')
        root = ElementTree.fromstring(picture)
        texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
        assert ['<"&">', '<a> & "b"'] == texts
        assert 2 == len(list(root.iter("{http://www.w3.org/2000/svg}rect")))

    @pytest.mark.process
    def test_the_recording_in_the_readme_is_of_this_demo(self, printed: str) -> None:
        """The picture shows the lines that the demo prints; else run make_recording.py."""
        picture = ROOT / "docs" / "images" / "demo.svg"
        root = ElementTree.fromstring(picture.read_text("utf-8"))
        drawn = {masked("".join(each.itertext())) for each in root.iter()}
        steps = [masked(line) for line in printed.splitlines() if re.match(r"\d  ", line)]
        names = [step.split("  ")[1] for step in steps]
        assert 6 == len(names)
        assert [] == [name for name in names if f"#  {name}" not in drawn]
        assert [] == [tool.name for tool in LISTED if tool.name not in drawn]


def test_the_script_is_one_command() -> None:
    """scripts/demo can be run as it is."""
    assert os.access(ROOT / "scripts" / "demo", os.X_OK)
