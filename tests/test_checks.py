"""The checks of imports, module size, prose and version bounds in `scripts`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """Import the scripts."""
    names = ("check_imports", "check_size", "check_prose", "lowest_requirements")
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(SCRIPTS))


def package(folder: Path, **modules: str) -> Path:
    """Write the package `mcpgw` with these modules; `a__b` is the module `b` of the package `a`."""
    for name, source in modules.items():
        path = folder.joinpath("mcpgw", *name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for parent in path.relative_to(folder).parents[:-1]:
            (folder / parent / "__init__.py").touch()
    return folder


class TestImports:
    """check_imports.py."""

    @pytest.mark.parametrize(
        "back",
        [
            "from mcpgw.a import x",
            "from mcpgw import a",
            "import mcpgw.a",
            "from .a import x",
            "from . import a",
            "def f():\n    from mcpgw.a import x",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mcpgw.a import x",
        ],
    )
    def test_a_circle_is_found(
        self, scripts: dict[str, ModuleType], tmp_path: Path, back: str
    ) -> None:
        """An import back makes a circle, wherever and however it is written."""
        check = scripts["check_imports"]
        imports = check.read_imports(package(tmp_path, a="from mcpgw.b import y", b=back, c=""))
        assert [["mcpgw.a", "mcpgw.b"]] == check.cycles(imports)
        lines = check.describe(["mcpgw.a", "mcpgw.b"], imports)
        assert "  mcpgw.a imports y from mcpgw.b" == lines[0]

    def test_longer_circles_are_one(self, scripts: dict[str, ModuleType], tmp_path: Path) -> None:
        """Modules that reach each other over others are listed together, others are not."""
        check = scripts["check_imports"]
        root = package(
            tmp_path,
            a="import mcpgw.b",
            b="import mcpgw.d.e",
            d__e="import mcpgw.a",
            f="import mcpgw.a",
        )
        assert [["mcpgw.a", "mcpgw.b", "mcpgw.d.e"]] == check.cycles(check.read_imports(root))

    def test_a_package_may_import_its_modules(
        self, scripts: dict[str, ModuleType], tmp_path: Path
    ) -> None:
        """A module that imports its sibling does not import their package."""
        root = package(tmp_path, p__a="from mcpgw.p.b import x", p__b="x = 1")
        (root / "mcpgw/p/__init__.py").write_text("from mcpgw.p import a\nfrom mcpgw.p.b import x")
        check = scripts["check_imports"]
        assert [] == check.cycles(check.read_imports(root))

    def test_relative_imports_of_a_package(
        self, scripts: dict[str, ModuleType], tmp_path: Path
    ) -> None:
        """`..` of a package's `__init__` is the package above it."""
        root = package(tmp_path, p__a="", q="import mcpgw.p")
        (root / "mcpgw/p/__init__.py").write_text("from ..q import x")
        check = scripts["check_imports"]
        assert [["mcpgw.p", "mcpgw.q"]] == check.cycles(check.read_imports(root))


def test_a_long_module_is_found(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    """A module over the limit is listed with its number of lines."""
    root = package(tmp_path, a="\n" * 10, b="\n" * 11, c="\n" * 12)
    found = scripts["check_size"].long_modules(root, 10)
    assert [("c.py", 12), ("b.py", 11)] == [(path.name, lines) for path, lines in found]


class TestProse:
    """check_prose.py."""

    def hits(self, scripts: dict[str, ModuleType], source: str, *, page: bool = False) -> Any:
        """Return line and phrase of each hit in a source."""
        check = scripts["check_prose"]
        phrases, _ = check.read_phrases()
        texts = (check.page_texts if page else check.python_texts)(source)
        return [(hit.line, hit.found) for hit in check.hits_in("x", texts, source, phrases)]

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ('"""Who is let in."""', [(1, "Who"), (1, "let in")]),  # prose: ok
            ('x = 1\n"""Starts.\n\nBegins anew."""', [(4, "anew")]),
            ("# That is no\n# name.", [(1, "is no name")]),
            ('raise E(f"{a} is an object")', [(1, "is an object")]),
            ('def f():\n    """Return x; nobody\n    waits."""', [(2, "nobody")]),
        ],
    )
    def test_phrases_are_found(
        self, scripts: dict[str, ModuleType], source: str, expected: list[tuple[int, str]]
    ) -> None:
        """Docstrings, comments and messages are searched, each for what applies to it."""
        assert expected == self.hits(scripts, source)

    @pytest.mark.parametrize(
        "source",
        [
            'x = "nobody"  # prose: ok',
            '"""It is no longer used, and there is no other."""',
            '"""The value is an object of JSON."""',
            'nobody = "Why? What is this?"',
            '"""Returns what is wrong."""',
        ],
    )
    def test_good_texts_pass(self, scripts: dict[str, ModuleType], source: str) -> None:
        """Names, exempt lines, questions and good English are not hits."""
        assert [] == self.hits(scripts, source)

    def test_pages(self, scripts: dict[str, ModuleType]) -> None:
        """Headings and text are searched, code is not; a phrase may cross a line end."""
        source = (
            "# What it does\n\nThat\nis none.\n\n```\nanew\n```\n\n`anew`, <!-- prose: ok --> anew"
        )
        assert [(1, "What"), (4, "is none")] == self.hits(scripts, source, page=True)

    def test_every_phrase_has_a_hint(self, scripts: dict[str, ModuleType]) -> None:
        """The list can be read, and each of its files to leave out exists."""
        phrases, excluded = scripts["check_prose"].read_phrases()
        assert all(phrase.hint for phrase in phrases)
        assert [] == [path for path in excluded if not (SCRIPTS.parent / path).exists()]


class TestLowest:
    """lowest_requirements.py."""

    def test_bounds_become_pins(self, scripts: dict[str, ModuleType]) -> None:
        """Extras and upper bounds are left out."""
        project = {
            "dependencies": ["a>=1.2,<2", "b.c[d]>=0.3"],
            "optional-dependencies": {"e": ["f>=4"]},
        }
        assert ["a==1.2", "b.c==0.3", "f==4"] == scripts["lowest_requirements"].lowest(project)

    def test_every_dependency_needs_a_bound(self, scripts: dict[str, ModuleType]) -> None:
        """A dependency without `>=` ends the script with a message."""
        with pytest.raises(SystemExit, match="'a' has no lower bound"):
            scripts["lowest_requirements"].lowest({"dependencies": ["a"]})
