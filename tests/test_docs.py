"""The documents: generated parts that match the code, examples that run, links that lead."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from mcpgw.cli.exit_codes import EXIT_STATUSES
from mcpgw.cli.fast_path import _parse
from mcpgw.config.environment import ENVIRONMENT
from mcpgw.config.loader import load
from mcpgw.config.reference import settings_table
from mcpgw.config.schema import GatewayConfig
from mcpgw.gateway.gateway import Gateway
from mcpgw.meta.registry import META_TOOLS, MetaToolRegistry
from mcpgw.pipeline.call import Recovery
from mcpgw.protocol.errors import ERROR_CODES
from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n\n?)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
EXAMPLE_ENVIRON = {"HOME": "/home/somebody", "PATH": os.defpath}


@attrs.frozen
class Block:
    """A fenced block of a page, with the comment that marks it."""

    mark: str
    kind: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page in their order."""
    for match in BLOCK.finditer(page.read_text("utf-8")):
        yield Block(match["mark"] or "", match["kind"], match["text"])


def marked(page: Path, mark: str) -> list[Block]:
    """Return the blocks of a page that have a mark."""
    return [block for block in blocks(page) if block.mark == mark]


def named(page: Path) -> str:
    """Return a page's name as test ids show it."""
    return str(page.relative_to(ROOT))


