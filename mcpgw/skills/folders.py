"""Reading of skill files from a folder, confined to the folder of each skill."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from mcpgw.skills.files import IGNORED
from mcpgw.skills.loading import DEEPEST
from mcpgw.skills.model import SkillError, UnusableFile

MOST_ENTRIES: Final = 20_000
"""Files and folders that are examined."""
DEEPEST_FILE: Final = DEEPEST + 6
"""Levels of folders that are searched for files of skills."""


@attrs.frozen
class FolderFiles:
    """The files of a folder that can belong to skills; links to folders are not followed."""

    folder: Path
    paths: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> FolderFiles:
        """List a folder.

        Raises:
          SkillError: the folder cannot be read or has too many files.
        """
        try:
            return cls(folder, tuple(_walk(folder)))
        except OSError as error:
            raise SkillError(str(folder), error.strerror or str(error)) from error

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def read(self, path: str, *, root: str, limit: int) -> bytes:
        """Return a file's content; its real path must be inside the skill's folder."""
        file = self.folder / path
        inside = os.path.realpath(self.folder / root)
        if not os.path.realpath(file).startswith(inside.rstrip(os.sep) + os.sep):
            raise SkillError(str(file), "Path traversal blocked: the file links out of the skill")
        return read_regular(file, limit=limit)


def read_regular(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
      SkillError: it is not a regular file, cannot be read, or has more than `limit` bytes.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would block until a writer opens it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UnusableFile(str(path), "not a regular file")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnusableFile(str(path), f"cannot be read: {reason}") from error
    if len(data) > limit:
        raise UnusableFile(str(path), f"is larger than {limit >> 10} KiB")
    return data


def _walk(folder: Path) -> Iterator[str]:
    """Yield the paths of files that can belong to a skill, breadth first.

    Links to files are listed, since reading checks where they lead.
    """
    pending = [""]
    count = 0
    while pending:
        inside = pending.pop(0)
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                count += 1
                if count > MOST_ENTRIES:
                    raise SkillError(
                        str(folder),
                        f"has more than {MOST_ENTRIES} files; import the skills' own folders",
                    )
                path = f"{inside}/{entry.name}" if inside else entry.name
                if entry.name in IGNORED or not _is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if path.count("/") < DEEPEST_FILE:
                        pending.append(path)
                elif not _leads_to_folder(entry):
                    yield path


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself; reading it reports that
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
