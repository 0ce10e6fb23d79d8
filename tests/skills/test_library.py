"""All skills together, and as MCP resources."""

from __future__ import annotations

import base64
import json
import os
import re
import tomllib
from pathlib import Path

import attrs
import pytest

import mcpgw.config.package_data as shipped_module
from mcpgw.capabilities.parsing import read_capability
from mcpgw.config.loader import load
from mcpgw.skills.builtin import builtin_folder
from mcpgw.skills.fences import fenced_blocks
from mcpgw.skills.library import SkillLibrary, SkillNotFound, parse_uri, uri_of
from mcpgw.skills.model import Skill
from mcpgw.skills.parsing import parse_skill
from mcpgw.skills.registry import add_skills, remove_skill
from mcpgw.skills.scanning import screen
from tests.skills.making import text_of, write

ROOT = Path(__file__).resolve().parents[2]


def plain(name: str, description: str = "Imported.") -> Skill:
    return Skill(name=name, description=description, body="# Body\n")


@pytest.fixture
def library(tmp_path: Path) -> SkillLibrary:
    folder = write(
        tmp_path / "builtin",
        {
            "zeta/SKILL.md": text_of("zeta", "Comes with it."),
            "zeta/reference.md": "More.\n",
            "beta/SKILL.md": text_of("beta", "Comes with it."),
        },
    )
    return SkillLibrary(tmp_path / "skills.json", folder)


def registry_of(library: SkillLibrary) -> Path:
    assert library.registry_path is not None
    return library.registry_path


def names(library: SkillLibrary) -> list[str]:
    return [skill.name for skill in library.all()]


def test_what_it_knows(library: SkillLibrary) -> None:
    """Built-in skills come first; an imported one of the same name replaces them."""
    assert ("beta", "zeta") == library.refresh().added
    add_skills(registry_of(library), (plain("zeta"), plain("alpha")))
    changes = library.refresh()
    assert (("alpha",), (), ("zeta",)) == (changes.added, changes.removed, changes.changed)
    assert changes.any
    assert ["beta", "alpha", "zeta"] == names(library)
    assert plain("zeta") == library.get("zeta")
    assert [True, False, False] == [library.is_builtin(name) for name in ("beta", "zeta", "none")]
    remove_skill(registry_of(library), "zeta")
    assert ("zeta",) == library.refresh().changed
    assert library.is_builtin("zeta")
    registry_of(library).unlink()
    assert ("alpha",) == library.refresh().removed


