"""Discovery of skills among the files of a folder or an archive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Protocol

import attrs

from mcpgw.skills.files import IGNORED, is_first, is_hidden, named_in
from mcpgw.skills.hashing import content_hash
from mcpgw.skills.model import (
    FILE,
    LARGEST,
    LARGEST_AUXILIARIES,
    LARGEST_AUXILIARY,
    MOST_AUXILIARIES,
    Skill,
    SkillError,
    UnusableFile,
)
from mcpgw.skills.parsing import parse_skill

MOST_SKILLS: Final = 500
DEEPEST: Final = 6
"""Levels of folders that are searched for skills."""


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

    A folder with a SKILL.md is a skill and is not searched for nested skills. Skills in hidden
    folders, such as `.claude/skills`, are read after the others. If two skills have the same name,
    the second is a problem, unless it is a copy.

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
                if skills[skill.name].content_hash == skill.content_hash:
                    continue
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
    for folder in sorted(folders, key=lambda each: (_is_dotted(each), each)):
        parts = PurePosixPath(folder).parts
        ignored = any(part in IGNORED for part in parts)
        nested = any(outer == "" or folder.startswith(f"{outer}/") for outer in found)
        if not ignored and not nested and len(parts) <= DEEPEST:
            found.append(folder)
    return found


def _is_dotted(folder: str) -> bool:
    return any(part.startswith(".") for part in folder.split("/"))


def _one(files: Files, paths: set[str], root: str) -> Skill:
    at = f"{root}/" if root else ""
    place = _join(files.place, f"{at}{FILE}")
    data = files.read(f"{at}{FILE}", root=root, limit=LARGEST)
    skill = parse_skill(data, place=place)
    found, left_out = _auxiliary(files, paths, root, data)
    texts: dict[str, str] = {}
    blobs: dict[str, bytes] = {}
    for name, content in found.items():
        if name.endswith(".md") or _is_text(content):
            texts[name] = decoded(content, _join(files.place, at + name))
        else:
            blobs[name] = content
    return attrs.evolve(
        skill,
        source_path=place,
        content_hash=content_hash(data, found),
        auxiliary=texts,
        blobs=blobs,
        left_out=tuple(left_out),
    )


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _auxiliary(
    files: Files, paths: Iterable[str], root: str, skill: bytes
) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of a skill within the limits, and the paths of those left out.

    The files that its texts name come first, so that the limits leave out what matters least.
    """
    at = f"{root}/" if root else ""
    inside = sorted(path.removeprefix(at) for path in paths if path.startswith(at))
    names = [name for name in inside if name != FILE and not is_hidden(name)]
    found: dict[str, bytes] = {}
    left_out: list[str] = []
    size = 0

    def take(name: str) -> str:
        """Read a file unless it exceeds a limit; return its text, if it is one for readers."""
        nonlocal size
        if name in found or name in left_out:
            return ""
        try:
            data = files.read(at + name, root=root, limit=LARGEST_AUXILIARY)
        except UnusableFile:
            data = None
        full = len(found) >= MOST_AUXILIARIES
        if data is None or full or size + len(data) > LARGEST_AUXILIARIES:
            left_out.append(name)
            return ""
        found[name] = data
        size += len(data)
        return data.decode("utf-8", "replace") if name.endswith((".md", ".txt")) else ""

    texts = [skill.decode("utf-8", "replace")]
    texts += [take(name) for name in names if is_first(name)]
    while texts:
        texts += [text for name in named_in(texts.pop(0), names) if (text := take(name))]
    for name in names:
        take(name)
    return dict(sorted(found.items())), left_out


def _join(place: str, path: str) -> str:
    return f"{place.rstrip('/')}/{path}" if path else place
