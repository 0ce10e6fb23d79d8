"""Discovery of skills among the files of a folder or an archive."""

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
"""Levels of folders that are searched for skills."""
BESIDE: Final = ("SKILL.advanced.md", "reference.md", "README.md")
"""Auxiliary texts in the folder of SKILL.md."""
BELOW: Final = ("resources", "references")
"""Subfolders whose `*.md` files are auxiliary texts."""

_IGNORED: Final = frozenset({"node_modules", "__MACOSX", "__pycache__"})


class Files(Protocol):
    """Files by their path under a common root, parts joined by `/`."""

    @property
    def place(self) -> str:
        """The folder or archive that contains the files, for errors."""

    @property
    def paths(self) -> Iterable[str]:
        """The paths of all files."""

    def read(self, path: str, *, root: str, limit: int) -> bytes:
        """Return a file's content.

        Raises:
          SkillError: it has more than `limit` bytes, cannot be read, or is outside of `root`.
        """


@attrs.frozen
class Gathered:
    """The skills that were read, and the errors of those that could not be."""

    skills: tuple[Skill, ...]
    problems: tuple[SkillError, ...] = ()


def gather(files: Files) -> Gathered:
    """Read every skill among the files.

    A folder with a SKILL.md is a skill and is not searched for nested skills. Hidden folders are
    ignored. If two skills have the same name, the second is a problem.

    Raises:
      SkillError: there are no skills, or too many.
    """
    paths = set(files.paths)
    roots = _roots(paths)
    if not roots:
        raise SkillError(files.place, f"contains no {FILE}, not even in a subfolder")
    if len(roots) > MOST_SKILLS:
        raise SkillError(
            files.place, f"contains more than {MOST_SKILLS} skills; import a part of it"
        )
    skills: dict[str, Skill] = {}
    problems: list[SkillError] = []
    for root in roots:
        try:
            skill = _one(files, paths, root)
            if skill.name in skills:
                first = skills[skill.name].source_path
                raise SkillError(
                    skill.source_path, f"the name '{skill.name}' is already used by {first}"
                )
            skills[skill.name] = skill
        except SkillError as error:
            problems.append(error)
    return Gathered(tuple(skills.values()), tuple(problems))


def decoded(data: bytes, place: str) -> str:
    """Return the text of an auxiliary file.

    Raises:
      SkillError: it is not UTF-8 text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SkillError(place, "the text is not UTF-8; save it as such", line=line) from None
    if "\0" in text:
        raise SkillError(place, "this is not text: it contains a zero byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _roots(paths: Iterable[str]) -> list[str]:
    """Return the folders of skills, sorted; the common root is ""."""
    found: list[str] = []
    folders = {
        str(parent) if (parent := PurePosixPath(path).parent).parts else ""
        for path in paths
        if PurePosixPath(path).name == FILE
    }
    for folder in sorted(folders):
        parts = PurePosixPath(folder).parts
        hidden = any(part.startswith(".") or part in _IGNORED for part in parts)
        nested = any(outer == "" or folder.startswith(f"{outer}/") for outer in found)
        if not hidden and not nested and len(parts) <= DEEPEST:
            found.append(folder)
    return found


def _one(files: Files, paths: set[str], root: str) -> Skill:
    at = f"{root}/" if root else ""
    place = _join(files.place, f"{at}{FILE}")
    data = files.read(f"{at}{FILE}", root=root, limit=LARGEST)
    skill = parse_skill(data, place=place)
    texts = _auxiliary(files, paths, root)
    return attrs.evolve(
        skill,
        source_path=place,
        content_hash=content_hash(data, texts),
        auxiliary={
            name: decoded(text, _join(files.place, at + name)) for name, text in texts.items()
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
    place = _join(files.place, root)
    if len(names) > MOST_AUXILIARIES:
        raise SkillError(place, f"has more than {MOST_AUXILIARIES} auxiliary texts")
    texts: dict[str, bytes] = {}
    for name in names:
        texts[name] = files.read(at + name, root=root, limit=LARGEST_AUXILIARY)
        if sum(map(len, texts.values())) > LARGEST_AUXILIARIES:
            raise SkillError(
                place, f"the auxiliary texts are larger than {LARGEST_AUXILIARIES >> 20} MiB"
            )
    return texts


def _join(place: str, path: str) -> str:
    return f"{place.rstrip('/')}/{path}" if path else place
