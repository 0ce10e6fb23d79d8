"""Atomic file writes, safe against concurrent writers and crashes."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = False) -> None:
    """Replace the content of a file in one step.

    Readers see either the old or the new content. If several processes write the same file, the
    last one wins. Missing folders are created, accessible by the owner only. If `path` is a
    symbolic link, its target is replaced.

    Args:
      path: the file.
      data: its new content.
      mode: its permissions, regardless of the umask.
      sync: whether to wait until the content is on the disk, to survive a power failure.

    Raises:
      OSError: the file cannot be written; nothing has changed.
    """
    target = Path(os.path.realpath(path))
    _make_folders(target.parent)
    # The random name avoids conflicts of writers; it is short, to fit wherever the target fits.
    temporary = target.parent / f".{os.urandom(8).hex()}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            if sync:
                file.flush()
                os.fsync(handle)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if sync:
        _sync_folder(target.parent)


def read_json(path: Path) -> object | None:
    """Return the content of a JSON file, or None if it is missing, unreadable or invalid."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content


def _make_folders(folder: Path) -> None:
    """Create a folder and its parents; `Path.mkdir` would make the parents accessible to others."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the entries of the folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
