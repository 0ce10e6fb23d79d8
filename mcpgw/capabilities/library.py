"""Library of the capabilities in some folders, read again when their files change.

It also decides which files are trusted: by their pins, by the hashes that were approved, and by a
scan of their texts for tool poisoning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.capabilities.entries import (
    Entry,
    Stamp,
    capability_files,
    facts_of,
    find_name,
    is_utf8_path,
    read_file,
    stamp_of,
)
from mcpgw.capabilities.metadata_cache import MetadataCache
from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.pins import PinProblem, read_pin
from mcpgw.config.problems import ConfigError
from mcpgw.observe.log import get_logger
from mcpgw.state.database import StateError
from mcpgw.trust.approvals import ApprovalStore, ApprovedFile, QuarantinedFile

log = get_logger("mcpgw.capabilities")

BAD_NAME: Final = "the name of the file must be UTF-8; rename it"

Scan = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[list[str], list[str]]]
"""Scans a tool definition and its document; returns reasons to block it, and warnings."""


@attrs.frozen
class Changes:
    """Result of a refresh: names of capabilities, and files with new problems."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problems: Mapping[str, str] = attrs.field(factory=dict)
    pulled: tuple[str, ...] = ()
    """Capabilities that were quarantined because their pinned file has changed."""

    def __bool__(self) -> bool:
        """Return whether any capability was added, removed or changed."""
        return bool(self.added or self.removed or self.changed)