def matches(expected: str, printed: str) -> bool:
    """Tell whether a text is what a page says; `...` there stands for anything."""
    parts = [re.escape(part) for part in expected.split("...")]
    return re.fullmatch(".*".join(parts), printed, re.DOTALL) is not None


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    titles = (match["title"] for match in HEADING.finditer(page.read_text("utf-8")))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def make_docs() -> Iterator[ModuleType]:
    """Import scripts/make_docs.py."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        yield importlib.import_module("make_docs")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def reference(make_docs: ModuleType) -> str:
    """Return the reference page as it stands."""
    return str((ROOT / make_docs.REFERENCE).read_text("utf-8"))


class TestGenerated:
    """What scripts/make_docs.py writes."""

    def test_no_page_differs_from_the_code(self, make_docs: ModuleType) -> None:
        """Every generated part is what the code says now; else run scripts/make_docs.py."""
        assert [] == [named(path) for path, _ in make_docs.drifted(ROOT)]

    def test_it_is_the_same_each_time(self, make_docs: ModuleType) -> None:
        """Two runs give the same text."""
        assert make_docs.reference() == make_docs.reference()

    def test_a_part_between_markers_is_made_anew(self, make_docs: ModuleType) -> None:
        """What stands between the markers is replaced, and nothing around it."""
        page = "a\n<!-- generated: exit-statuses -->\nold\n<!-- end: exit-statuses -->\nb\n"
        filled = make_docs.filled(page)
        assert ("a", "b", False) == (filled[0], filled[-2], "old" in filled)
        assert "| `130` |" in filled

    def test_check_names_the_file_and_writes_nothing(
        self,
        make_docs: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """With --check a page that would change is named, the status is 1, the page stays."""
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "reference.md").write_text("old")
        monkeypatch.setattr(make_docs, "ROOT", tmp_path)
        assert 1 == make_docs.main(["--check"])
        assert "docs/reference.md" in capsys.readouterr().out
        assert "old" == (tmp_path / "docs" / "reference.md").read_text()
        assert 0 == make_docs.main([])
        assert 0 == make_docs.main(["--check"])

    @pytest.mark.parametrize("key", [row.key for row in settings_table()])
    def test_every_setting_has_its_row(self, key: str, reference: str) -> None:
        """A setting of gateway.yaml stands in the reference."""
        assert f"\n| `{key}` | " in reference

    @pytest.mark.parametrize("variable", ENVIRONMENT)
    def test_every_variable_has_its_row(self, variable: str, reference: str) -> None:
        """An environment variable stands in the reference."""
        assert f"\n| `{variable}` | " in reference

    def test_every_code_has_its_row(self, reference: str) -> None:
        """Error codes, codes of failed calls and exit statuses stand in the reference."""
        wanted = [f"`{int(code)}` | {code.name}" for code in ERROR_CODES]
        wanted += [f"`{each.code}` | `{str(each.retry).lower()}`" for each in Recovery]
        wanted += [f"`{int(status)}` | {status.meaning}" for status in EXIT_STATUSES]
        assert [] == [row for row in wanted if f"\n| {row} |" not in reference]

    def test_every_meta_tool_has_its_heading_and_arguments(self, reference: str) -> None:
        """A meta-tool stands in the reference with all its arguments, and in the README."""
        readme = (ROOT / "README.md").read_text("utf-8")
        for tool in META_TOOLS:
            part = reference.partition(f"\n### `{tool.name}`\n")[2].partition("\n### ")[0]
            assert "Annotations: " in part
            assert [] == [name for name in tool.properties if f"\n| `{name}` |" not in part]
            assert f"\n| `{tool.name}` |" in readme

    def test_every_command_has_its_help_text(self, make_docs: ModuleType, reference: str) -> None:
        """Each command, and each command below one, stands in the reference."""
        commands = make_docs.tables.command_names()
        assert {"mcp-gateway", "mcp-gateway serve", "mcp-gateway tool invoke"} <= set(commands)
        assert [] == [name for name in commands if f"\n### `{name}`\n" not in reference]


class TestExamples:
    """What the pages tell a reader to do."""

    @pytest.mark.process
    @pytest.mark.parametrize(
        "page",
        [page for page in PAGES if any(block.mark.startswith("run") for block in blocks(page))],
        ids=named,
    )
    def test_they_run_and_print_what_the_page_says(self, page: Path, tmp_path: Path) -> None:
        """The files and commands of a page, from top to bottom, do what it shows."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        environ |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MCP_GATEWAY_HOME": str(tmp_path / "home"),
        }
        printed = ""
        for block in blocks(page):
            if block.mark.startswith("file: "):
                file = tmp_path / block.mark.removeprefix("file: ")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, "utf-8")
            elif block.mark.startswith("run"):
                status = int(block.mark.partition("exit ")[2] or 0)
                done = subprocess.run(
                    ["sh", "-u", "-c", block.text],
                    cwd=tmp_path,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                logged = "".join(
                    line
                    for line in done.stderr.splitlines(keepends=True)
                    if not re.match(r"\d{4}-\d\d-\d\dT", line)
                )
                printed = done.stdout + logged
                assert (status, printed) == (done.returncode, printed)
            elif block.mark == "prints":
                assert matches(block.text, printed), f"{named(page)} says otherwise:\n{printed}"

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_configurations_load(self, page: Path, tmp_path: Path) -> None:
        """A gateway.yaml that a page offers to copy loads without a word."""
        for block in marked(page, "loads"):
            path = tmp_path / "gateway.yaml"
            path.write_text(block.text, "utf-8")
            loaded = load(path, environ=EXAMPLE_ENVIRON)
            assert () == loaded.warnings
            assert loaded.config != GatewayConfig()

    def test_the_example_file_loads(self) -> None:
        """examples/gateway.yaml loads without a warning and has the four servers."""
        loaded = load(ROOT / "examples" / "gateway.yaml", environ=EXAMPLE_ENVIRON)
        assert () == loaded.warnings
        assert ["time", "git", "files", "memory"] == list(loaded.config.backends)
        assert "/home/somebody/Documents" == loaded.config.backends["files"].command[-1]

    def test_clients_are_told_a_command_that_exists(self) -> None:
        """A client's configuration in the README starts the gateway in stdio mode."""
        snippets = marked(ROOT / "README.md", "client")
        assert 2 == len(snippets)
        for snippet in snippets:
            (entries,) = json.loads(snippet.text).values()
            entry = entries["gateway"]
            assert "mcp-gateway" == Path(entry["command"]).name
            assert {"mode": "stdio"} == _parse(entry["args"])

    def test_every_mark_is_known(self) -> None:
        """A misspelt mark would leave its example untested."""
        known = (
            r"generated: [\w-]+|file: [\w./]+|run(: exit \d+)?|prints|loads|client|the demo prints"
        )
        marks = [block.mark for page in PAGES for block in blocks(page) if block.mark]
        assert [] == [mark for mark in marks if not re.fullmatch(known, mark)]
        assert {"run", "prints", "loads", "client"} <= set(marks)

    def test_the_readme_has_the_sixteen_tools_it_speaks_of(self) -> None:
        """The number of tools in the README's words is the number of tools that are listed."""
        assert 16 == len(MetaToolRegistry().listed(Gateway(None, {}).context))
        assert "sixteen small tools" in (ROOT / "README.md").read_text("utf-8")


class TestLinks:
    """Where the pages lead."""

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_they_lead_somewhere(self, page: Path) -> None:
        """A relative link names a file that is there, and an anchor a heading that is there."""
        broken = []
        for match in LINK.finditer(page.read_text("utf-8")):
            target, _, anchor = match["target"].partition("#")
            if re.match(r"\w+:", target):
                continue
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append(match["target"])
        assert [] == broken


class TestDependencies:
    """docs/dependencies.md."""

    @pytest.fixture
    def project(self) -> dict[str, Any]:
        """Read the project's table of pyproject.toml."""
        project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return project

    def test_each_has_its_line_and_no_other(self, project: dict[str, Any]) -> None:
        """Every runtime dependency has one row, and every row is a runtime dependency."""
        page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
        rows = re.findall(r"^\| `([\w.-]+)` \|", page, re.MULTILINE)
        wanted = [re.split(r"[\[><=~! ]", entry)[0] for entry in project["dependencies"]]
        assert sorted(wanted) == sorted(rows)

    @pytest.mark.process
    def test_those_imported_at_the_start_are_no_others(self, project: dict[str, Any]) -> None:
        """What the first answer needs imports just the packages that the page says."""
        page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
        said = re.findall(r"^\| `([\w.-]+)` \|.*\| at the start \|$", page, re.MULTILINE)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, mcpgw.cli.fast_path, mcpgw.gateway.tree; print(*sys.modules)",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(done.stdout.split())
        names = [re.split(r"[\[><=~! ]", entry)[0] for entry in project["dependencies"]]
        assert sorted(said) == sorted(name for name in names if name.replace("-", "_") in loaded)
