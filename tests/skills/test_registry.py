"""skills.json."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcpgw.skills import registry as registries
from mcpgw.skills.model import CodeBlock, Skill
from mcpgw.skills.registry import (
    RegistryError,
    add_skills,
    entry_of,
    read_registry,
    registry_path,
    remove_skill,
)

WHOLE = Skill(
    name="whole",
    description="Everything.",
    version="1.0",
    effort="low",
    allowed_tools=("Read",),
    triggers=("a", "b"),
    keywords=("k",),
    body="# Whole\n",
    code_blocks=(CodeBlock("sh", "echo"),),
    extra={"license": "MIT", "n": [1, None, True]},
    source_path="https://example.com/SKILL.md",
    source_url="https://example.com/SKILL.md",
    content_hash="sha256:" + 64 * "0",
    auxiliary={"reference.md": "é\n"},
)


def plain(name: str) -> Skill:
    return Skill(name=name, description=f"About {name}.")


def test_where_the_registry_is() -> None:
    """The option comes before the variable, and that before the state folder."""
    environ = {"MCP_GATEWAY_SKILLS_REGISTRY": "/v/s.json", "MCP_GATEWAY_HOME": "/home/x"}
    assert Path("/o/s.json") == registry_path(environ, "/o/s.json")
    assert Path("/v/s.json") == registry_path(environ)
    assert Path("/home/x/skills.json") == registry_path(
        {**environ, "MCP_GATEWAY_SKILLS_REGISTRY": ""}
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A skill comes back as it was; the file is ordered and private, without empty fields."""
    path = tmp_path / "new" / "skills.json"
    assert () == add_skills(path, (WHOLE, plain("b"), plain("a")))
    assert {"a": plain("a"), "b": plain("b"), "whole": WHOLE} == read_registry(path).skills
    document = json.loads(path.read_text("utf-8"))
    assert ["schema", "skills"] == list(document)
    assert 1 == document["schema"]
    assert ["a", "b", "whole"] == list(document["skills"])
    assert {"name": "a", "description": "About a."} == document["skills"]["a"]
    assert ["reference.md"] == document["skills"]["whole"]["auxiliary_files"]
    assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == path.parent.stat().st_mode & 0o777
    assert [".skills.json.lock", "skills.json"] == sorted(
        file.name for file in path.parent.iterdir()
    )


def test_the_same_name_replaces(tmp_path: Path) -> None:
    """A skill with a known name replaces the earlier one, which is reported."""
    path = tmp_path / "skills.json"
    add_skills(path, (plain("a"), plain("b")))
    newer = Skill(name="a", description="Newer.")
    assert ("a",) == add_skills(path, (newer,))
    assert {"a": newer, "b": plain("b")} == read_registry(path).skills


