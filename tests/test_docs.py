"""Documentation checks: generated parts, runnable examples, links, paths and promises."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import attrs
import click
import pytest

from mcpgw.cli.app import group
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
MARKS = (
    r"generated: [\w-]+|file: [\w./]+|run(: exit \d+)?|run against serve|prints|loads|client"
    r"|the demo prints|not run: \S.+"
)
GENERATED_PAGE = "<!-- Written by scripts/make_docs.py from the code. Do not edit. -->"
SERVED = "http://127.0.0.1:39400/"
"""The address of a running gateway in examples that are run against one."""
CODE = re.compile(r"`(?P<text>[^`\n]+)`")
MODULE = re.compile(r"\bmcpgw/[\w/]+\.py\b")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
EXAMPLE_ENVIRON = {"HOME": "/home/somebody", "PATH": os.defpath}


@attrs.frozen
class Block:
    """A fenced block of a page, with the comment before it."""

    mark: str
    kind: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    for match in BLOCK.finditer(page.read_text("utf-8")):
        yield Block(match["mark"] or "", match["kind"], match["text"])


def marked(page: Path, mark: str) -> list[Block]:
    """Return the blocks of a page with the given mark."""
    return [block for block in blocks(page) if block.mark == mark]


def named(page: Path) -> str:
    """Return the name of a page for test ids."""
    return str(page.relative_to(ROOT))


def matches(expected: str, printed: str) -> bool:
    """Return whether a printed text is as expected; `...` matches anything."""
    parts = [re.escape(part) for part in expected.split("...")]
    return re.fullmatch(".*".join(parts), printed, re.DOTALL) is not None


def part_of(page: Path, title: str) -> str:
    """Return the text of a section of the second level."""
    text = page.read_text("utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{named(page)} has no section {title!r}"
    return found[1]


def quoted(text: str) -> list[str]:
    """Return what a text has between backticks, outside of fenced blocks."""
    return [match["text"] for match in CODE.finditer(BLOCK.sub("", text))]


def command_lines(block: Block) -> list[list[str]]:
    """Return the arguments of each `mcp-gateway` command of a shell example."""
    joined = block.text.replace("\\\n", " ")
    lines = (shlex.split(line, comments=True) for line in joined.splitlines())
    return [line[1:] for line in lines if line and Path(line[0]).name == "mcp-gateway"]


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """Run `mcp-gateway serve` with the gateway.yaml of a folder; yield its address."""
    port = free_port()
    gateway = subprocess.Popen(
        ["mcp-gateway", "serve", "--port", str(port)],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert gateway.stderr is not None
        heard = ""
        for line in gateway.stderr:
            heard += line
            if "http.listening" in line:
                break
        else:
            pytest.fail(f"mcp-gateway serve ended:\n{heard}")
        yield f"http://127.0.0.1:{port}/"
    finally:
        gateway.terminate()
        gateway.communicate(timeout=PATIENCE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub creates them."""
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
    """Return the text of the reference page."""
    return str((ROOT / make_docs.REFERENCE).read_text("utf-8"))


