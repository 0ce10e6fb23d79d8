"""Checks of the owner and mode of files and folders, as ssh makes them.

A state folder that others may write to lets them plant logins, approvals and skills; a gateway.yaml
or env file lets them run programs. Windows has other rules; nothing is checked there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST_ENTRIES: Final = 2_000
"""Entries of a state folder that are looked at."""
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class UnsafeFolder(Exception):
    """A folder is not used because others could change what is in it; the message says why."""


def exposure(path: Path) -> str:
    """Return how others can change a file or folder, as a predicate; "" if they cannot.

    Its owner must be this user or root. A group may write if its only member is the owner, as it is
    on systems that give each user a group. A missing file is not exposed.
    """
    if os.name != "posix":
        return ""
    try:
        status = path.stat()
    except OSError:
        return ""
    if status.st_uid not in (0, os.getuid()):
        return f"belongs to another user ({_user(status.st_uid)}), who can change it"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return f"can be changed by all users (mode {stat.S_IMODE(status.st_mode):04o})"
    if status.st_mode & stat.S_IWGRP and _has_members(status.st_gid, status.st_uid):
        return f"can be changed by its group (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def restrict(path: Path) -> str:
    """Take the write permission of a file or folder from others; return the change.

    Raises:
      OSError: it belongs to another user, or the file system does not allow it.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode & ~_OTHERS_WRITE)
    return f"permissions of {path}: {mode:04o} -> {mode & ~_OTHERS_WRITE:04o}"


def secure_folder(folder: Path) -> list[str]:
    """Take the write permission of the state folder and its entries from others.

    Returns:
      The corrections; empty if nothing was exposed or the folder does not exist.

    Raises:
      UnsafeFolder: it belongs to another user, or its permissions cannot be changed.
    """
    if os.name != "posix" or not folder.is_dir():
        return []
    if "another user" in (fault := exposure(folder)):
        raise UnsafeFolder(
            f"The state folder {folder} {fault}. Use a folder of your own (MCP_GATEWAY_HOME), or"
            f" make it yours: chown -R {_user(os.getuid())} {folder}"
        )
    done = []
    try:
        for path in _writable_by_others(folder):
            done.append(restrict(path))  # noqa: PERF401 - the corrections are kept if one fails
    except OSError as error:
        raise UnsafeFolder(
            f"The state folder {folder} can be changed by other users, and its permissions cannot"
            f" be corrected ({error.strerror}). Run: chmod -R go-w {folder}"
        ) from error
    return done


def _writable_by_others(folder: Path) -> Iterator[Path]:
    """Yield the folder and its entries, two levels deep, that group or others may write to."""
    left = MOST_ENTRIES
    pending = [(folder, 2)]
    while pending:
        path, depth = pending.pop()
        try:
            mode = path.lstat().st_mode if path != folder else path.stat().st_mode
        except OSError:
            continue
        if stat.S_ISLNK(mode) or stat.S_ISSOCK(mode):
            continue
        if mode & _OTHERS_WRITE:
            yield path
        if stat.S_ISDIR(mode) and depth and left > 0:
            with os.scandir(path) as entries:
                inner = [(Path(entry.path), depth - 1) for entry in entries]
            left -= len(inner)
            pending += inner


def _has_members(group: int, owner: int) -> bool:
    """Return true if a group has other members than the owner of a file, or may have."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(owner)
        members = grp.getgrgid(group).gr_mem
    except KeyError:
        return True
    return user.pw_gid != group or any(name != user.pw_name for name in members)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
