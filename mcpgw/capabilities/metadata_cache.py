"""What was read of capability files, kept on disk: a cache of the person's, and the package's own
index of the files that it brings along."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.capabilities.entries import Entry, Stamp, read_file
from mcpgw.capabilities.pins import PinProblem, look_at
from mcpgw.observe.log import get_logger
from mcpgw.state.files import read_json, write_atomically

log = get_logger("mcpgw.capabilities")

FORMAT: Final = 2
"""Of both files; those of another format are as good as missing."""
INDEX: Final = "index.json"
"""The file in which the package says what is in its own files, by their hashes."""


@attrs.define(eq=False)
class MetadataCache:
    """Entries of files that were read before.

    Args:
      cache: the file in which they are kept; None for none.
      scan_version: of the rules by which their texts were looked at, so that what other rules
        have found is not used.
    """

    cache: Path | None = None
    scan_version: str = ""
    _cached: dict[str, Any] | None = None
    _indexes: dict[Path, Mapping[str, Any]] = attrs.field(factory=dict)

    def find(self, path: Path, stamp: Stamp) -> Entry | None:
        """Return what the cache knows of a file, if it is still that file by its stamp."""
        raw = self._load().get(str(path))
        if not isinstance(raw, list) or len(raw) != 2 or tuple(raw[0]) != stamp:
            return None
        return Entry.of_json(path, stamp, raw[1])

    def shipped(self, path: Path, stamp: Stamp, folder: Path) -> Entry | None:
        """Return what the index of a folder of the package says of a file, if it is still that
        file by its hash."""
        index = self._indexes.get(folder)
        if index is None:
            stored = read_json(folder / INDEX)
            good = isinstance(stored, dict) and stored.get("key") == self.index_key
            index = stored["files"] if isinstance(stored, dict) and good else {}
            self._indexes[folder] = index
        raw = index.get(path.relative_to(folder).as_posix())
        try:
            if raw is None or look_at(read_file(path)).actual != raw[0]:
                return None
        except (OSError, PinProblem):
            return None
        return Entry.of_json(path, stamp, raw)

    def holds_more_than(self, count: int) -> bool:
        """Tell whether files are in the cache that are gone."""
        return len(self._cached or ()) > count

    def save(self, entries: Iterable[Entry]) -> None:
        """Keep these entries, and no others."""
        if self.cache is None:
            return
        files = {str(each.path): [each.stamp, each.as_json()] for each in entries}
        text = json.dumps({"key": self._cache_key, "files": files}, separators=(",", ":"))
        try:
            write_atomically(self.cache, text.encode())
        except OSError as error:
            log.warning("capability.cache", reason=str(error))

    @property
    def index_key(self) -> str:
        """What an index must be made by to be used."""
        return f"{FORMAT} {self.scan_version}"

    @property
    def _cache_key(self) -> str:
        from mcpgw import __version__

        return f"{FORMAT} {__version__} {self.scan_version}"

    def _load(self) -> Mapping[str, Any]:
        if self._cached is None:
            self._cached = {}
            if self.cache is not None:
                stored = read_json(self.cache)
                if isinstance(stored, dict) and stored.get("key") == self._cache_key:
                    files = stored.get("files")
                    self._cached = files if isinstance(files, dict) else {}
        return self._cached
