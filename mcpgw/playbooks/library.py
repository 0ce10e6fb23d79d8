"""Library of the playbooks in some folders; reloads files that have changed."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.config.problems import ConfigError

if TYPE_CHECKING:
    from mcpgw.playbooks.model import Playbook

BUILTIN: Final = Path(__file__).parent / "builtin"
SUFFIXES: Final = (".yaml", ".yml")
LARGEST: Final = 1_000_000
"""Greatest size of a file, in bytes."""

Stamp = tuple[int, int, int]


@attrs.frozen
class Changes:
    """The result of `PlaybookLibrary.refresh`: names of playbooks, and new problems by file."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problems: Mapping[Path, str] = attrs.field(factory=dict)
    """Problems not reported before."""


@attrs.define(eq=False)
class PlaybookLibrary:
    """The playbooks in every `*.yaml` and `*.yml` of the folders, without subfolders.

    Built-in playbooks are listed by the names of their files and read on first use.

    If names are the same, the later folder wins, and within a folder the later file name. If a
    file becomes invalid, the last valid version of its playbook stays in use until the file is
    corrected or removed.
    """

    _folders: tuple[Path, ...] = ()
    _builtin: dict[str, Path] = attrs.field(factory=dict)
    _good: dict[Path, Playbook] = attrs.field(factory=dict)
    _stamps: dict[Path, Stamp] = attrs.field(factory=dict)
    _by_name: dict[str, Playbook] = attrs.field(factory=dict)
    problems: dict[Path, str] = attrs.field(factory=dict)
    """Current problems by file."""

    def use(self, folders: tuple[Path, ...], *, builtin: bool = True) -> None:
        """Set the folders, to be read by the next `refresh`, and enable built-in playbooks."""
        self._folders = folders
        files = BUILTIN.iterdir() if builtin else ()
        self._builtin = {path.stem: path for path in files if path.suffix in SUFFIXES}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all playbooks, sorted."""
        return tuple(sorted(self._by_name.keys() | self._builtin.keys()))

    def get(self, name: str) -> Playbook | None:
        """Return the playbook with this name, or None; folders win over built-in playbooks."""
        found = self._by_name.get(name)
        if found is None and (path := self._builtin.get(name)) is not None:
            from mcpgw.playbooks.parsing import read_playbook

            found = read_playbook(path, path.read_text("utf-8"))
        return found

    def refresh(self) -> Changes:
        """Read new and changed files."""
        found = dict(self._files())
        new_problems: dict[Path, str] = {}
        if found != self._stamps:
            for path in self._stamps.keys() - found.keys():
                self._good.pop(path, None)
                self.problems.pop(path, None)
            for path, stamp in found.items():
                if self._stamps.get(path) != stamp:
                    self._read(path, new_problems)
            self._stamps = found
        before = self._by_name
        self._by_name = {
            self._good[path].name: self._good[path] for path in found if path in self._good
        }
        return Changes(
            added=tuple(sorted(self._by_name.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - self._by_name.keys())),
            changed=tuple(
                sorted(
                    name
                    for name in self._by_name.keys() & before.keys()
                    if self._by_name[name] != before[name]
                )
            ),
            problems=new_problems,
        )

    def _files(self) -> Iterator[tuple[Path, Stamp]]:
        for folder in self._folders:
            try:
                paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
            except OSError:
                continue  # a missing folder has no playbooks
            for path in paths:
                try:
                    status = path.stat()
                except OSError:
                    continue
                if not stat.S_ISREG(status.st_mode):
                    continue  # opening a FIFO would block until a writer opens it
                yield path, (status.st_mtime_ns, status.st_size, status.st_ino)

    def _read(self, path: Path, new_problems: dict[Path, str]) -> None:
        from mcpgw.playbooks.parsing import read_playbook

        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise ValueError(f"the file is larger than {LARGEST} bytes")
            self._good[path] = read_playbook(path, data.decode("utf-8-sig"))
            self.problems.pop(path, None)
        except UnicodeDecodeError:
            new_problems[path] = self.problems[path] = "the text is not UTF-8"
        except (OSError, ValueError, ConfigError) as error:
            new_problems[path] = self.problems[path] = str(error)
