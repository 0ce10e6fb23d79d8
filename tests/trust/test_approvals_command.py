"""`mcp-gateway approvals` in a state folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcpgw.cli.approvals import command
from mcpgw.trust.approval_changes import Change
from mcpgw.trust.approvals import ApprovalStore, ApprovedFile, QuarantinedFile

ESCAPE = "\x1b[31m"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApprovalStore:
    """Give the state folder of the commands."""
    monkeypatch.setenv("MCP_GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return ApprovalStore.of(tmp_path / "home")


def run(*words: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(command, list(words))


def quarantined(path: Path) -> QuarantinedFile:
    """Return the entry of a capability file."""
    return QuarantinedFile(str(path), path.stem, "ab", "cd", f"RUG-PULL {ESCAPE}", 0.0)


def test_files_that_no_longer_exist_are_not_listed(store: ApprovalStore, tmp_path: Path) -> None:
    """They are shown on request, and can be removed."""
    here, gone = tmp_path / "here.yaml", tmp_path / "gone.yaml"
    here.write_text("name: here\n")
    store.save_files(
        [ApprovedFile(str(gone), "gone", "ab", pinned=True)], [quarantined(here), quarantined(gone)]
    )
    listed = run("list").output
    assert "here.yaml" in listed
    assert "gone.yaml" not in listed
    assert "\x1b" not in listed
    assert "gone.yaml" in run("list", "--all").output
    assert 0 == run("forget", "--missing").exit_code
    approved, kept = store.files()
    assert ({}, {str(here)}) == (approved, set(kept))


def test_which_pending_definitions_are_accepted(store: ApprovalStore) -> None:
    """All that changed or are new; those that look like an attack by name or hash only."""
    store.apply(
        [
            Change("approve", ("s", "tool", "a"), "a1", {"name": "a"}, at=1.0),
            Change("hold", ("s", "tool", "a"), "a2", {"name": "a", "x": 1}, "", "", 2.0),
            Change("hold", ("s", "tool", "b"), "b1", {"name": "b"}, "it is new", "", 2.0),
            Change("hold", ("s", "tool", "c"), "c1", {"name": "c"}, "tool poisoning", "x", 2.0),
            Change("hold", ("s", "prompt", "c"), "c2", {"name": "c"}, "tool poisoning", "x", 2.0),
        ]
    )
    done = run("accept", "s")
    assert 1 == done.exit_code
    assert "Accepted tool a of s" in done.output
    assert "Accepted tool b of s" in done.output
    assert "approvals accept s --hash c1" in done.output
    assert 3 == run("accept", "s", "a").exit_code
    assert 3 == run("accept", "s", "--hash", "c3").exit_code
    assert 0 == run("accept", "s", "c", "--kind", "tool").exit_code
    assert 0 == run("accept", "s", "--hash", "sha256:C2").exit_code
    rows = store.definitions("s").values()
    assert [True] * 4 == [each.reviewed for each in rows]
    assert [""] * 4 == [each.pending_hash for each in rows]


def test_a_pending_definition_outlives_a_second_sight(store: ApprovalStore) -> None:
    """The first sight of a definition is the first one written; a later one approves nothing."""
    key = ("s", "tool", "a")
    store.apply([Change("approve", key, "a1", {"name": "a"}, at=1.0)])
    store.apply([Change("approve", key, "a2", {"name": "a", "x": 1}, at=2.0)])
    assert "a1" == store.hashes()[key].hash
    store.apply([Change("hold", key, "a2", {"name": "a", "x": 1}, "", "", 3.0)])
    store.apply([Change("settle", key, "a2")])
    assert "a2" == store.hashes()[key].pending
    store.apply([Change("settle", key, "a1")])
    assert "" == store.hashes()[key].pending
