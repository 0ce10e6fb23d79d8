"""Making skills of files, wherever the files are: in a folder or in an archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

import attrs

from mcpgw.skills.hashing import content_hash
from mcpgw.skills.model import (
    FILE,
    LARGEST,
    LARGEST_AUXILIARIES,
    LARGEST_AUXILIARY,
    MOST_AUXILIARIES,
    Skill,
    SkillError,
)
from mcpgw.skills.parsing import parse_skill

MOST_SKILLS: Final = 500
DEEPEST: Final = 6
"""Folders below the given one in which a skill is looked for."""
BESIDE: Final = ("SKILL.advanced.md", "reference.md", "README.md")
"""Texts beside SKILL.md that belong to a skill."""
BELOW: Final = ("resources", "references")
"""Folders whose `*.md` belong to a skill."""

_PASSED_OVER: Final = frozenset({"node_modules", "__MACOSX", "__pycache__"})


class Files(Protocol):
    """Files by their path under a common root, parts joined by `/`."""

    @property
    def place(self) -> str:
        """What the files are in, for errors."""

    @property
    def paths(self) -> Iterable[str]:
        """The paths of all files."""

    def read(self, path: str, *, root: str, limit: int) -> bytes:
        """Return a file's content, of which `limit` bytes are too many to come.

        Raises SkillError where it is too large, cannot be read, or stands outside of `root`.
        """


@attrs.frozen
class Gathered:
    """Skills that were read, and those that could not be."""

    skills: tuple[Skill, ...]
    problems: tuple[SkillError, ...] = ()


def gather(files: Files) -> Gathered:
    """Read every skill of some files.

    A folder with a SKILL.md is a skill, and no other is looked for inside of it. Hidden
    folders are passed over. A name that stands twice is the first one's.

    Raises:
      SkillError: there is no skill, or too many.
    """
    paths = set(files.paths)
    roots = _roots(paths)
    if not roots:
        raise SkillError(files.place, f"no {FILE} in it, nor in the folders in it")
    if len(roots) > MOST_SKILLS:
        raise SkillError(files.place, f"it holds more than {MOST_SKILLS} skills; import some of it")
    skills: dict[str, Skill] = {}
    problems: list[SkillError] = []
    for root in roots:
        try:
            skill = _one(files, paths, root)
            if skill.name in skills:
                first = skills[skill.name].source_path
                raise SkillError(skill.source_path, f"the name '{skill.name}' is that of {first}")
            skills[skill.name] = skill
        except SkillError as error:
            problems.append(error)
    return Gathered(tuple(skills.values()), tuple(problems))


def decoded(data: bytes, place: str) -> str:
    """Return the text of an auxiliary file. Raises SkillError where it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SkillError(place, "the text is not UTF-8; save it as such", line=line) from None
    if "\0" in text:
        raise SkillError(place, "this is not a text: it holds a zero byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _roots(paths: Iterable[str]) -> list[str]:
    """Return the folders of skills, sorted; the common root is the empty text."""
    found: list[str] = []
    folders = {
        str(parent) if (parent := PurePosixPath(path).parent).parts else ""
        for path in paths
        if PurePosixPath(path).name == FILE
    }
    for folder in sorted(folders):
        parts = PurePosixPath(folder).parts
        hidden = any(part.startswith(".") or part in _PASSED_OVER for part in parts)
        nested = any(outer == "" or folder.startswith(f"{outer}/") for outer in found)
        if not hidden and not nested and len(parts) <= DEEPEST:
            found.append(folder)
    return found


def _one(files: Files, paths: set[str], root: str) -> Skill:
    at = f"{root}/" if root else ""
    place = _joined(files.place, f"{at}{FILE}")
    data = files.read(f"{at}{FILE}", root=root, limit=LARGEST)
    skill = parse_skill(data, place=place)
    texts = _auxiliary(files, paths, root)
    return attrs.evolve(
        skill,
        source_path=place,
        content_hash=content_hash(data, texts),
        auxiliary={
            name: decoded(text, _joined(files.place, at + name)) for name, text in texts.items()
        },
    )


def _auxiliary(files: Files, paths: set[str], root: str) -> Mapping[str, bytes]:
    at = f"{root}/" if root else ""
    names = [name for name in BESIDE if at + name in paths]
    for folder in BELOW:
        inside = f"{at}{folder}/"
        names += sorted(
            path.removeprefix(at)
            for path in paths
            if path.startswith(inside) and path.endswith(".md") and "/" not in path[len(inside) :]
        )
    place = _joined(files.place, root)
    if len(names) > MOST_AUXILIARIES:
        raise SkillError(place, f"more than {MOST_AUXILIARIES} texts beside {FILE}")
    texts: dict[str, bytes] = {}
    for name in names:
        texts[name] = files.read(at + name, root=root, limit=LARGEST_AUXILIARY)
        if sum(map(len, texts.values())) > LARGEST_AUXILIARIES:
            raise SkillError(
                place, f"the texts beside {FILE} have more than {LARGEST_AUXILIARIES >> 20} MiB"
            )
    return texts


def _joined(place: str, path: str) -> str:
    return f"{place.rstrip('/')}/{path}" if path else place