def test_removing(tmp_path: Path) -> None:
    """A skill is removed; removing an unknown one changes nothing and creates no file."""
    path = tmp_path / "skills.json"
    assert not remove_skill(path, "a")
    assert [] == list(tmp_path.iterdir())
    add_skills(path, (plain("a"), plain("b")))
    assert remove_skill(path, "a")
    assert not remove_skill(path, "a")
    assert ["b"] == list(read_registry(path).skills)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": 1,\n "skills": {', "skills.json:2: invalid JSON"),
        ("", "invalid JSON"),
        ("\xff\xfe", "invalid JSON"),
        ("[" * 100_000, "invalid JSON"),
        ("[]", "must be a JSON object with an object 'skills'"),
        ('{"skills": []}', "must be a JSON object with an object 'skills'"),
        ('{"schema": 2, "skills": {}}', "A newer version wrote the file"),
        ('{"schema": true}', "A newer version wrote the file"),
    ],
)
def test_a_broken_registry_is_never_overwritten(tmp_path: Path, text: str, words: str) -> None:
    """The error has the line, and the file stays the same, byte for byte."""
    path = tmp_path / "skills.json"
    path.write_text(text, "latin-1")
    for action in (
        lambda: read_registry(path),
        lambda: add_skills(path, (plain("a"),)),
        lambda: remove_skill(path, "a"),
    ):
        with pytest.raises(RegistryError) as caught:
            action()
        assert words in str(caught.value)
        assert text == path.read_text("latin-1")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("text", "the entry must be an object"),
        ({}, "a name and a description are required"),
        ({"description": 1}, "'description' must be a string"),
        ({"description": "d", "triggers": "a"}, "'triggers' must be a list"),
        ({"description": "d", "triggers": [1]}, "'triggers[0]' must be a string"),
        ({"description": "d", "code_blocks": ["x"]}, "'code_blocks' must be a list of objects"),
        ({"description": "d", "extra": []}, None),
        ({"description": "d", "extra": ["x"]}, "'extra' must be an object"),
        ({"description": "d", "auxiliary_texts": {"a": 1}}, "'a' must be a string"),
        ({"description": "d", "body": "\ud800"}, "'body' must be a string"),
    ],
)
def test_a_broken_entry(tmp_path: Path, entry: object, words: str | None) -> None:
    """A bad entry is reported and kept unchanged; the others can be used and changed."""
    path = tmp_path / "skills.json"
    document = {"schema": 1, "other": 7, "skills": {"bad": entry, "good": entry_of(plain("good"))}}
    path.write_text(json.dumps(document))
    registry = read_registry(path)
    assert ("good" in registry.skills) is True
    assert words == registry.broken.get("bad")
    add_skills(path, (plain("more"),))
    after = json.loads(path.read_text())
    assert (7, entry) == (after["other"], after["skills"]["bad"])
    assert ["bad", "good", "more"] == list(after["skills"])
    assert remove_skill(path, "bad")


def test_an_entry_of_the_reference(tmp_path: Path) -> None:
    """A registry without our own keys is read; unknown keys are ignored and kept."""
    path = tmp_path / "skills.json"
    entry = {"description": "d", "version": None, "auxiliary_files": ["x.md"], "later": {"a": 1}}
    path.write_text("\ufeff" + json.dumps({"schema": 1, "skills": {"old": entry}}))
    assert {"old": Skill(name="old", description="d")} == read_registry(path).skills
    add_skills(path, (plain("new"),))
    assert entry == json.loads(path.read_text("utf-8"))["skills"]["old"]


def test_a_registry_that_is_a_link(tmp_path: Path) -> None:
    """A link stays a link, and the file that it points to is written."""
    real = tmp_path / "elsewhere" / "skills.json"
    link = tmp_path / "skills.json"
    link.symlink_to(real)
    add_skills(link, (plain("a"),))
    assert link.is_symlink()
    assert ["a"] == list(read_registry(real).skills)


def test_a_writer_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer waits for another one; the error then names the lock."""
    monkeypatch.setattr(registries, "LOCK_TIMEOUT", 0.0)
    path = tmp_path / "skills.json"
    with (tmp_path / ".skills.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RegistryError) as caught:
            add_skills(path, (plain("a"),))
    assert "another process has held .skills.json.lock" in str(caught.value)
    add_skills(path, (plain("a"),))
    assert ["a"] == list(read_registry(path).skills)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in place of a folder, or a folder in place of the file, is a readable error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot be"):
        add_skills(tmp_path / "file" / "skills.json", (plain("a"),))
    (tmp_path / "folder").mkdir()
    with pytest.raises(RegistryError, match="cannot be read"):
        add_skills(tmp_path / "folder", (plain("a"),))


WRITER = """
import sys
from pathlib import Path
from mcpgw.skills.model import Skill
from mcpgw.skills.registry import add_skills
for number in range(20):
    add_skills(Path(sys.argv[1]), (Skill(name=f"{sys.argv[2]}{number}", description="d"),))
"""


@pytest.mark.process
def test_two_writers(tmp_path: Path) -> None:
    """Of two processes that write at once none loses what the other wrote."""
    path = tmp_path / "skills.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, who]) for who in "ab"]
    assert [0, 0] == [writer.wait(60) for writer in writers]
    assert sorted(f"{who}{n}" for who in "ab" for n in range(20)) == list(
        read_registry(path).skills
    )
