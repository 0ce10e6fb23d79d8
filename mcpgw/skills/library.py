"""Read-only library of all skills: the built-in and the imported ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import attrs

from mcpgw.skills.files import media_type
from mcpgw.skills.folders import FolderFiles
from mcpgw.skills.loading import gather
from mcpgw.skills.model import FILE, Skill, SkillError
from mcpgw.skills.parsing import render_skill
from mcpgw.skills.registry import Registry, RegistryError, read_registry
from mcpgw.skills.search import Hit, search_skills

SCHEME: Final = "skill://"
MIME_TYPE: Final = "text/markdown"
LONGEST_DESCRIPTION: Final = 1_024
"""Characters of a description in a list, because clients pay for them in tokens."""

Stamp = tuple[int, int, int]


class SkillNotFound(LookupError):
    """Unknown skill, or unknown text of a skill; the message suggests existing ones."""


@attrs.frozen
class SkillChanges:
    """The result of `SkillLibrary.refresh`: names of skills, and new problems."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Problems not reported before, one sentence each."""

    @property
    def any(self) -> bool:
        """True if the list of skills has changed, so clients must be notified."""
        return bool(self.added or self.removed or self.changed)


@attrs.define(eq=False)
class SkillLibrary:
    """The skills of a registry and of the built-in folder, as of the last `refresh`.

    An imported skill replaces a built-in one of the same name. If the registry becomes invalid,
    its last valid content stays in use until the file is corrected or removed.
    """

    registry_path: Path | None
    builtin_folder: Path | None
    problems: tuple[str, ...] = ()
    """Current problems, one sentence each."""
    _builtin: Mapping[str, Skill] = attrs.field(factory=dict, init=False)
    _registry: Mapping[str, Skill] = attrs.field(factory=dict, init=False)
    _builtin_problems: tuple[str, ...] = attrs.field(default=(), init=False)
    _registry_problems: tuple[str, ...] = attrs.field(default=(), init=False)
    _builtin_stamps: Mapping[str, Stamp] | None = attrs.field(default=None, init=False)
    _registry_stamp: Stamp | None = attrs.field(default=(-1, -1, -1), init=False)
    _skills: Mapping[str, Skill] = attrs.field(factory=dict, init=False)

    def all(self) -> tuple[Skill, ...]:
        """Return all skills: the built-in ones, then the imported ones, each by name."""
        return tuple(self._skills.values())

    def get(self, name: str) -> Skill | None:
        """Return the skill with this name, or None."""
        return self._skills.get(name)

    def is_builtin(self, name: str) -> bool:
        """Return whether a skill is built in and not replaced by an imported one."""
        return name in self._skills and name not in self._registry

    def search(self, query: str, limit: int | None = None) -> list[Hit]:
        """Return the skills that match a query, best first; see `search.search_skills`."""
        return search_skills(self._skills.values(), query, limit)

    def refresh(self) -> SkillChanges:
        """Read new and changed files.

        Without changes this costs one `stat` of the registry and of each built-in file. Reading
        blocks for a few milliseconds.
        """
        stamp = _stamp(self.registry_path)
        stamps = self._builtin_file_stamps()
        if stamp == self._registry_stamp and stamps == self._builtin_stamps:
            return SkillChanges()
        if stamps != self._builtin_stamps:
            self._read_builtin()
            self._builtin_stamps = stamps
        if stamp != self._registry_stamp:
            self._read_registry()
            self._registry_stamp = stamp
        reported, before = self.problems, self._skills
        self.problems = self._builtin_problems + self._registry_problems
        own = {name: skill for name, skill in self._builtin.items() if name not in self._registry}
        self._skills = {**own, **self._registry}
        now = self._skills
        return SkillChanges(
            added=tuple(sorted(now.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - now.keys())),
            changed=tuple(sorted(n for n in now.keys() & before.keys() if now[n] != before[n])),
            problems=tuple(problem for problem in self.problems if problem not in reported),
        )

    def summary(self, skill: Skill) -> dict[str, Any]:
        """Return a skill as JSON data, without its texts."""
        return {
            "name": skill.name,
            "description": skill.description,
            "version": skill.version,
            "effort": skill.effort,
            "allowed_tools": list(skill.allowed_tools),
            "triggers": list(skill.triggers),
            "keywords": list(skill.keywords),
            "uri": uri_of(skill.name),
            "builtin": self.is_builtin(skill.name),
            "source_path": skill.source_path,
            "source_url": skill.source_url,
            "content_hash": skill.content_hash,
            "auxiliary_files": list(skill.files),
        }

    def resources(self) -> list[dict[str, Any]]:
        """Return the MCP resource definitions of all skills and their other files."""
        found: list[dict[str, Any]] = []
        for skill in self._skills.values():
            found.append(
                {
                    "uri": uri_of(skill.name),
                    "name": skill.name,
                    "title": _line(skill.title),
                    "description": _line(skill.description),
                    "mimeType": MIME_TYPE,
                    "size": len(render_skill(skill).encode()),
                    "annotations": {"audience": ["assistant"], "priority": 0.5},
                }
            )
            found += [
                {
                    "uri": uri_of(skill.name, file),
                    "name": _line(f"{skill.name}/{file}"),
                    "title": f"{_line(skill.title)}: {_line(file)}",
                    "description": f"An additional file of the skill {skill.name}.",
                    "mimeType": media_type(file, text=file in skill.auxiliary),
                    "size": len(content.encode() if isinstance(content, str) else content),
                    "annotations": {"audience": ["assistant"], "priority": 0.1},
                }
                for file, content in (*skill.auxiliary.items(), *skill.blobs.items())
            ]
        return found

    def read(self, uri: str) -> list[dict[str, Any]]:
        """Return the contents for `resources/read`.

        `skill://NAME` and `skill://NAME/SKILL.md` give the skill with its front matter,
        `skill://NAME/FILE` gives another file, as text or base64.

        Raises:
          SkillNotFound: there is no such skill or text.
        """
        name, file = parse_uri(uri)
        skill = self._skills.get(name) or self._skills.get(self._same_name(name))
        if skill is None:
            from mcpgw.text.did_you_mean import correction

            near = correction(name, self._skills)
            hint = f"Did you mean '{near}'?" if near else "resources/list shows all skills."
            raise SkillNotFound(f"Unknown skill '{_line(name)}'. {hint}")
        kind = MIME_TYPE
        if file in ("", FILE):
            text = render_skill(skill)
        elif file in skill.auxiliary:
            text, kind = skill.auxiliary[file], media_type(file, text=True)
        elif file in skill.blobs:
            data = base64.b64encode(skill.blobs[file]).decode()
            return [{"uri": uri, "mimeType": media_type(file, text=False), "blob": data}]
        else:
            files = ", ".join([FILE, *skill.files])
            raise SkillNotFound(
                f"The skill '{skill.name}' has no file '{_line(file)}'. Its files: {files}."
            )
        return [{"uri": uri, "mimeType": kind, "text": text}]

    def _same_name(self, name: str) -> str:
        """Return the name that differs only in case; some clients lower-case it in a URI."""
        folded = [each for each in self._skills if each.casefold() == name.casefold()]
        return folded[0] if len(folded) == 1 else name

    def _builtin_file_stamps(self) -> Mapping[str, Stamp]:
        if self.builtin_folder is None:
            return {}
        try:
            paths = FolderFiles.of(self.builtin_folder).paths
        except SkillError:
            return {}
        stamps = {path: _stamp(self.builtin_folder / path) for path in paths}
        return {path: stamp for path, stamp in stamps.items() if stamp is not None}

    def _read_builtin(self) -> None:
        self._builtin, self._builtin_problems = {}, ()
        if self.builtin_folder is None:
            return
        try:
            gathered = gather(FolderFiles.of(self.builtin_folder))
        except SkillError as error:
            self._builtin_problems = (str(error),)
            return
        skills = sorted(gathered.skills, key=lambda skill: skill.name)
        self._builtin = {skill.name: skill for skill in skills}
        self._builtin_problems = tuple(map(str, gathered.problems))

    def _read_registry(self) -> None:
        if self.registry_path is None:
            return
        try:
            registry: Registry = read_registry(self.registry_path)
        except RegistryError as error:
            self._registry_problems = (str(error),)
            return
        self._registry = registry.skills
        self._registry_problems = tuple(
            f"{self.registry_path}: the skill '{_line(name)}' is invalid: {reason}."
            for name, reason in registry.broken.items()
        )


def uri_of(name: str, file: str = "") -> str:
    """Return the URI of a skill, or of one of its auxiliary texts."""
    address = SCHEME + quote(name, safe="")
    return f"{address}/{quote(file)}" if file else address


def parse_uri(uri: str) -> tuple[str, str]:
    """Return the name of the skill and the file in a `skill://` URI.

    Raises:
      SkillNotFound: it is another kind of URI.
    """
    if not uri.lower().startswith(SCHEME):
        raise SkillNotFound(f"'{_line(uri)}' is not a skill URI. Use {SCHEME}NAME.")
    name, _, file = uri[len(SCHEME) :].partition("/")
    return unquote(name), unquote(file)


def _stamp(path: Path | None) -> Stamp | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _line(text: str) -> str:
    """Return untrusted text as one line without control characters, cut for use in lists."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(plain.split())
    if len(line) <= LONGEST_DESCRIPTION:
        return line
    return f"{line[: LONGEST_DESCRIPTION - 1].rstrip()}…"
