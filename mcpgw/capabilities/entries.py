"""Capability files in folders, and their metadata, which is known without parsing them again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.capabilities.parsing import LARGEST, SUFFIXES

if TYPE_CHECKING:
    from mcpgw.capabilities.model import Capability

MOST_FILES: Final = 20_000

Stamp = tuple[int, int, int, int]
"""Modification time, change time, size and inode of a file."""


@attrs.frozen
class Entry:
    """Metadata of a capability file.

    Args:
      path: the file.
      stamp: its stamp when it was read.
      hash: SHA-256 of its contents without the pin, in hex.
      pin: the pin in the file, "" without one.
      name: name of the capability.
      definition: its tool definition, empty for files with a problem and webhooks only.
      webhooks: its webhooks by name.
    """

    path: Path
    stamp: Stamp
    hash: str = ""
    pin: str = ""
    name: str = ""
    definition: Mapping[str, Any] = attrs.field(factory=dict)
    webhooks: Mapping[str, Any] = attrs.field(factory=dict)
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """Category, tags, service and other facts for lists."""
    warnings: tuple[str, ...] = ()
    poisoned: str = ""
    """Why a model must not read its texts, "" if it may."""
    problem: str = ""
    """Why the file cannot be used, "" if it can."""

    def lacks_key(self, environ: Mapping[str, str]) -> bool:
        """Return whether the environment variable of a required credential is not set."""
        name = str(self.facts.get("key") or "").removeprefix("env:")
        return bool(self.facts.get("required")) and name.isidentifier() and not environ.get(name)

    def as_json(self) -> list[Any]:
        """Return the entry as JSON for the cache, without its path and stamp."""
        return [
            *(self.hash, self.pin, self.name, self.definition, self.webhooks, self.facts),
            *(self.warnings, self.poisoned, self.problem),
        ]

    @classmethod
    def from_json(cls, path: Path, stamp: Stamp, raw: list[Any]) -> Entry:
        """Return an entry from its JSON in the cache."""
        digest, pin, name, definition, webhooks, facts, warnings, poisoned, problem = raw
        return cls(
            *(path, stamp, digest, pin, name, definition, webhooks, facts),
            *(tuple(warnings), poisoned, problem),
        )


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file."""
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def capability_files(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    """Yield the capability files below a folder with their stamps, sorted by path.

    Hidden files and folders are skipped. A folder is scanned once, however many links lead to it.
    """
    found: list[tuple[str, Stamp]] = []
    left = [str(folder)]
    seen: set[tuple[int, int]] = set()
    while left and len(found) < MOST_FILES:
        place = left.pop()
        try:
            status = os.stat(place)  # noqa: PTH116 - a text is enough here, and faster
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                inside = list(entries)
        except OSError:
            continue
        for entry in inside:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    left.append(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):  # opening a pipe would block
                        found.append((entry.path, stamp_of(status)))
            except OSError:
                continue  # such as a broken link
    for path, stamp in sorted(found):
        yield Path(path), stamp


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, at most one more than `LARGEST`.

    Raises:
      OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def is_utf8_path(path: Path) -> bool:
    """Return whether a path is valid UTF-8; other paths cannot be stored in the database."""
    return not any("\udc80" <= letter <= "\udcff" for letter in str(path))


def find_name(data: bytes) -> str:
    """Return the name in a file that cannot be parsed, "" without one."""
    import re

    found = re.search(rb"(?m)^name:[ \t]*[\"']?([A-Za-z0-9_]{1,64})", data)
    return found[1].decode() if found else ""


def facts_of(capability: Capability) -> dict[str, Any]:
    """Return the facts of a capability for lists."""
    metadata, auth = capability.metadata, capability.auth
    primary = capability.primary
    return {
        "category": metadata.category,
        "tags": list(metadata.tags),
        "service": primary.service if primary else "webhook",
        "method": primary.config.method if primary else "",
        "host": _host(capability),
        "key": (auth.client_secret if auth.own else auth.key) if auth.used else "",
        "auth": auth.type if auth.used else "",
        "required": auth.required,
        "cost": primary.cost_per_call if primary else 0.0,
        "states": list(capability.visible_in_states),
        "description": capability.description,
        "chains_with": list(metadata.chains_with),
    }


def _host(capability: Capability) -> str:
    from urllib.parse import urlsplit

    if capability.primary is None:
        return ""
    config = capability.primary.config
    try:
        return urlsplit(config.endpoint or config.base_url).netloc
    except ValueError:
        return ""
