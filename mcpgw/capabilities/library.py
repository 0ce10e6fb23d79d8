"""The capabilities of some folders: known from a cache, read again when their files change.

What a file is trusted with is decided here too: its pin, what it was when it was let in, and
whether its texts try to talk a model into something.
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
    name_in,
    name_is_text,
    read_file,
    stamp_of,
)
from mcpgw.capabilities.metadata_cache import MetadataCache
from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.pins import PinProblem, look_at
from mcpgw.config.problems import ConfigError
from mcpgw.observe.log import get_logger
from mcpgw.state.database import StateError
from mcpgw.trust.approvals import ApprovalStore, ApprovedFile, QuarantinedFile

log = get_logger("mcpgw.capabilities")

NO_TEXT: Final = "its name is not UTF-8 text; rename it"

Scan = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[list[str], list[str]]]
"""Looks a tool definition and its document over; returns why it is blocked, and warnings."""


@attrs.frozen
class Changes:
    """What a look at the folders found, by name; files with their faults that are new."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problems: Mapping[str, str] = attrs.field(factory=dict)
    pulled: tuple[str, ...] = ()
    """Capabilities that were withdrawn because their file is not what was let in."""

    def __bool__(self) -> bool:
        """Tell whether any capability is another one than before."""
        return bool(self.added or self.removed or self.changed)