def test_nothing_is_read_where_nothing_changed(
    library: SkillLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh opens no unchanged file."""
    add_skills(registry_of(library), (plain("alpha"),))
    library.refresh()
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *given: opened.append(given))
    monkeypatch.setattr(Path, "open", lambda *given: opened.append(given))
    assert not library.refresh().any
    assert [] == opened


def test_a_registry_that_breaks(library: SkillLibrary) -> None:
    """The last valid skills are kept while the file is invalid; the error is reported once."""
    add_skills(registry_of(library), (plain("alpha"),))
    library.refresh()
    whole = registry_of(library).read_bytes()
    registry_of(library).write_bytes(whole[:-5])
    (told,) = library.refresh().problems
    assert "invalid JSON" in told
    assert ["beta", "zeta", "alpha"] == names(library)
    assert () == library.refresh().problems
    assert (told,) == library.problems
    registry_of(library).write_bytes(whole)
    library.refresh()
    assert () == library.problems


def test_broken_skills_are_told(library: SkillLibrary) -> None:
    """An invalid built-in skill and an invalid entry are reported; the others are available."""
    assert library.builtin_folder is not None
    write(library.builtin_folder, {"bad/SKILL.md": "nothing"})
    entries = {"good": {"description": "d"}, "b\x1bad": {"description": "d"}}
    registry_of(library).write_text(json.dumps({"schema": 1, "skills": entries}))
    told = library.refresh().problems
    assert ["beta", "zeta", "good"] == names(library)
    assert any("bad/SKILL.md:1" in text for text in told)
    assert any("'b ad' is invalid: a name and a description are required" in t for t in told)


def test_without_folder_and_registry() -> None:
    """A library of nothing is empty and no fault."""
    library = SkillLibrary(None, None)
    assert not library.refresh().any
    assert ((), ()) == (library.all(), library.problems)


def test_resources(library: SkillLibrary) -> None:
    """Every skill and every auxiliary text is a resource that can be read under its URI."""
    foreign = attrs.evolve(
        plain("a b?c", "Two\nlines\x1b[2J " + "x" * 2000), auxiliary={"r é.md": "é"}
    )
    add_skills(registry_of(library), (foreign,))
    library.refresh()
    found = {each["uri"]: each for each in library.resources()}
    assert [
        "skill://beta",
        "skill://zeta",
        "skill://zeta/reference.md",
        "skill://a%20b%3Fc",
        "skill://a%20b%3Fc/r%20%C3%A9.md",
    ] == list(found)
    for uri, each in found.items():
        assert each["description"].isprintable()
        assert len(each["description"]) <= 1024
        assert ("text/markdown", ["assistant"]) == (
            each["mimeType"],
            each["annotations"]["audience"],
        )
        (content,) = library.read(uri)
        assert (uri, "text/markdown") == (content["uri"], content["mimeType"])
        assert each["size"] == len(content["text"].encode())
    assert "Title" == found["skill://beta"]["title"]
    assert "More.\n" == library.read("skill://zeta/reference.md")[0]["text"]


def test_reading_gives_a_skill_that_can_be_read(library: SkillLibrary) -> None:
    """Both the short and the long URI give the whole SKILL.md."""
    skill = attrs.evolve(plain("alpha"), keywords=("k",), extra={"license": "MIT"})
    add_skills(registry_of(library), (skill,))
    library.refresh()
    for uri in ("skill://alpha", "skill://alpha/", "skill://alpha/SKILL.md", "SKILL://Alpha"):
        assert skill == parse_skill(library.read(uri)[0]["text"])


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("skill://zetta", "Unknown skill 'zetta'. Did you mean 'zeta'?"),
        (
            "skill://nothing-at-all",
            "Unknown skill 'nothing-at-all'. resources/list shows all skills.",
        ),
        (
            "skill://zeta/../beta/SKILL.md",
            "has no file '../beta/SKILL.md'. Its files: SKILL.md, reference.md",
        ),
        ("skill://zeta/%2e%2e%2fsecret", "has no file '../secret'"),
        ("skill://", "Unknown skill ''"),
        ("file:///etc/passwd", "is not a skill URI"),
        ("skill://a%1b", "Unknown skill 'a'"),
    ],
)
def test_addresses_of_nothing(library: SkillLibrary, uri: str, words: str) -> None:
    """The error for an unknown text lists the known ones; nothing else can be read."""
    library.refresh()
    with pytest.raises(SkillNotFound) as caught:
        library.read(uri)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["a", "a b", "a/b", "é", "%41", "a#b?c"])
def test_addresses_there_and_back(name: str) -> None:
    """Any name and any file come back from their address."""
    assert (name, "") == parse_uri(uri_of(name))
    assert (name, "resources/ü.md") == parse_uri(uri_of(name, "resources/ü.md"))


def test_summaries(library: SkillLibrary) -> None:
    """A summary is JSON data without the texts."""
    library.refresh()
    skill = library.get("zeta")
    assert skill is not None
    summary = json.loads(json.dumps(library.summary(skill)))
    assert ("zeta", True, "skill://zeta", ["reference.md"]) == (
        summary["name"],
        summary["builtin"],
        summary["uri"],
        summary["auxiliary_files"],
    )
    assert "body" not in summary


def shipped() -> SkillLibrary:
    library = SkillLibrary(None, builtin_folder())
    library.refresh()
    return library


def test_the_shipped_skills() -> None:
    """Some skills come with the gateway; all can be read, and each is in a folder of its name."""
    library = shipped()
    assert () == library.problems
    assert 4 <= len(library.all()) <= 12
    for skill in library.all():
        assert Path(skill.source_path).parent.name == skill.name
        assert re.fullmatch(r"[a-z0-9-]{1,64}", skill.name)
        assert len(skill.description) <= LONGEST_SHIPPED
        assert () == screen(skill)


LONGEST_SHIPPED = 300


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("how do I find a tool", "gateway-find-tools"),
        ("a tool call is refused because of its arguments", "gateway-find-tools"),
        ("wrap a REST API as a tool", "gateway-add-rest-api"),
        ("write a capability yaml file", "gateway-add-rest-api"),
        ("my server does not start", "gateway-debug-server"),
        ("the circuit breaker is open", "gateway-debug-server"),
        ("use fewer tokens", "gateway-save-tokens"),
        ("what did this session cost", "gateway-save-tokens"),
        ("hash mismatch after an update", "gateway-pins-and-trust"),
        ("can I trust this before I import it", "gateway-pins-and-trust"),
    ],
)
def test_questions_find_the_shipped_skill(question: str, name: str) -> None:
    """A question in plain words finds the skill that answers it first."""
    assert name == shipped().search(question, 1)[0].skill.name


def test_what_the_shipped_skills_name_is_there() -> None:
    """The meta-tools and the skills that a shipped skill names exist, and its JSON is JSON."""
    from mcpgw.meta.registry import META_TOOLS

    known = {tool.name for tool in META_TOOLS}
    library = shipped()
    skills = {skill.name for skill in library.all()}
    for skill in library.all():
        assert set(re.findall(r"\bgateway_[a-z_]+", skill.body)) <= known
        assert set(skill.allowed_tools) <= known
        assert set(re.findall(r"`(gateway-[a-z-]+)`", skill.body)) <= skills
        for block in skill.code_blocks:
            assert block.lang != "json" or json.loads(block.content)


def test_the_examples_of_the_shipped_skills_load(tmp_path: Path) -> None:
    """The capability that the skill shows is one without a fault, and so are its settings."""
    seen = 0
    for skill in shipped().all():
        for block in fenced_blocks(skill.body):
            if block.lang != "yaml":
                continue
            if block.content.startswith("fulcrum:"):
                _, warnings = read_capability(Path("book_search.yaml"), block.content.encode())
                assert () == warnings
                seen += 1
            elif block.content.startswith("backends:"):
                file = tmp_path / "gateway.yaml"
                file.write_text(block.content)
                loaded = load(file, environ={"HOME": "/home/somebody", "PATH": os.defpath})
                assert [] == [str(problem) for problem in loaded.warnings]
                seen += 1
    assert 3 == seen


def test_where_the_shipped_skills_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it is the folder beside the package, in an installed one that inside it."""
    assert ROOT / "skills" == builtin_folder()
    monkeypatch.setattr(shipped_module, "_PACKAGE", tmp_path / "mcpgw")
    (tmp_path / "skills").mkdir()
    assert builtin_folder() is None
    (tmp_path / "pyproject.toml").write_text("")
    assert tmp_path / "skills" == builtin_folder()
    (tmp_path / "mcpgw" / "_data" / "skills").mkdir(parents=True)
    assert tmp_path / "mcpgw" / "_data" / "skills" == builtin_folder()


def test_the_wheel_ships_the_skills() -> None:
    """The wheel contains the folder at the path that the installed package uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    targets = project["tool"]["hatch"]["build"]["targets"]
    assert "mcpgw/_data/skills" == targets["wheel"]["force-include"]["skills"]
    assert "skills" in targets["sdist"]["include"]


def test_files_of_any_kind(library: SkillLibrary) -> None:
    """Each has its media type; bytes are base64, also after a restart."""
    data = bytes(range(256))
    skill = attrs.evolve(
        plain("alpha"),
        auxiliary={"scripts/run.py": "print()", "notes": "plain", "odd\nname.md": "x"},
        blobs={"assets/logo.png": data, "data.bin": b"\0"},
    )
    add_skills(registry_of(library), (skill,))
    for each in (library, SkillLibrary(registry_of(library), None)):
        each.refresh()
        listed = {one["uri"]: one for one in each.resources()}
        kinds = {
            "scripts/run.py": "text/x-python",
            "notes": "text/plain",
            "odd%0Aname.md": "text/markdown",
            "assets/logo.png": "image/png",
            "data.bin": "application/octet-stream",
        }
        for file, kind in kinds.items():
            uri = f"skill://alpha/{file}"
            (content,) = each.read(uri)
            assert (kind, kind) == (listed[uri]["mimeType"], content["mimeType"])
            assert listed[uri]["name"].isprintable()
        (content,) = each.read("skill://alpha/assets/logo.png")
        assert "text" not in content
        assert data == base64.b64decode(content["blob"])
        assert len(data) == listed["skill://alpha/assets/logo.png"]["size"]
