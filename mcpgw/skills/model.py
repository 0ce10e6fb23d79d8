"""What a skill is, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

FILE: Final = "SKILL.md"
"""The file that makes a folder a skill."""

LARGEST: Final = 1 << 20
"""Bytes of a SKILL.md that are read."""
LARGEST_AUXILIARY: Final = 256 << 10
"""Bytes of one auxiliary text."""
LARGEST_AUXILIARIES: Final = 1 << 20
"""Bytes of all auxiliary texts of a skill together."""
MOST_AUXILIARIES: Final = 64


class SkillError(ValueError):
    """A skill, or a place to import one from, that cannot be used.

    `place` is the file or the address, `line` counts from 1 where it is known, and `message`
    says what to put right.
    """

    def __init__(self, place: str, message: str, *, line: int | None = None) -> None:
        super().__init__(place, message, line)
        self.place = place
        self.message = message
        self.line = line

    def __str__(self) -> str:
        """Write the fault as one sentence, beginning with its place."""
        place = self.place if self.line is None else f"{self.place}:{self.line}"
        end = "" if self.message.endswith((".", "?", "!")) else "."
        return f"{place}: {self.message}{end}"


@attrs.frozen
class CodeBlock:
    """A fenced block of a skill's body, kept to be read and never run."""

    lang: str
    content: str


@attrs.frozen
class Skill:
    """One skill: its description, its text, and where it came from."""

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
    """Keys of the front matter that mean nothing to the gateway; plain JSON data."""
    source_path: str = ""
    source_url: str = ""
    content_hash: str = ""
    """`sha256:` and 64 hex digits; see `hashing.content_hash`."""
    auxiliary: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Texts beside SKILL.md by their path in the skill's folder."""

    @property
    def title(self) -> str:
        """The first heading of the body, or the name."""
        for line in self.body.splitlines():
            if line.startswith("# ") and line[2:].strip():
                return line[2:].strip(" #")
        return self.name


def shown(text: str) -> str:
    """Return foreign text in a form that a terminal takes as text.

    Control characters, and characters that are not seen or turn the direction of reading, are
    written as escapes; line ends, tabs and spaces of all widths stay.
    """
    return "".join(
        letter
        if letter.isprintable() or letter in "\n\t" or (letter.isspace() and letter > "\x9f")
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def shown_line(text: str) -> str:
    """Return foreign text as `shown` does, on one line."""
    return shown(" ".join(text.split()))