class TestGenerated:
    """Output of scripts/make_docs.py."""

    def test_no_page_differs_from_the_code(self, make_docs: ModuleType) -> None:
        """Every generated part is up to date; if not, run scripts/make_docs.py."""
        assert [] == [named(path) for path, _ in make_docs.drifted(ROOT)]

    def test_it_is_the_same_each_time(self, make_docs: ModuleType) -> None:
        """Two runs return the same text."""
        assert make_docs.reference() == make_docs.reference()

    def test_a_part_between_markers_is_replaced(self, make_docs: ModuleType) -> None:
        """The text between the markers is replaced, and nothing around it."""
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
        """With --check an outdated page is named and kept, and the status is 1."""
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
        """Every setting of gateway.yaml is in the reference."""
        assert f"\n| `{key}` | " in reference

    @pytest.mark.parametrize("variable", ENVIRONMENT)
    def test_every_variable_has_its_row(self, variable: str, reference: str) -> None:
        """Every environment variable is in the reference."""
        assert f"\n| `{variable}` | " in reference

    def test_every_code_has_its_row(self, reference: str) -> None:
        """Error codes, codes of failed calls and exit statuses are in the reference."""
        wanted = [f"`{int(code)}` | {code.name}" for code in ERROR_CODES]
        wanted += [f"`{each.code}` | `{str(each.retry).lower()}`" for each in Recovery]
        wanted += [f"`{int(status)}` | {status.meaning}" for status in EXIT_STATUSES]
        assert [] == [row for row in wanted if f"\n| {row} |" not in reference]

    def test_every_meta_tool_has_its_heading_and_arguments(self, reference: str) -> None:
        """Every meta-tool is in the reference with all its arguments, and in the README."""
        readme = (ROOT / "README.md").read_text("utf-8")
        for tool in META_TOOLS:
            part = reference.partition(f"\n### `{tool.name}`\n")[2].partition("\n### ")[0]
            assert "Annotations: " in part
            assert [] == [name for name in tool.properties if f"\n| `{name}` |" not in part]
            assert f"\n| `{tool.name}` |" in readme

    def test_every_command_has_its_help_text(self, make_docs: ModuleType, reference: str) -> None:
        """Every command and subcommand is in the reference."""
        commands = make_docs.tables.command_names()
        assert {"mcp-gateway", "mcp-gateway serve", "mcp-gateway tool invoke"} <= set(commands)
        assert [] == [name for name in commands if f"\n### `{name}`\n" not in reference]


