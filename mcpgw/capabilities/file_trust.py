"""Decisions about which capability files are trusted: by pin, by approval, and by name.

A pin belongs to a capability, not to a path: once a capability of a name is pinned, another file of
this name is not used until it is pinned itself, wherever it is and whatever became of the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from mcpgw.capabilities.entries import Entry
from mcpgw.observe.log import get_logger
from mcpgw.trust.approvals import ApprovedFile, QuarantinedFile

log = get_logger("mcpgw.capabilities")


@attrs.frozen
class Verdicts:
    """The files that must not be used, with the reason, and what to record."""

    refused: Mapping[Path, str] = attrs.field(factory=dict)
    approved: tuple[ApprovedFile, ...] = ()
    quarantined: tuple[QuarantinedFile, ...] = ()


def judge(
    entries: Mapping[Path, Entry],
    approved: Mapping[str, ApprovedFile],
    quarantined: Mapping[str, QuarantinedFile],
    *,
    shipped: Callable[[Path], bool],
    block_poisoned: bool,
    record: bool,
) -> Verdicts:
    """Compare files with the approved ones.

    Args:
      entries: the files.
      approved: the approved files by path.
      quarantined: the quarantined files by path.
      shipped: whether a file is part of the package, or at least not in a configured folder. Pins
        in other folders do not count, since another project may have a tool of the same name.
      block_poisoned: whether files with tool poisoning are refused.
      record: whether there is a store of approvals, which quarantine needs.
    """
    refused: dict[Path, str] = {}
    newly_approved: list[ApprovedFile] = []
    newly_quarantined: list[QuarantinedFile] = []
    names = _Names.of(entries, approved, quarantined, shipped) if record else _Names()
    for path, entry in entries.items():
        if entry.problem and not entry.hash:
            refused[path] = entry.problem
            continue
        key, fixed = str(path), shipped(path)
        known = approved.get(key)
        reason = "" if fixed and entry.pin in ("", entry.hash) else mismatch(entry, known)
        held = quarantined.get(key)
        if held is not None and record:
            refused[path] = held.reason
        elif reason and known is not None and record:
            why = f"RUG-PULL DETECTED: {reason}"
            expected = known.hash if known.pinned else entry.pin
            newly_quarantined.append(
                QuarantinedFile(key, known.name, expected, entry.hash, why, time.time())
            )
            refused[path] = why
            log.warning("RUG-PULL DETECTED", capability=known.name, file=key, reason=reason)
        elif reason:
            refused[path] = reason
        elif not fixed and (other := names.conflict(entry, known)):
            refused[path] = other
        elif entry.problem:
            refused[path] = entry.problem
        elif entry.poisoned and block_poisoned and not _is_reviewed(entry, known):
            refused[path] = entry.poisoned
        elif not fixed and (known is None or known.hash != entry.hash):
            newly_approved.append(ApprovedFile(key, entry.name, entry.hash, bool(entry.pin)))
    return Verdicts(refused, tuple(newly_approved), tuple(newly_quarantined))


def _is_reviewed(entry: Entry, known: ApprovedFile | None) -> bool:
    """Return whether a person has accepted just these contents in spite of findings."""
    return known is not None and known.reviewed and known.hash == entry.hash


@attrs.frozen
class _Names:
    """Pinned and quarantined capabilities by name."""

    pinned: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    """The path of the approved file by name and hash."""
    found: Mapping[str, Path] = attrs.field(factory=dict)
    """A pinned file by name, for names of which none is approved yet."""
    held: Mapping[str, QuarantinedFile] = attrs.field(factory=dict)

    @classmethod
    def of(
        cls,
        entries: Mapping[Path, Entry],
        approved: Mapping[str, ApprovedFile],
        quarantined: Mapping[str, QuarantinedFile],
        shipped: Callable[[Path], bool],
    ) -> _Names:
        pinned: dict[str, dict[str, str]] = {}
        for each in approved.values():
            if each.pinned and not shipped(Path(each.path)):
                pinned.setdefault(each.name.casefold(), {})[each.hash] = each.path
        found = {
            entry.name.casefold(): path
            for path, entry in entries.items()
            if entry.pin and entry.pin == entry.hash and not shipped(path)
        }
        held = {
            each.name.casefold(): each
            for each in quarantined.values()
            if not shipped(Path(each.path))
        }
        return cls(pinned, found, held)

    def conflict(self, entry: Entry, known: ApprovedFile | None) -> str:
        """Return why a file must not take the place of a pinned capability, "" if it may."""
        if known is not None and known.pinned:
            return ""  # compared with its own approval already
        name = entry.name.casefold()
        fix = f"To use this file: mcp-gateway cap pin {entry.path}"
        if (held := self.held.get(name)) is not None:
            return (
                f"'{entry.name}' is quarantined, and a new file does not change that"
                f" ({held.path} no longer matches its pin). {fix}"
            )
        pinned = self.pinned.get(name, {})
        if entry.pin:
            if not pinned or entry.hash in pinned:
                return ""
            return f"'{entry.name}' is pinned with another hash, in {_first(pinned)}. {fix}"
        path = _first(pinned) if pinned else self.found.get(name)
        if path is None:
            return ""
        return f"'{entry.name}' is pinned in {path}, and {entry.path} has no pin. {fix}"


def _first(pinned: Mapping[str, str]) -> str:
    return next(iter(pinned.values()))


def mismatch(entry: Entry, known: ApprovedFile | None) -> str:
    """Return why a file does not match its pin or its approval, "" if it does."""
    if entry.pin and entry.pin != entry.hash:
        return (
            f"Capability hash mismatch (rug-pull protection) in {entry.path}: expected"
            f" {entry.pin}, actual {entry.hash}. If you changed it yourself:"
            f" mcp-gateway cap pin {entry.path}"
        )
    if known is not None and known.pinned and known.hash != entry.hash:
        what = "has another pin" if entry.pin else "is no longer pinned"
        return (
            f"{entry.path} {what} (approved hash {known.hash}). If you changed it yourself:"
            f" mcp-gateway cap pin {entry.path}"
        )
    if known is not None and known.pinned and not entry.pin:
        return (
            f"{entry.path} is no longer pinned. To pin it again: mcp-gateway cap pin {entry.path}"
        )
    return ""
