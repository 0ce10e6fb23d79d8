"""The data model of a skill, and the error for one that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

FILE: Final = "SKILL.md"
"""The file that makes a folder a skill."""

LARGEST: Final = 1 << 20
"""Greatest size of a SKILL.md, in bytes."""
LARGEST_AUXILIARY: Final = 1 << 20
"""Greatest size of one auxiliary file, in bytes."""
LARGEST_AUXILIARIES: Final = 4 << 20
"""Greatest size of all auxiliary files of a skill together, in bytes."""
MOST_AUXILIARIES: Final = 256


class SkillError(ValueError):
    """A skill, or a source of skills, that cannot be used.

    `place` is the file or URL, `line` counts from 1 and is None if unknown, and `message` says
    what to correct.
    """

    def __init__(self, place: str, message: str, *, line: int | None = None) -> None:
        super().__init__(place, message, line)
        self.place = place
        self.message = message
        self.line = line

    def __str__(self) -> str:
        """Return the error as one sentence that starts with its place."""
        place = self.place if self.line is None else f"{self.place}:{self.line}"
        end = "" if self.message.endswith((".", "?", "!")) else "."
        return f"{place}: {self.message}{end}"


class UnusableFile(SkillError):
    """A file that exceeds its limit, is not a regular file, or cannot be read."""


@attrs.frozen
class CodeBlock:
    """A fenced code block of a skill's body; shown to clients, never run."""

    lang: str
    content: str


@attrs.frozen
class Skill:
    """One skill: its front matter, its text and its origin."""

    name: str
    description: str
    version: str = ""
    effort: str = ""
    allowed_tools: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    body: str = attrs.field(default="", repr=False)
    code_blocks: tuple[CodeBlock, ...] = attrs.field(default=(), repr=False)
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False)
    """Front matter keys that the gateway does not use, as plain JSON data."""
    source_path: str = ""
    source_url: str = ""
    content_hash: str = ""
    """`sha256:` and 64 hex digits; see `hashing.content_hash`."""
    auxiliary: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The other texts of the skill, by their path in its folder."""
    blobs: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    """Its files that are not texts, such as images, in the same way."""
    left_out: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Files that exceed the limits or cannot be read; only known when the skill is read."""

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of all files besides SKILL.md."""
        return (*self.auxiliary, *self.blobs)

    @property
    def title(self) -> str:
        """The first heading of the body, or the name if it has none."""
        for line in self.body.splitlines():
            if line.startswith("# ") and line[2:].strip():
                return line[2:].strip(" #")
        return self.name


def name_problem(name: str) -> str:
    """Return why a text cannot be the name of a skill, "" if it can.

    A name is a part of URIs, and a folder for clients that store skills.
    """
    if any(sign in name for sign in "/\\") or name.strip(". ") == "":
        return "must not contain '/' or '\\', or consist of dots; use letters, digits and '-'"
    return ""


def shown(text: str) -> str:
    """Return untrusted text in a form that is safe to print on a terminal.

    Control characters, invisible characters and direction marks are written as escapes; line
    ends, tabs and spaces of all widths stay.
    """
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t" or (letter.isspace() and letter > "\x9f")
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def shown_line(text: str) -> str:
    """Return untrusted text as `shown` does, on one line."""
    return shown(" ".join(text.split()))