@attrs.define(eq=False)
class Library:
    """Capabilities by name.

    A later folder wins where names are the same; within one folder that is an error of the
    second file. All methods that look at files block.

    Args:
      cache: the file in which what was read is kept; None for none.
      approvals: what was let in; None trusts what there is, for commands that only look.
      scan: looks for texts that are meant for a model; None for no look.
      scan_version: of its rules, so that kept results are not outlived.
    """

    cache: Path | None = None
    approvals: ApprovalStore | None = None
    scan: Scan | None = None
    scan_version: str = ""
    poisoning: str = "block"
    """What becomes of files whose texts try to talk a model into something: `block`, `warn` or
    `off`."""
    _folders: tuple[Path, ...] = ()
    _fixed: frozenset[Path] = frozenset()
    """Folders that are part of the package: looked at once."""
    _entries: dict[Path, Entry] = attrs.field(factory=dict)
    _by_name: dict[str, Entry] = attrs.field(factory=dict)
    _refused: dict[Path, str] = attrs.field(factory=dict)
    """Files that are not used, with the reason."""
    _read: dict[Path, tuple[str, Capability]] = attrs.field(factory=dict)
    _approved: dict[str, ApprovedFile] = attrs.field(factory=dict)
    _quarantined: dict[str, QuarantinedFile] = attrs.field(factory=dict)
    _approvals_seen: int | None = None
    _remembered: MetadataCache = attrs.field(init=False)
    _fixed_entries: dict[Path, Entry] | None = None
    _looked: bool = False
    _policy_seen: str = ""

    def __attrs_post_init__(self) -> None:
        self._remembered = MetadataCache(self.cache, self.scan_version)

    def use(self, folders: tuple[Path, ...], *, fixed: tuple[Path, ...] = ()) -> None:
        """Take other folders, which the next `refresh` reads.

        Args:
          folders: of the person; they are looked at again and again.
          fixed: of the package; they come first.
        """
        if folders != self._folders or frozenset(fixed) != self._fixed:
            self._folders, self._fixed = folders, frozenset(fixed)
            self._fixed_entries = None
            self._looked = False

    # -- what is known ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._by_name)

    def entries(self) -> Iterator[Entry]:
        """Give what can be used, by name."""
        for name in sorted(self._by_name):
            yield self._by_name[name]

    def get(self, name: str) -> Entry | None:
        """Return the capability of this name, if it can be used."""
        return self._by_name.get(name)

    def ships(self, entry: Entry) -> bool:
        """Tell whether a capability is one of the package's own."""
        return self._rank(entry.path) == 0

    @property
    def refused(self) -> Mapping[Path, str]:
        """Files that are not used, with the reason."""
        return self._refused

    @property
    def quarantined(self) -> Mapping[str, QuarantinedFile]:
        """Files that must be pinned again, by path."""
        return self._quarantined

    def why_not(self, name: str) -> str | None:
        """Return why a capability of this name is not there, if a file of it is known."""
        for each in self._quarantined.values():
            if each.name == name:
                return each.reason
        for path, reason in self._refused.items():
            entry = self._entries.get(path)
            if path.stem == name or (entry is not None and entry.name == name):
                return reason
        return None

    def load(self, entry: Entry) -> Capability:
        """Read the capability of an entry.

        Raises:
          ConfigError: the file has changed since, or cannot be read.
          OSError: it cannot be opened.
        """
        known = self._read.get(entry.path)
        if known is not None and known[0] == entry.hash:
            return known[1]
        data = read_file(entry.path)
        if look_at(data).actual != entry.hash:
            from mcpgw.config.problems import Problem

            message = "the file has changed just now; try again in a moment"
            raise ConfigError([Problem(str(entry.path), None, "", message)])
        capability, _ = read_capability(entry.path, data)
        self._read[entry.path] = (entry.hash, capability)
        return capability

    # -- looking at the folders -----------------------------------------------------------------

    def refresh(self) -> Changes:
        """Look at the folders, and read what is new or changed."""
        stamps = dict(self._stamps())
        approvals = self.approvals.version() if self.approvals is not None else None
        policy = self.poisoning
        same = stamps == {path: entry.stamp for path, entry in self._entries.items()}
        same_rules = (approvals, policy) == (self._approvals_seen, self._policy_seen)
        if self._looked and same and same_rules:
            return Changes()
        self._policy_seen = policy
        self._load_approvals()
        self._looked = True
        before, told = self._by_name, dict(self._refused)
        fresh = False
        entries: dict[Path, Entry] = {}
        for path, stamp in stamps.items():
            known = self._entries.get(path)
            if known is None or known.stamp != stamp:
                known = self._remembered.find(path, stamp)
            if known is None:
                fresh = True
                known = self._shipped(path, stamp) or self._look(path, stamp)
            entries[path] = known
        self._entries = entries
        pulled = self._trust(entries)
        self._by_name = self._choose(entries)
        if self._fixed and self._fixed_entries is None:
            self._fixed_entries = {p: e for p, e in entries.items() if self._rank(p) == 0}
        if fresh or self._remembered.holds_more_than(len(entries)):
            self._remembered.save(entries.values())
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
            {str(p): why for p, why in self._refused.items() if told.get(p) != why},
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
        """Return the index of the package's own folder, read anew, for `INDEX` in it."""
        (folder,) = self._fixed
        files = {
            path.relative_to(folder).as_posix(): self._look(path, stamp).as_json()
            for path, stamp in capability_files(folder)
        }
        return {"key": self._remembered.index_key, "files": files}

    def look(self, path: Path) -> Entry:
        """Return what there is to be known of a single file, wherever it is."""
        entry = self._look(path, stamp_of(path.stat()))
        if not entry.problem and entry.pin not in ("", entry.hash):
            return attrs.evolve(entry, problem=_pulled(entry, None))
        return entry

    def _shipped(self, path: Path, stamp: Stamp) -> Entry | None:
        folder = next((each for each in self._fixed if each in path.parents), None)
        if folder is None or self.scan is None:
            return None
        return self._remembered.shipped(path, stamp, folder)

    def _look(self, path: Path, stamp: Stamp) -> Entry:
        """Read a file for what is to be known of it."""
        if not name_is_text(path):
            return Entry(path, stamp, problem=NO_TEXT)
        try:
            data = read_file(path)
            pinned = look_at(data)
        except OSError as error:
            return Entry(path, stamp, problem=error.strerror or "cannot be read")
        except PinProblem as error:
            return Entry(path, stamp, problem=f"{path}: {error}")
        base = Entry(path, stamp, pinned.actual, pinned.pin, path.stem)
        try:
            capability, warnings = read_capability(path, data)
        except ConfigError as error:
            name = name_in(data) or path.stem
            problem = str(error) if pinned.holds else pinned.mismatch(path)
            return attrs.evolve(base, name=name, problem=problem)
        return self._known(base, capability, tuple(map(str, warnings)), data)

    def _known(
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
            # Before what it stands for: what others write meanwhile is seen at the next look.
            self._approvals_seen = self.approvals.version()
            self._approved, self._quarantined = self.approvals.files()
        except StateError as error:
            log.warning("capability.approvals", reason=str(error))

    def _trust(self, entries: Mapping[Path, Entry]) -> tuple[str, ...]:
        """Compare the files with what was let in; return the names of those that were pulled."""
        self._refused = {}
        approved: list[ApprovedFile] = []
        quarantined: list[QuarantinedFile] = []
        for path, entry in entries.items():
            if entry.problem and not entry.hash:
                self._refused[path] = entry.problem
                continue
            key, fixed = str(path), self._rank(path) == 0
            known = self._approved.get(key)
            reason = "" if fixed and entry.pin in ("", entry.hash) else _pulled(entry, known)
            jailed = self._quarantined.get(key)
            if jailed is not None and self.approvals is not None:
                self._refused[path] = jailed.reason
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
            elif entry.poisoned and self.poisoning == "block":
                self._refused[path] = entry.poisoned
            elif not fixed and (known is None or known.hash != entry.hash):
                approved.append(ApprovedFile(key, entry.name, entry.hash, bool(entry.pin)))
        if self.approvals is not None and (approved or quarantined):
            try:
                self.approvals.save_files(approved, quarantined)
            except StateError as error:
                log.warning("capability.approvals", reason=str(error))
            self._approved |= {each.path: each for each in approved}
            self._quarantined |= {each.path: each for each in quarantined}
        return tuple(sorted(each.name for each in quarantined))

    def _choose(self, entries: Mapping[Path, Entry]) -> dict[str, Entry]:
        """Return the usable entries by name; a later folder wins over an earlier one."""
        chosen: dict[str, Entry] = {}
        # Of two in one folder the file that is called like its capability has the name.
        for path, entry in sorted(entries.items(), key=lambda each: each[0].stem != each[1].name):
            if path in self._refused:
                continue
            other = chosen.get(entry.name)
            rank = self._rank(path)
            if other is not None and self._rank(other.path) == rank:
                self._refused[path] = (
                    f"the name '{entry.name}' is taken by {other.path} already; rename one of them"
                )
            elif other is None or self._rank(other.path) < rank:
                chosen[entry.name] = entry
        return chosen

    def _rank(self, path: Path) -> int:
        """Return how far back the folder of a file stands; the package's own are first."""
        # Texts: `Path.parents` took most of the time that a start with a cache takes.
        text = str(path)
        for place in range(len(self._folders), 0, -1):
            if text.startswith(f"{self._folders[place - 1]}/"):
                return place
        return 0


def _pulled(entry: Entry, known: ApprovedFile | None) -> str:
    """Return why a file is not what it should be, "" where it is."""
    if entry.pin and entry.pin != entry.hash:
        return (
            f"Capability hash mismatch (rug-pull protection) in {entry.path}: expected"
            f" {entry.pin}, actual {entry.hash}. If you changed it yourself:"
            f" mcp-gateway cap pin {entry.path}"
        )
    if known is not None and known.pinned and known.hash != entry.hash:
        what = "has another pin than" if entry.pin else "has lost the pin with which"
        return (
            f"{entry.path} {what} it was let in ({known.hash}). If you changed it yourself:"
            f" mcp-gateway cap pin {entry.path}"
        )
    if known is not None and known.pinned and not entry.pin:
        return f"{entry.path} has lost its pin. To pin it again: mcp-gateway cap pin {entry.path}"
    return ""
