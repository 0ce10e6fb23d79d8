"""Pins belong to capabilities, not to paths; and a scan never changes what others read."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from mcpgw.capabilities.library import Library
from mcpgw.capabilities.mcp_server import CapabilityServer
from mcpgw.capabilities.pinning import pin_file
from mcpgw.capabilities.pins import with_pin
from mcpgw.trust.approvals import ApprovalStore


def text(name: str, description: str = "Gives it.") -> bytes:
    """Return a capability without a pin."""
    return (
        f"name: {name}\ndescription: {description}\n"
        "providers: {primary: {config: {base_url: 'https://api.example'}}}\n"
    ).encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a folder with a pinned capability `a` and two folders of capabilities."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/a.yaml").write_bytes(text("a"))
    pin_file(tmp_path / "one/a.yaml", tmp_path / "state")
    assert {"a": "Gives it."} == used(home_of(tmp_path))
    return tmp_path


def home_of(home: Path) -> Library:
    """Return a library as after a restart."""
    made = Library(approvals=ApprovalStore.of(home / "state"))
    made.use((home / "one", home / "two"))
    made.refresh()
    return made


def used(made: Library) -> dict[str, str]:
    """Return the descriptions of the usable capabilities by name."""
    return {each.name: str(each.facts["description"]) for each in made.entries()}


def moved(home: Path) -> Path:
    """Rename the tampered file, without its pin."""
    (home / "one/a.yaml").unlink()
    return written(home / "one/b.yaml", text("a", "Evil."))


def elsewhere(home: Path) -> Path:
    """Move it to another folder."""
    (home / "one/a.yaml").unlink()
    return written(home / "two/a.yaml", text("a", "Evil."))


def deeper(home: Path) -> Path:
    """Move it to a subfolder under a name of other case."""
    (home / "one/a.yaml").unlink()
    (home / "one/sub").mkdir()
    return written(home / "one/sub/A.yml", text("a", "Evil."))


def pinned_anew(home: Path) -> Path:
    """Give the renamed file a pin of its own making."""
    (home / "one/a.yaml").unlink()
    return written(home / "one/b.yaml", with_pin(text("a", "Evil.")))


def beside(home: Path) -> Path:
    """Add one that would take precedence."""
    return written(home / "two/a.yaml", text("a", "Evil."))


def beside_pinned(home: Path) -> Path:
    """The same, with a pin of its own making."""
    return written(home / "two/z.yaml", with_pin(text("a", "Evil.")))


def written(path: Path, data: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(data)
    return path


TRICKS = [moved, elsewhere, deeper, pinned_anew, beside, beside_pinned]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("quarantined", [False, True])
@pytest.mark.parametrize("pause", [False, True])
def test_another_file_of_a_pinned_name_stays_out(
    trick: Callable[[Path], Path], quarantined: bool, pause: bool, home: Path
) -> None:
    """Over restarts, and over a time without any such file, until it is pinned."""
    made = home_of(home)
    if quarantined:
        (home / "one/a.yaml").write_bytes(text("a", "Evil."))
        assert ("a",) == made.refresh().pulled
    before = (home / "one/a.yaml").read_bytes()
    if pause:
        (home / "one/a.yaml").unlink()
        assert {} == used(home_of(home))
        (home / "one/a.yaml").write_bytes(before)
    new = trick(home)
    for again in (made, home_of(home), home_of(home)):
        again.refresh()
        assert "Evil." not in used(again).values()
    reason = made.unavailable_reason("a")
    assert reason or not quarantined
    pin_file(new, home / "state")
    assert "Evil." in used(home_of(home)).values()


def test_a_pinned_file_may_be_moved(home: Path) -> None:
    """With its contents and its pin it is the same, also as a copy."""
    shutil.copy(home / "one/a.yaml", home / "two/copy.yaml")
    assert {"a": "Gives it."} == used(home_of(home))
    (home / "one/a.yaml").unlink()
    assert {"a": "Gives it."} == used(home_of(home))


def test_an_old_version_does_not_come_back(home: Path) -> None:
    """After a newer one was pinned at another place, the hash of the old one is forgotten."""
    old = (home / "one/a.yaml").read_bytes()
    (home / "one/a.yaml").unlink()
    (home / "two/a.yaml").write_bytes(text("a", "New."))
    pin_file(home / "two/a.yaml", home / "state")
    assert {"a": "New."} == used(home_of(home))
    (home / "two/a.yaml").unlink()
    (home / "one/b.yaml").write_bytes(old)
    assert {} == used(home_of(home))


def test_a_first_start_and_a_second_agree(tmp_path: Path) -> None:
    """A file without a pin does not take precedence once, to be refused later."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/a.yaml").write_bytes(with_pin(text("a", "Pinned.")))
    (tmp_path / "two/a.yaml").write_bytes(text("a", "Not."))
    for _ in range(2):
        assert {"a": "Pinned."} == used(home_of(tmp_path))


def test_other_projects_are_independent(home: Path) -> None:
    """A gateway with other directories may have a capability of the same name without a pin."""
    (home / "three").mkdir()
    (home / "three/a.yaml").write_bytes(text("a", "Another project's."))
    (home / "one/a.yaml").write_bytes(text("a", "Evil."))
    assert {} == used(home_of(home))
    other = Library(approvals=ApprovalStore.of(home / "state"))
    other.use((home / "three",))
    other.refresh()
    assert {"a": "Another project's."} == used(other)


def test_names_without_a_pin_are_free(tmp_path: Path) -> None:
    """Renaming, replacing and overriding them needs no approval."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/a.yaml").write_bytes(text("a"))
    home_of(tmp_path)
    (tmp_path / "two/a.yaml").write_bytes(text("a", "Mine."))
    assert {"a": "Mine."} == used(home_of(tmp_path))


async def test_reading_changes_nothing_that_others_read(home: Path) -> None:
    """While a worker thread reads files, the event loop sees the contents from before."""
    made = home_of(home)
    reached, proceed = threading.Event(), threading.Event()

    def scan(definition: Any, _document: Any) -> tuple[list[str], list[str]]:
        if definition["name"] == "n7":
            reached.set()
            proceed.wait(10)
        return ["suspicious"], []

    made.scan = scan
    for number in range(20):
        (home / "one" / f"n{number}.yaml").write_bytes(text(f"n{number}"))
        (home / "one" / f"bad{number}.yaml").write_bytes(b"- a list\n")
    (home / "one/a.yaml").write_bytes(text("a", "Evil."))
    server = CapabilityServer(made, pytest.fail)
    before = (used(made), dict(made.refused), dict(made.quarantined))
    reading = iter(used(made).items())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.refresh)
        await trio.to_thread.run_sync(reached.wait)
        refused = iter(made.refused.items())
        made.use((home / "two",))  # a reload meanwhile takes effect with the next scan
        assert before == (used(made), dict(made.refused), dict(made.quarantined))
        proceed.set()
    assert 41 == len(made.refused)
    assert ["a"] == [each.name for each in made.quarantined.values()]
    assert [] == list(refused)  # a dictionary that had been changed would raise an error
    assert [("a", "Gives it.")] == list(reading)
    await server.refresh()
    assert {} == dict(made.refused)
