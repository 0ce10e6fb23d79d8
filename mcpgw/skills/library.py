"""All skills of the gateway: those that come with it and the imported ones. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import attrs

from mcpgw.skills.folders import FolderFiles
from mcpgw.skills.loading import gather
from mcpgw.skills.model import FILE, Skill, SkillError
from mcpgw.skills.parsing import render_skill
from mcpgw.skills.registry import Registry, RegistryError, read_registry
from mcpgw.skills.search import Hit, search_skills

SCHEME: Final = "skill://"
MIME_TYPE: Final = "text/markdown"
LONGEST_DESCRIPTION: Final = 1_024
"""Characters of a description in a list; clients pay for them."""

Stamp = tuple[int, int, int]


class SkillNotFound(LookupError):
    """No skill has this name, or no text this address; the text says what there is."""


@attrs.frozen
class SkillChanges:
    """What a look at the files found."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What cannot be used and was not yet told of, a sentence each."""

    @property
    def any(self) -> bool:
        """Whether the list of skills is another one, so that clients should hear of it."""
        return bool(self.added or self.removed or self.changed)


@attrs.define(eq=False)
class SkillLibrary:
    """Knows the skills of a registry and of the built-in folder as `refresh` last saw them.

    An imported skill stands in place of a built-in one of the same name. A registry that
    breaks keeps its last good content until it is mended or gone.
    """

    registry_path: Path | None
    builtin_folder: Path | None
    problems: tuple[str, ...] = ()
    """What cannot be used now, a sentence each."""
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
        """Return the skill of this name."""
        return self._skills.get(name)

    def is_builtin(self, name: str) -> bool:
        """Tell whether a skill came with the gateway and is not replaced by an imported one."""
        return name in self._skills and name not in self._registry

    def search(self, query: str, limit: int | None = None) -> list[Hit]:
        """Return the skills that fit a query, best first; see `search.search_skills`."""
        return search_skills(self._skills.values(), query, limit)

    def refresh(self) -> SkillChanges:
        """Look at the files, and read what is new or changed.

        Where nothing changed it costs a `stat` of the registry and of each built-in file. It
        blocks while it reads, a few milliseconds.
        """
        stamp = _stamp(self.registry_path)
        stamps = self._look()
        if stamp == self._registry_stamp and stamps == self._builtin_stamps:
            return SkillChanges()
        if stamps != self._builtin_stamps:
            self._read_builtin()
            self._builtin_stamps = stamps
        if stamp != self._registry_stamp:
            self._read_registry()
            self._registry_stamp = stamp
        told, before = self.problems, self._skills
        self.problems = self._builtin_problems + self._registry_problems
        own = {name: skill for name, skill in self._builtin.items() if name not in self._registry}
        self._skills = {**own, **self._registry}
        now = self._skills
        return SkillChanges(
            added=tuple(sorted(now.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - now.keys())),
            changed=tuple(sorted(n for n in now.keys() & before.keys() if now[n] != before[n])),
            problems=tuple(problem for problem in self.problems if problem not in told),
        )

    def summary(self, skill: Skill) -> dict[str, Any]:
        """Return what is known of a skill as JSON data, without its texts."""
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
            "auxiliary_files": list(skill.auxiliary),
        }

    def resources(self) -> list[dict[str, Any]]:
        """Return the MCP resource definitions of all skills and the texts beside them."""
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
                    "name": f"{skill.name}/{file}",
                    "title": f"{_line(skill.title)}: {file}",
                    "description": f"A further text of the skill {skill.name}.",
                    "mimeType": MIME_TYPE,
                    "size": len(text.encode()),
                    "annotations": {"audience": ["assistant"], "priority": 0.1},
                }
                for file, text in skill.auxiliary.items()
            ]
        return found

    def read(self, uri: str) -> list[dict[str, Any]]:
        """Return the contents for `resources/read`.

        `skill://NAME` and `skill://NAME/SKILL.md` are the skill with its front matter,
        `skill://NAME/FILE` is a text beside it.

        Raises:
          SkillNotFound: there is no such text.
        """
        name, file = parse_uri(uri)
        skill = self._skills.get(name) or self._skills.get(self._spelt(name))
        if skill is None:
            from mcpgw.text.did_you_mean import correction

            near = correction(name, self._skills)
            hint = f"did you mean '{near}'?" if near else f"there are {len(self._skills)} others."
            raise SkillNotFound(f"There is no skill '{_line(name)}'; {hint}")
        if file in ("", FILE):
            text = render_skill(skill)
        elif file in skill.auxiliary:
            text = skill.auxiliary[file]
        else:
            others = ", ".join([FILE, *skill.auxiliary])
            raise SkillNotFound(f"The skill '{skill.name}' has no '{_line(file)}', only {others}.")
        return [{"uri": uri, "mimeType": MIME_TYPE, "text": text}]

    def _spelt(self, name: str) -> str:
        """Return the name that differs in case alone: some clients lower-case what follows //."""
        folded = [each for each in self._skills if each.casefold() == name.casefold()]
        return folded[0] if len(folded) == 1 else name

    def _look(self) -> Mapping[str, Stamp]:
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
            f"{self.registry_path}: the skill '{_line(name)}' cannot be used: {reason}."
            for name, reason in registry.broken.items()
        )


def uri_of(name: str, file: str = "") -> str:
    """Return the address of a skill, or of a text beside it."""
    address = SCHEME + quote(name, safe="")
    return f"{address}/{quote(file)}" if file else address


def parse_uri(uri: str) -> tuple[str, str]:
    """Return the skill's name and the file of an address; SkillNotFound where it is none."""
    if not uri.lower().startswith(SCHEME):
        raise SkillNotFound(f"'{_line(uri)}' is not the address of a skill ({SCHEME}NAME).")
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
    """Return foreign text as one line without control characters, of a length for lists."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(plain.split())
    if len(line) <= LONGEST_DESCRIPTION:
        return line
    return f"{line[: LONGEST_DESCRIPTION - 1].rstrip()}…"
