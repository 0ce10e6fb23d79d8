"""Cache of the metadata of capability files, and the index that is shipped with the package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.capabilities.entries import Entry, Stamp, read_file
from mcpgw.capabilities.pins import PinProblem, read_pin
from mcpgw.observe.log import get_logger
from mcpgw.state.files import read_json, write_atomically

log = get_logger("mcpgw.capabilities")

FORMAT: Final = 3
"""Version of the format of both files; files with another one are ignored."""
INDEX: Final = "index.json"
"""Name of the index in the package's folder."""


@attrs.define(eq=False)
class MetadataCache:
    """Entries of files that have been read before.

    Args:
      cache: the file of the cache; None for no cache.
      scan_version: version of the scan's rules; entries of other versions are not used.
    """

    cache: Path | None = None
    scan_version: str = ""
    _cached: dict[str, Any] | None = None
    _indexes: dict[Path, Mapping[str, Any]] = attrs.field(factory=dict)

    def find(self, path: Path, stamp: Stamp) -> Entry | None:
        """Return the cached entry of a file, None unless its stamp is the same."""
        raw = self._load().get(str(path))
        if not isinstance(raw, list) or len(raw) != 2 or tuple(raw[0]) != stamp:
            return None
        return Entry.from_json(path, stamp, raw[1])

    def shipped(self, path: Path, stamp: Stamp, folder: Path) -> Entry | None:
        """Return the entry of a file from its folder's index, None unless its hash is the same."""
        index = self._indexes.get(folder)
        if index is None:
            stored = read_json(folder / INDEX)
            good = isinstance(stored, dict) and stored.get("key") == self.index_key
            index = stored["files"] if isinstance(stored, dict) and good else {}
            self._indexes[folder] = index
        raw = index.get(path.relative_to(folder).as_posix())
        try:
            if raw is None or read_pin(read_file(path)).actual != raw[0]:
                return None
        except (OSError, PinProblem):
            return None
        return Entry.from_json(path, stamp, raw)

    def has_more_than(self, count: int) -> bool:
        """Return whether the cache has more entries, since files have been deleted."""
        return len(self._cached or ()) > count

    def save(self, entries: Iterable[Entry]) -> None:
        """Write the cache with exactly these entries."""
        if self.cache is None:
            return
        files = {str(each.path): [each.stamp, each.as_json()] for each in entries}
        text = json.dumps({"key": self._cache_key, "files": files}, separators=(",", ":"))
        try:
            write_atomically(self.cache, text.encode())
        except OSError as error:
            log.warning("cache.write_failed", file=str(self.cache), reason=str(error))

    @property
    def index_key(self) -> str:
        """The key that an index must have to be used."""
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