@attrs.define(eq=False)
class Library:
    """Capabilities by name.

    If two folders have a capability of the same name, the later folder wins; within one folder,
    it is an error of the second file. All methods that access files block.

    Args:
      cache: the file of the metadata cache; None for no cache.
      approvals: the approved hashes; None to trust all files, for commands that only read.
      scan: scans for tool poisoning; None for no scan.
      scan_version: version of the scan's rules; results of other versions are not used.
    """

    cache: Path | None = None
    approvals: ApprovalStore | None = None
    scan: Scan | None = None
    scan_version: str = ""
    poisoning: str = "block"
    """Action for files with tool poisoning: `block`, `warn` or `off`."""
    _folders: tuple[Path, ...] = ()
    _fixed: frozenset[Path] = frozenset()
    """Folders that are part of the package; they are scanned once."""
    _entries: dict[Path, Entry] = attrs.field(factory=dict)
    _by_name: dict[str, Entry] = attrs.field(factory=dict)
    _refused: dict[Path, str] = attrs.field(factory=dict)
    """Files that cannot be used, with the reason."""
    _read: dict[Path, tuple[str, Capability]] = attrs.field(factory=dict)
    _approved: dict[str, ApprovedFile] = attrs.field(factory=dict)
    _quarantined: dict[str, QuarantinedFile] = attrs.field(factory=dict)
    _approvals_seen: int | None = None
    _metadata: MetadataCache = attrs.field(init=False)
    _fixed_entries: dict[Path, Entry] | None = None
    _scanned: bool = False
    _policy_seen: str = ""

    def __attrs_post_init__(self) -> None:
        self._metadata = MetadataCache(self.cache, self.scan_version)

    def use(self, folders: tuple[Path, ...], *, fixed: tuple[Path, ...] = ()) -> None:
        """Set the folders, which the next `refresh` reads.

        Args:
          folders: configured folders, which every refresh checks for changes.
          fixed: folders of the package, which have the lowest precedence.
        """
        if folders != self._folders or frozenset(fixed) != self._fixed:
            self._folders, self._fixed = folders, frozenset(fixed)
            self._fixed_entries = None
            self._scanned = False

    # -- lookup -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._by_name)

    def entries(self) -> Iterator[Entry]:
        """Yield the usable capabilities, sorted by name."""
        for name in sorted(self._by_name):
            yield self._by_name[name]

    def get(self, name: str) -> Entry | None:
        """Return the usable capability of this name, None if there is none."""
        return self._by_name.get(name)

    def ships(self, entry: Entry) -> bool:
        """Return whether a capability is shipped with the package."""
        return self._rank(entry.path) == 0

    @property
    def refused(self) -> Mapping[Path, str]:
        """Files that cannot be used, with the reason."""
        return self._refused

    @property
    def quarantined(self) -> Mapping[str, QuarantinedFile]:
        """Quarantined files, which must be pinned again, by path."""
        return self._quarantined

    def unavailable_reason(self, name: str) -> str | None:
        """Return why a capability cannot be used, None if no file of it is known."""
        for each in self._quarantined.values():
            if each.name == name:
                return each.reason
        for path, reason in self._refused.items():
            entry = self._entries.get(path)
            if path.stem == name or (entry is not None and entry.name == name):
                return reason
        return None

    def load(self, entry: Entry) -> Capability:
        """Return the capability of an entry, parsed from its file.

        Raises:
          ConfigError: the file is invalid, or has changed since the last refresh.
          OSError: the file cannot be read.
        """
        known = self._read.get(entry.path)
        if known is not None and known[0] == entry.hash:
            return known[1]
        data = read_file(entry.path)
        if read_pin(data).actual != entry.hash:
            from mcpgw.config.problems import Problem

            message = "the file has just changed; try again in a moment"
            raise ConfigError([Problem(str(entry.path), None, "", message)])
        capability, _ = read_capability(entry.path, data)
        self._read[entry.path] = (entry.hash, capability)
        return capability

    # -- scanning -----------------------------------------------------------------------------

    def refresh(self) -> Changes:
        """Check the folders and read files that are new or have changed."""
        stamps = dict(self._stamps())
        approvals = self.approvals.version() if self.approvals is not None else None
        policy = self.poisoning
        same = stamps == {path: entry.stamp for path, entry in self._entries.items()}
        same_rules = (approvals, policy) == (self._approvals_seen, self._policy_seen)
        if self._scanned and same and same_rules:
            return Changes()
        self._policy_seen = policy
        self._load_approvals()
        self._scanned = True
        before, refused = self._by_name, dict(self._refused)
        fresh = False
        entries: dict[Path, Entry] = {}
        for path, stamp in stamps.items():
            known = self._entries.get(path)
            if known is None or known.stamp != stamp:
                known = self._metadata.find(path, stamp)
            if known is None:
                fresh = True
                known = self._shipped(path, stamp) or self._read_entry(path, stamp)
            entries[path] = known
        self._entries = entries
        pulled = self._trust(entries)
        self._by_name = self._choose(entries)
        if self._fixed and self._fixed_entries is None:
            self._fixed_entries = {p: e for p, e in entries.items() if self._rank(p) == 0}
        if fresh or self._metadata.has_more_than(len(entries)):
            self._metadata.save(entries.values())
        for path in [path for path in self._read if path not in entries]:
            del self._read[path]
        now = self._by_name
        return Changes(
            tuple(sorted(now.keys() - before.keys())),
            tuple(sorted(before.keys() - now.keys())),
            tuple(
                sorted(
                    name
                    for name in now.keys() & before.keys()
                    if (now[name].hash, now[name].path) != (before[name].hash, before[name].path)
                )
            ),
            {str(p): why for p, why in self._refused.items() if refused.get(p) != why},
            pulled,
        )

    def _stamps(self) -> Iterator[tuple[Path, Stamp]]:
        if self._fixed_entries is not None:
            yield from ((path, entry.stamp) for path, entry in self._fixed_entries.items())
        else:
            for folder in sorted(self._fixed):
                yield from capability_files(folder)
        for folder in self._folders:
            yield from capability_files(folder)

    def index(self) -> dict[str, Any]:
        """Return a fresh index of the package's folder, for its `INDEX` file."""
        (folder,) = self._fixed
        files = {
            path.relative_to(folder).as_posix(): self._read_entry(path, stamp).as_json()
            for path, stamp in capability_files(folder)
        }
        return {"key": self._metadata.index_key, "files": files}

    def look(self, path: Path) -> Entry:
        """Return the entry of a single file, which may be outside the folders."""
        entry = self._read_entry(path, stamp_of(path.stat()))
        if not entry.problem and entry.pin not in ("", entry.hash):
            return attrs.evolve(entry, problem=_mismatch(entry, None))
        return entry

    def _shipped(self, path: Path, stamp: Stamp) -> Entry | None:
        folder = next((each for each in self._fixed if each in path.parents), None)
        if folder is None or self.scan is None:
            return None
        return self._metadata.shipped(path, stamp, folder)

    def _read_entry(self, path: Path, stamp: Stamp) -> Entry:
        """Read and check a file."""
        if not is_utf8_path(path):
            return Entry(path, stamp, problem=BAD_NAME)
        try:
            data = read_file(path)
            pinned = read_pin(data)
        except OSError as error:
            return Entry(path, stamp, problem=error.strerror or "cannot be read")
        except PinProblem as error:
            return Entry(path, stamp, problem=f"{path}: {error}")
        base = Entry(path, stamp, pinned.actual, pinned.pin, path.stem)
        try:
            capability, warnings = read_capability(path, data)
        except ConfigError as error:
            name = find_name(data) or path.stem
            problem = str(error) if pinned.holds else pinned.mismatch(path)
            return attrs.evolve(base, name=name, problem=problem)
        return self._checked(base, capability, tuple(map(str, warnings)), data)

    def _checked(
        self, base: Entry, capability: Capability, warnings: tuple[str, ...], data: bytes
    ) -> Entry:
        from mcpgw.capabilities.tool_definition import tool_definition
        from mcpgw.config.yamlfile import parse

        definition = tool_definition(capability) if capability.providers else {}
        poisoned = ""
        if self.scan is not None:
            document = parse(data.decode("utf-8-sig"))
            found = document if isinstance(document, Mapping) else {}
            blocked, more = self.scan(definition, found)
            warnings += tuple(more)
            if blocked:
                poisoned = f"{base.path}: tool poisoning: {'; '.join(blocked)}"
        hooks = {name: attrs.asdict(each) for name, each in capability.webhooks.items()}
        for each in hooks.values():
            each["transform"] = dict(each["transform"])
        return attrs.evolve(
            base,
            name=capability.name,
            definition=definition,
            webhooks=hooks,
            facts=facts_of(capability),
            warnings=warnings,
            poisoned=poisoned,
        )

    # -- trust ----------------------------------------------------------------------------------

    def _load_approvals(self) -> None:
        if self.approvals is None:
            return
        try:
            # Read before the approvals, so that a concurrent write is seen at the next refresh.
            self._approvals_seen = self.approvals.version()
            self._approved, self._quarantined = self.approvals.files()
        except StateError as error:
            log.warning("approvals.read_failed", reason=str(error))

    def _trust(self, entries: Mapping[Path, Entry]) -> tuple[str, ...]:
        """Compare the files with the approved ones; return the names of those now quarantined."""
        self._refused = {}
        approved: list[ApprovedFile] = []
        quarantined: list[QuarantinedFile] = []
        for path, entry in entries.items():
            if entry.problem and not entry.hash:
                self._refused[path] = entry.problem
                continue
            key, fixed = str(path), self._rank(path) == 0
            known = self._approved.get(key)
            reason = "" if fixed and entry.pin in ("", entry.hash) else _mismatch(entry, known)
            held = self._quarantined.get(key)
            if held is not None and self.approvals is not None:
                self._refused[path] = held.reason
            elif reason and known is not None and self.approvals is not None:
                why = f"RUG-PULL DETECTED: {reason}"
                expected = known.hash if known.pinned else entry.pin
                name = known.name
                quarantined.append(
                    QuarantinedFile(key, name, expected, entry.hash, why, time.time())
                )
                self._refused[path] = why
                log.warning("RUG-PULL DETECTED", capability=name, file=key, reason=reason)
            elif reason:
                self._refused[path] = reason
            elif entry.problem:
                self._refused[path] = entry.problem
            elif entry.poisoned and self.poisoning == "block" and not _is_reviewed(entry, known):
                self._refused[path] = entry.poisoned
            elif not fixed and (known is None or known.hash != entry.hash):
                approved.append(ApprovedFile(key, entry.name, entry.hash, bool(entry.pin)))
        if self.approvals is not None and (approved or quarantined):
            try:
                self.approvals.save_files(approved, quarantined)
            except StateError as error:
                log.warning("approvals.write_failed", reason=str(error))
            self._approved |= {each.path: each for each in approved}
            self._quarantined |= {each.path: each for each in quarantined}
        return tuple(sorted(each.name for each in quarantined))

    def _choose(self, entries: Mapping[Path, Entry]) -> dict[str, Entry]:
        """Return the usable entries by name; later folders win."""
        chosen: dict[str, Entry] = {}
        # Within one folder, the file that is named like its capability wins.
        for path, entry in sorted(entries.items(), key=lambda each: each[0].stem != each[1].name):
            if path in self._refused:
                continue
            other = chosen.get(entry.name)
            rank = self._rank(path)
            if other is not None and self._rank(other.path) == rank:
                self._refused[path] = (
                    f"the name '{entry.name}' is already used by {other.path}; rename one of them"
                )
            elif other is None or self._rank(other.path) < rank:
                chosen[entry.name] = entry
        return chosen

    def _rank(self, path: Path) -> int:
        """Return the precedence of a file's folder, 0 for the package's own."""
        # Strings, since `Path.parents` took most of the time of a start with a cache.
        text = str(path)
        for place in range(len(self._folders), 0, -1):
            if text.startswith(f"{self._folders[place - 1]}/"):
                return place
        return 0


def _is_reviewed(entry: Entry, known: ApprovedFile | None) -> bool:
    """Tell whether a person has accepted just these contents in spite of findings."""
    return known is not None and known.reviewed and known.hash == entry.hash


def _mismatch(entry: Entry, known: ApprovedFile | None) -> str:
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
