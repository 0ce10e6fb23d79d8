"""Library of the capabilities in some folders, read again when their files change.

It also decides which files are trusted: by their pins, by the hashes that were approved, and by a
scan of their texts for tool poisoning.
"""

from __future__ import annotations

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
from mcpgw.capabilities.file_trust import judge, mismatch
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


Places = tuple[tuple[Path, ...], frozenset[Path]]
"""The configured folders, and those of the package, which are scanned once."""


@attrs.frozen
class Contents:
    """The result of a scan, which is never changed afterwards."""

    places: Places = ((), frozenset())
    entries: Mapping[Path, Entry] = attrs.field(factory=dict)
    by_name: Mapping[str, Entry] = attrs.field(factory=dict)
    """The usable capabilities."""
    refused: Mapping[Path, str] = attrs.field(factory=dict)
    """Files that cannot be used, with the reason."""
    approved: Mapping[str, ApprovedFile] = attrs.field(factory=dict)
    quarantined: Mapping[str, QuarantinedFile] = attrs.field(factory=dict)
    approvals_version: int | None = None
    policy: str = ""
    pulled: tuple[str, ...] = ()
    """Names of capabilities that this scan has quarantined."""


@attrs.define(eq=False)
class Library:
    """Capabilities by name.

    If two folders have a capability of the same name, the later folder wins; within one folder,
    it is an error of the second file. All methods that access files block. `read_folders` may run
    in a worker thread: it changes nothing that the other methods read; `apply` uses its result.

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
    _places: Places = ((), frozenset())
    _contents: Contents = attrs.field(factory=Contents)
    _read: dict[Path, tuple[str, Capability]] = attrs.field(factory=dict)
    _metadata: MetadataCache = attrs.field(init=False)
    _fixed_entries: tuple[frozenset[Path], Mapping[Path, Entry]] | None = None
    """Entries of the package's folders; only used by `read_folders`."""

    def __attrs_post_init__(self) -> None:
        self._metadata = MetadataCache(self.cache, self.scan_version)

    def use(self, folders: tuple[Path, ...], *, fixed: tuple[Path, ...] = ()) -> None:
        """Set the folders, which the next `refresh` reads.

        Args:
          folders: configured folders, which every refresh checks for changes.
          fixed: folders of the package, which have the lowest precedence.
        """
        self._places = (folders, frozenset(fixed))

    # -- lookup -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._contents.by_name)

    def entries(self) -> Iterator[Entry]:
        """Yield the usable capabilities, sorted by name."""
        by_name = self._contents.by_name
        for name in sorted(by_name):
            yield by_name[name]

    def get(self, name: str) -> Entry | None:
        """Return the usable capability of this name, None if there is none."""
        return self._contents.by_name.get(name)

    def ships(self, entry: Entry) -> bool:
        """Return whether a capability is shipped with the package."""
        return _rank(entry.path, self._contents.places[0]) == 0

    @property
    def refused(self) -> Mapping[Path, str]:
        """Files that cannot be used, with the reason."""
        return self._contents.refused

    @property
    def quarantined(self) -> Mapping[str, QuarantinedFile]:
        """Quarantined files, which must be pinned again, by path."""
        return self._contents.quarantined

    def unavailable_reason(self, name: str) -> str | None:
        """Return why a capability cannot be used, None if no file of it is known."""
        contents = self._contents
        for each in contents.quarantined.values():
            if each.name == name:
                return each.reason
        for path, reason in contents.refused.items():
            entry = contents.entries.get(path)
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
        return self.apply(self.read_folders())

    def read_folders(self) -> Contents:
        """Return the contents of the folders now, the current ones if nothing has changed.

        It blocks, and must not run twice at the same time.
        """
        before, places, policy = self._contents, self._places, self.poisoning
        stamps = dict(self._stamps(places))
        version = self.approvals.version() if self.approvals is not None else None
        if (
            (places, version, policy) == (before.places, before.approvals_version, before.policy)
            and before.policy
            and stamps == {path: entry.stamp for path, entry in before.entries.items()}
        ):
            return before
        version, approved, quarantined = self._load_approvals(before)
        fresh = False
        entries: dict[Path, Entry] = {}
        for path, stamp in stamps.items():
            known = before.entries.get(path)
            if known is None or known.stamp != stamp:
                known = self._metadata.find(path, stamp)
            if known is None:
                fresh = True
                known = self._shipped(path, stamp, places) or self._read_entry(path, stamp)
            entries[path] = known
        folders, fixed = places
        verdicts = judge(
            entries,
            approved,
            quarantined,
            shipped=lambda path: _rank(path, folders) == 0,
            block_poisoned=policy == "block",
            record=self.approvals is not None,
        )
        if self.approvals is not None and (verdicts.approved or verdicts.quarantined):
            try:
                self.approvals.save_files(verdicts.approved, verdicts.quarantined)
            except StateError as error:
                log.warning("approvals.write_failed", reason=str(error))
        by_name, taken = _choose(entries, verdicts.refused, folders)
        if fixed:
            own = {path: each for path, each in entries.items() if _rank(path, folders) == 0}
            self._fixed_entries = (fixed, own)
        if fresh or self._metadata.has_more_than(len(entries)):
            self._metadata.save(entries.values())
        return Contents(
            places,
            entries,
            by_name,
            {**verdicts.refused, **taken},
            {**approved, **{each.path: each for each in verdicts.approved}},
            {**quarantined, **{each.path: each for each in verdicts.quarantined}},
            version,
            policy,
            tuple(sorted(each.name for each in verdicts.quarantined)),
        )

    def apply(self, contents: Contents) -> Changes:
        """Use the result of a scan and return what has changed."""
        before, self._contents = self._contents, contents
        if contents is before:
            return Changes()
        for path in [path for path in self._read if path not in contents.entries]:
            del self._read[path]
        now, then = contents.by_name, before.by_name
        return Changes(
            tuple(sorted(now.keys() - then.keys())),
            tuple(sorted(then.keys() - now.keys())),
            tuple(
                sorted(
                    name
                    for name in now.keys() & then.keys()
                    if (now[name].hash, now[name].path) != (then[name].hash, then[name].path)
                )
            ),
            {str(p): why for p, why in contents.refused.items() if before.refused.get(p) != why},
            contents.pulled,
        )

    def _stamps(self, places: Places) -> Iterator[tuple[Path, Stamp]]:
        folders, fixed = places
        if self._fixed_entries is not None and self._fixed_entries[0] == fixed:
            yield from ((path, each.stamp) for path, each in self._fixed_entries[1].items())
        else:
            for folder in sorted(fixed):
                yield from capability_files(folder)
        for folder in folders:
            yield from capability_files(folder)

    def index(self) -> dict[str, Any]:
        """Return a fresh index of the package's folder, for its `INDEX` file."""
        (folder,) = self._places[1]
        files = {
            path.relative_to(folder).as_posix(): self._read_entry(path, stamp).as_json()
            for path, stamp in capability_files(folder)
        }
        return {"key": self._metadata.index_key, "files": files}

    def look(self, path: Path) -> Entry:
        """Return the entry of a single file, which may be outside the folders."""
        entry = self._read_entry(path, stamp_of(path.stat()))
        if not entry.problem and entry.pin not in ("", entry.hash):
            return attrs.evolve(entry, problem=mismatch(entry, None))
        return entry

    def _shipped(self, path: Path, stamp: Stamp, places: Places) -> Entry | None:
        folder = next((each for each in places[1] if each in path.parents), None)
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

    def _load_approvals(
        self, before: Contents
    ) -> tuple[int | None, Mapping[str, ApprovedFile], Mapping[str, QuarantinedFile]]:
        """Return the version of the approvals, and the approved and the quarantined files."""
        if self.approvals is None:
            return None, before.approved, before.quarantined
        # Read before the approvals, so that a concurrent write is seen at the next refresh.
        version = self.approvals.version()
        try:
            return (version, *self.approvals.files())
        except StateError as error:
            log.warning("approvals.read_failed", reason=str(error))
            return version, before.approved, before.quarantined


def _choose(
    entries: Mapping[Path, Entry], refused: Mapping[Path, str], folders: tuple[Path, ...]
) -> tuple[dict[str, Entry], dict[Path, str]]:
    """Return the usable entries by name, later folders win, and the files whose name is taken."""
    chosen: dict[str, Entry] = {}
    taken: dict[Path, str] = {}
    # Within one folder, the file that is named like its capability wins.
    for path, entry in sorted(entries.items(), key=lambda each: each[0].stem != each[1].name):
        if path in refused:
            continue
        other = chosen.get(entry.name)
        rank = _rank(path, folders)
        if other is not None and _rank(other.path, folders) == rank:
            taken[path] = (
                f"the name '{entry.name}' is already used by {other.path}; rename one of them"
            )
        elif other is None or _rank(other.path, folders) < rank:
            chosen[entry.name] = entry
    return chosen, taken


def _rank(path: Path, folders: tuple[Path, ...]) -> int:
    """Return the precedence of a file's folder, 0 for the package's own."""
    # Strings, since `Path.parents` took most of the time of a start with a cache.
    text = str(path)
    for place in range(len(folders), 0, -1):
        if text.startswith(f"{folders[place - 1]}/"):
            return place
    return 0
