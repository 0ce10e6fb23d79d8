"""Scan of imported skills for hidden instructions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.skills.files import CODE
from mcpgw.skills.model import FILE, Skill

if TYPE_CHECKING:
    from mcpgw.trust.poisoning import Finding

Scan = Callable[[str, str], "Iterable[Finding]"]
"""Takes a text and its place; returns findings as `mcpgw.trust.poisoning.scan_text` does."""

PIECE: Final = 4_000
"""Characters of a text that are scanned at once."""
OVERLAP: Final = 1_000
"""Characters that two neighbouring pieces share."""


@attrs.frozen
class Suspicion:
    """One finding in a text of a skill."""

    severe: bool
    where: str
    reason: str


def screen(skill: Skill, scan: Scan | None = None) -> tuple[Suspicion, ...]:
    """Return the findings in any text of a skill, severe ones first.

    Args:
      skill: the skill.
      scan: the scanner, or None for the gateway's own.
    """
    scan_piece = scan if scan is not None else engine()
    found = [
        Suspicion(
            finding.severity.name == "HIGH" and not _is_code(skill, where), where, _reason(finding)
        )
        for where, text in _texts(skill)
        for piece in _pieces(text)
        for finding in scan_piece(piece, where)
        if finding.severity.name in ("HIGH", "MEDIUM")
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda suspicion: not suspicion.severe))


def _is_code(skill: Skill, where: str) -> bool:
    """Return whether a text is a file of code or data, which the rules for prose do not fit."""
    return where in skill.auxiliary and PurePosixPath(where).suffix.lower() in CODE


def _texts(skill: Skill) -> Iterator[tuple[str, str]]:
    yield "name", skill.name
    yield "description", skill.description
    for field in ("allowed_tools", "triggers", "keywords"):
        if words := getattr(skill, field):
            yield field.replace("_", "-"), "\n".join(words)
    yield from _strings(skill.extra, "extra")
    yield FILE, skill.body
    yield from skill.auxiliary.items()


def _strings(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield where, str(key)
            yield from _strings(item, f"{where}.{key}")


def _reason(finding: Finding) -> str:
    return f'{finding.reason} ("{finding.matched}")' if finding.matched else finding.reason


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that overlap, so that no instruction is missed at a cut.

    The scanner is made for descriptions and reports a long text as a finding in itself.
    """
    for start in range(0, max(1, len(text) - OVERLAP), PIECE - OVERLAP):
        yield text[start : start + PIECE]


def engine() -> Scan:
    """Return the gateway's own scanner, with the rules that apply to skills."""
    from mcpgw.trust.poisoning import scan_text

    return functools.partial(scan_text, genre="skill")
