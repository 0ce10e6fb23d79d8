"""A library's knowledge of its folders: from the cache, the index, and the files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.entries import capability_files
from mcpgw.capabilities.library import Library
from mcpgw.capabilities.pinning import pin_file
from mcpgw.trust.approvals import ApprovalStore


def text(name: str, description: str = "Gives it.", more: str = "") -> str:
    """Return a capability."""
    return (
        f"name: {name}\ndescription: {description}\n"
        f"providers: {{primary: {{config: {{base_url: 'https://api.example'}}}}}}\n{more}"
    )


class Scans:
    """Counts how often files are looked over, and blocks what says so."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(
        self, definition: Mapping[str, Any], _document: Mapping[str, Any]
    ) -> tuple[list[str], list[str]]:
        self.seen.append(str(definition.get("name")))
        return (["it says EVIL"] if "EVIL" in str(definition) else []), []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two capabilities."""
    folder = tmp_path / "caps"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(text(name))
    return folder


def library(folder: Path, scans: Scans | None = None, **options: Any) -> Library:
    """Return a library of one folder, not yet read."""
    made = Library(scan=scans or Scans(), **options)
    made.use((folder,))
    return made


def names(made: Library) -> list[str]:
    """Return the names of what can be used."""
    return [entry.name for entry in made.entries()]


class TestLooking:
    def test_changes_are_told(self, folder: Path) -> None:
        """Added, removed and changed ones by name; nothing when nothing has changed."""
        made = library(folder)
        assert ("a", "b") == made.refresh().added
        assert not made.refresh()
        (folder / "a.yaml").write_text(text("a", "Gives something else."))
        (folder / "b.yaml").unlink()
        (folder / "c.yml").write_text(text("c"))
        changes = made.refresh()
        assert (("c",), ("b",), ("a",)) == (changes.added, changes.removed, changes.changed)
        assert "Gives something else." == made.load(made.get("a")).description  # type: ignore[arg-type]

    def test_a_folder_that_comes_later(self, folder: Path, tmp_path: Path) -> None:
        """One that is not there is no fault; one that goes takes its tools along."""
        made = library(folder)
        made.refresh()
        folder.rename(tmp_path / "away")
        assert ("a", "b") == made.refresh().removed
        (tmp_path / "away").rename(folder)
        assert ("a", "b") == made.refresh().added

    def test_which_files(self, folder: Path) -> None:
        """Hidden ones, other endings, pipes and links that lead nowhere or in circles are left."""
        (folder / ".hidden").mkdir()
        (folder / ".hidden/x.yaml").write_text(text("x"))
        (folder / ".y.yaml").write_text(text("y"))
        (folder / "z.txt").write_text(text("z"))
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/d.yaml").write_text(text("d"))
        os.mkfifo(folder / "pipe.yaml")
        (folder / "nowhere.yaml").symlink_to(folder / "gone")
        for name in ("round", "again"):
            (folder / "deep" / name).symlink_to(folder)
        found = [path.relative_to(folder).as_posix() for path, _ in capability_files(folder)]
        assert ["a.yaml", "b.yaml", "deep/er/d.yaml"] == found

    def test_the_same_name(self, folder: Path, tmp_path: Path) -> None:
        """Twice in a folder is an error that names both; in a later folder it wins."""
        (folder / "other.yaml").write_text(text("a", "Another."))
        later = tmp_path / "later"
        later.mkdir()
        (later / "mine.yaml").write_text(text("b", "Mine."))
        made = Library()
        made.use((folder, later))
        made.refresh()
        assert ["a", "b"] == names(made)
        (refused,) = made.refused.items()
        assert folder / "other.yaml" == refused[0]
        assert str(folder / "a.yaml") in refused[1]
        assert "Mine." == made.get("b").facts["description"]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "must be a map of keys, not null"),
            (b"\xff\xfe", "UTF-8"),
            (b"a: [", "odd.yaml:"),
            (b"- a\n", "map"),
            (b"name: a\n---\nname: b\n", ""),
            (b"name: a\x00b\n", ""),
            (b"[" * 5000, ""),
            (b"name: x\ndescription: " + b"y" * 3_000_000, ""),
        ],
    )
    def test_what_is_no_capability(self, folder: Path, data: bytes, said: str) -> None:
        """It is refused with a reason; the others are used."""
        (folder / "odd.yaml").write_bytes(data)
        made = library(folder)
        made.refresh()
        assert ["a", "b"] == names(made)
        reason = made.refused[folder / "odd.yaml"]
        assert reason
        assert said in reason

    def test_what_is_withheld_by_policy(self, folder: Path) -> None:
        """`block` keeps a poisoned file out, the other policies let it in; a change takes hold."""
        (folder / "e.yaml").write_text(text("e", "EVIL."))
        made = library(folder)
        made.refresh()
        assert "EVIL" in (made.unavailable_reason("e") or "")
        made.poisoning = "warn"
        assert ("e",) == made.refresh().added
        made.poisoning = "block"
        assert ("e",) == made.refresh().removed


class TestCache:
    def test_spares_the_reading(self, folder: Path, tmp_path: Path) -> None:
        """Another process knows all by it, and reads only what is new."""
        cache = tmp_path / "cache.json"
        first = library(folder, cache=cache, scan_version="1")
        first.refresh()
        scans = Scans()
        second = library(folder, scans, cache=cache, scan_version="1")
        second.refresh()
        assert (["a", "b"], []) == (names(second), scans.seen)
        assert [e.definition for e in first.entries()] == [e.definition for e in second.entries()]
        (folder / "b.yaml").write_text(text("b", "Another one."))
        third = library(folder, scans, cache=cache, scan_version="1")
        third.refresh()
        assert ["b"] == scans.seen

    @pytest.mark.parametrize("broken", ["", "{", "[]", '{"key": 1}', '{"files": {}}'])
    def test_that_is_broken(self, folder: Path, tmp_path: Path, broken: str) -> None:
        """It is treated as missing, and written again."""
        cache = tmp_path / "cache.json"
        cache.write_text(broken)
        made = library(folder, cache=cache)
        made.refresh()
        assert ["a", "b"] == names(made)
        assert {str(folder / "a.yaml"), str(folder / "b.yaml")} == set(
            json.loads(cache.read_text())["files"]
        )

    def test_of_other_rules(self, folder: Path, tmp_path: Path) -> None:
        """Definitions scanned with other rules are scanned again."""
        cache = tmp_path / "cache.json"
        library(folder, cache=cache, scan_version="1").refresh()
        scans = Scans()
        library(folder, scans, cache=cache, scan_version="2").refresh()
        assert ["a", "b"] == sorted(scans.seen)

    def test_that_cannot_be_written(self, folder: Path, tmp_path: Path) -> None:
        """Nothing is lost by it."""
        (tmp_path / "file").write_text("")
        made = library(folder, cache=tmp_path / "file/cache.json")
        made.refresh()
        assert ["a", "b"] == names(made)


class TestIndex:
    def index(self, folder: Path) -> None:
        """Write the index of a folder of the package."""
        made = Library(scan=Scans(), scan_version="1")
        made.use((), fixed=(folder,))
        (folder / "index.json").write_text(json.dumps(made.index()))

    def test_spares_the_reading(self, folder: Path) -> None:
        """The files of the package are known by it, as long as they are those files."""
        self.index(folder)
        scans = Scans()
        made = Library(scan=scans, scan_version="1")
        made.use((), fixed=(folder,))
        made.refresh()
        assert (["a", "b"], []) == (names(made), scans.seen)
        (folder / "a.yaml").write_text(text("a", "EVIL by somebody."))
        made = Library(scan=scans, scan_version="1")
        made.use((), fixed=(folder,))
        made.refresh()
        assert (["b"], ["a"]) == (names(made), scans.seen)

    def test_of_other_rules(self, folder: Path) -> None:
        """It is not used."""
        self.index(folder)
        scans = Scans()
        made = Library(scan=scans, scan_version="2")
        made.use((), fixed=(folder,))
        made.refresh()
        assert ["a", "b"] == sorted(scans.seen)


class TestTrust:
    def test_a_pinned_file_that_changes(self, folder: Path, tmp_path: Path) -> None:
        """It stays withdrawn over restarts, whatever its content, until it is pinned again; the
        withdrawn name is the approved one."""
        path, state = folder / "a.yaml", tmp_path / "state"
        pin_file(path, state)
        pinned = path.read_bytes()

        def look() -> Library:
            made = library(folder, approvals=ApprovalStore.of(state))
            made.refresh()
            return made

        made = look()
        assert ["a", "b"] == names(made)
        path.write_bytes(pinned.replace(b"name: a", b"name: z"))
        changes = made.refresh()
        assert (("a",), ("a",), ()) == (changes.pulled, changes.removed, changes.added)
        assert "RUG-PULL DETECTED" in made.refused[path]
        path.write_text(text("a", "Without a pin."))
        assert ["b"] == names(look())
        path.write_bytes(pinned)
        assert ["b"] == names(look())
        pin_file(path, state)
        assert not made.refresh().pulled
        assert ["a", "b"] == names(made)
        assert ["a", "b"] == names(look())

    def test_a_file_without_a_pin_may_change(self, folder: Path, tmp_path: Path) -> None:
        """That is what a person edits; once it has a pin, the pin must hold."""
        made = library(folder, approvals=ApprovalStore.of(tmp_path / "state"))
        made.refresh()
        (folder / "a.yaml").write_text(text("a", "Edited."))
        assert ("a",) == made.refresh().changed
        (folder / "a.yaml").write_text(f"sha256: {'0' * 64}\n" + text("a"))
        assert ("a",) == made.refresh().removed
        assert "mismatch" in made.refused[folder / "a.yaml"]