class TestExamples:
    """Examples in the pages."""

    @pytest.mark.process
    @pytest.mark.parametrize(
        "page",
        [page for page in PAGES if any(block.mark.startswith("run") for block in blocks(page))],
        ids=named,
    )
    def test_they_run_and_print_what_the_page_says(self, page: Path, tmp_path: Path) -> None:
        """The files and commands of a page, in order, have the printed results."""
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
                with contextlib.ExitStack() as stack:
                    script = block.text
                    if block.mark == "run against serve":
                        assert SERVED in script
                        if shutil.which("curl") is None:
                            pytest.skip("needs curl")
                        address = stack.enter_context(serving(tmp_path, environ))
                        script = script.replace(SERVED, address)
                    done = subprocess.run(
                        ["sh", "-u", "-c", script],
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
                assert matches(block.text, printed), f"{named(page)} differs:\n{printed}"

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_configurations_load(self, page: Path, tmp_path: Path) -> None:
        """A gateway.yaml in a page loads without warnings."""
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

    def test_client_configurations_start_an_existing_command(self) -> None:
        """Client configurations in the README start the gateway in stdio mode."""
        snippets = marked(ROOT / "README.md", "client")
        assert 2 == len(snippets)
        for snippet in snippets:
            (entries,) = json.loads(snippet.text).values()
            entry = entries["gateway"]
            assert "mcp-gateway" == Path(entry["command"]).name
            assert {"mode": "stdio"} == _parse(entry["args"])

    def test_every_mark_is_known(self) -> None:
        """A misspelled mark would leave its example untested."""
        marks = [block.mark for page in PAGES for block in blocks(page) if block.mark]
        assert [] == [mark for mark in marks if not re.fullmatch(MARKS, mark)]
        assert {"run", "run against serve", "prints", "loads", "client"} <= set(marks)

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_every_block_is_marked(self, page: Path) -> None:
        """Every fenced block is tested or marked with a reason; generated pages are compared.

        CONTRIBUTING.md lists the marks.
        """
        text = page.read_text("utf-8")
        if GENERATED_PAGE in text:
            return
        assert text.count("```") == 2 * len(list(blocks(page)))
        assert [] == [block.text for block in blocks(page) if not block.mark]

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_commands_that_are_not_run_exist(self, page: Path) -> None:
        """Commands and options in shell examples are accepted by the command line."""
        for block in blocks(page):
            if block.kind == "sh" and block.mark.startswith("not run"):
                for arguments in command_lines(block):
                    command: click.Command = group
                    context = click.Context(group, info_name="mcp-gateway")
                    rest = arguments
                    while isinstance(command, click.Group) and rest and rest[0][0] != "-":
                        found = command.get_command(context, rest[0])
                        assert found is not None, f"no such command: {arguments}"
                        context = click.Context(found, info_name=rest[0], parent=context)
                        command, rest = found, rest[1:]
                    if rest != ["--version"]:
                        command.make_context(command.name, list(rest))

    def test_the_excerpt_is_from_the_picture(self) -> None:
        """The README's excerpt of the demo shows the same numbers as the picture above it."""
        (excerpt,) = marked(ROOT / "README.md", "the demo prints")
        picture = ElementTree.parse(ROOT / "docs" / "images" / "demo.svg")
        drawn = "\n".join("".join(each.itertext()) for each in picture.iter())
        numbers = re.findall(r"\d\.\d{3}|\d{4}-\d\d-\d\dT[\d:+]+", excerpt.text)
        assert len(numbers) > 2
        assert [] == [number for number in numbers if number not in drawn]

    def test_the_number_of_tools_in_the_readme_is_right(self) -> None:
        """The README's number of tools is the number of listed tools."""
        assert 16 == len(MetaToolRegistry().listed(Gateway(None, {}).context))
        assert "sixteen small tools" in (ROOT / "README.md").read_text("utf-8")


class TestLinks:
    """Links between pages."""

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_targets_exist(self, page: Path) -> None:
        """Relative links point to existing files, and anchors to existing headings."""
        broken = []
        for match in LINK.finditer(page.read_text("utf-8")):
            target, _, anchor = match["target"].partition("#")
            if re.match(r"\w+:", target):
                continue
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append(match["target"])
        assert [] == broken


class TestPaths:
    """Paths and modules mentioned in the pages."""

    @pytest.mark.parametrize("page", PAGES, ids=named)
    def test_they_exist(self, page: Path) -> None:
        """Paths of the package, the scripts and the tests exist."""
        whole = page.read_text("utf-8")
        missing = [text for text in MODULE.findall(whole) if not (ROOT / text).is_file()]
        for text in quoted(whole):
            if re.fullmatch(r"(mcpgw|scripts|tests|docs|benchmarks|examples)/[\w./-]*", text):
                if not (ROOT / text).exists():
                    missing.append(text)
            elif re.fullmatch(r"mcpgw(\.\w+)+", text):
                path = ROOT / text.replace(".", "/")
                if not (path.is_dir() or path.with_suffix(".py").exists()):
                    missing.append(text)
        assert [] == missing

    def test_module_names_in_the_architecture_exist(self) -> None:
        """A bare `name.py` in a section is a module of a package that the section mentions."""
        page = ROOT / "docs" / "architecture.md"
        missing = []
        for title in HEADING.findall(page.read_text("utf-8"))[1:]:
            found = quoted(part_of(page, title))
            packages = [ROOT / text for text in found if re.fullmatch(r"mcpgw(/\w+)+", text)]
            packages += [(ROOT / text).parent for text in found if text.startswith("mcpgw/")]
            bare = [text for text in found if re.fullmatch(r"\w+\.py", text)]
            missing += [
                f"{title}: {name}"
                for name in bare
                if not any((folder / name).exists() for folder in packages)
            ]
        assert [] == missing

    def test_the_code_map_answers_twenty_questions(self) -> None:
        """Each question has one existing file, and each file answers one question."""
        page = ROOT / "docs" / "architecture.md"
        rows = re.findall(r"^\| (.+\?) \| `([^`]+)` \|$", part_of(page, "Code map"), re.MULTILINE)
        assert 20 == len(rows) == len({question for question, _ in rows})
        files = [file for _, file in rows]
        assert len(files) == len(set(files))
        assert [] == [file for file in files if not (ROOT / file).is_file()]

    def test_the_stages_of_the_architecture_are_those_of_a_call(self) -> None:
        """The table lists all modules of mcpgw/pipeline/stages in the pipeline's order."""
        table = part_of(ROOT / "docs" / "architecture.md", "Pipeline stages")
        said = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        source = ast.parse((ROOT / "mcpgw" / "pipeline" / "pipeline.py").read_text("utf-8"))
        stage_of = {"_transform": "transform"}  # imports its module where it is needed
        composed = []
        for node in ast.walk(source):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                package, _, module = node.module.rpartition(".")
                if package == "mcpgw.pipeline.stages":
                    stage_of |= {each.name: module for each in node.names}
        for node in ast.walk(source):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                for element in node.value.elts:
                    names = [each.id for each in ast.walk(element) if isinstance(each, ast.Name)]
                    composed += list(dict.fromkeys(stage_of[n] for n in names if n in stage_of))
        assert [*composed, "send"] == said
        folder = ROOT / "mcpgw" / "pipeline" / "stages"
        modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        assert modules == set(said)


class TestTroubleshooting:
    """Messages in docs/troubleshooting.md."""

    def test_the_code_has_the_quoted_messages(self) -> None:
        """The fixed parts of the messages about servers that do not start are in the code."""
        table = part_of(ROOT / "docs" / "troubleshooting.md", "Server does not start")
        messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
        assert len(messages) > 4
        texts = [
            node.value.replace("`", "")
            for path in (ROOT / "mcpgw" / "backends").glob("*.py")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        parts = [
            part.strip()
            for message in messages
            for part in re.split(r"\.\.\.|'[^']*'|\d+|[()]", message)
            if len(part.strip()) > 4
        ]
        assert len(parts) >= len(messages)
        assert [] == [part for part in parts if not any(part in text for text in texts)]


class TestNotImplemented:
    """Features that the README lists as missing."""

    def test_every_setting_without_effect_is_named(self, make_docs: ModuleType) -> None:
        """The list has every setting without effect, and no setting with an effect."""
        unused = make_docs.tables.unused_keys()
        said = quoted(part_of(ROOT / "README.md", "Not implemented"))
        assert {"mtls", "security.firewall", "backends.NAME.secrets"} <= set(unused)
        assert [] == [key for key in unused if key not in said]
        read = {row.key.replace("<name>", "NAME") for row in settings_table()}
        # Settings that are read without effect, or mentioned as an alternative.
        pointed_to = {
            "backends.NAME.passthrough",
            "backends.NAME.a2a_url",
            "backends.NAME.timeout",
            "server.allow_unauthenticated",
        }
        assert pointed_to >= read & set(said)

    def test_its_commands_do_not_exist(self, make_docs: ModuleType) -> None:
        """Commands in the list are not commands of the gateway."""
        said = quoted(part_of(ROOT / "README.md", "Not implemented"))
        commands = [text for text in said if text.startswith("mcp-gateway ")]
        assert len(commands) > 4
        assert [] == [text for text in commands if text in make_docs.tables.command_names()]


def test_more_than_200_capabilities_are_built_in() -> None:
    """The README does not exaggerate the number of built-in capabilities."""
    assert "More than 200 capabilities" in (ROOT / "README.md").read_text("utf-8")
    assert len(list((ROOT / "capabilities").rglob("*.yaml"))) > 200


class TestDependencies:
    """Table of packages in docs/dependencies.md."""

    @pytest.fixture
    def project(self) -> dict[str, Any]:
        """Read the project's table of pyproject.toml."""
        project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return project

    def test_the_table_lists_the_runtime_dependencies(self, project: dict[str, Any]) -> None:
        """Every runtime dependency has one row, and there are no other rows."""
        page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
        rows = re.findall(r"^\| `([\w.-]+)` \|", page, re.MULTILINE)
        wanted = [re.split(r"[\[><=~! ]", entry)[0] for entry in project["dependencies"]]
        assert sorted(wanted) == sorted(rows)

    @pytest.mark.process
    def test_packages_imported_at_the_start_are_marked(self, project: dict[str, Any]) -> None:
        """The modules for the first answer import exactly the marked packages."""
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
        assert "sqlite3" not in loaded
        names = [re.split(r"[\[><=~! ]", entry)[0] for entry in project["dependencies"]]
        assert sorted(said) == sorted(name for name in names if name.replace("-", "_") in loaded)
