"""Files that are whole at every moment, whoever else writes them or wherever we are killed."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = False) -> None:
    """Replace a file's content in one step.

    A reader sees the old content or the new one, never a part. Of several processes that
    write the same file, the last one's content stands. Missing folders are made, open to the
    owner only. Where `path` is a symbolic link, the file that it points to is replaced.

    Args:
      path: the file.
      data: its new content.
      mode: its permissions, whatever the umask.
      sync: whether to wait until the content has reached the disk, so that it outlives a
        power failure too.

    Raises:
      OSError: it could not be written; nothing has changed.
    """
    target = Path(os.path.realpath(path))
    _make_folders(target.parent)
    # The random part keeps writers apart; the short name fits where the target's just does.
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
    """Return a JSON file's content, or None where it is missing, unreadable or broken."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents; `Path.mkdir` would make the parents open to others."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the folder's entries have reached the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
