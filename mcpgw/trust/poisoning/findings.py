"""Findings of the scanner: severity, category, place and reason."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

EXCERPT = 80
"""Characters of the text that a finding shows at most."""


class Severity(enum.StrEnum):
    """Severity of a finding: HIGH withholds a definition, MEDIUM only warns."""

    HIGH = "high"
    MEDIUM = "medium"


@attrs.frozen
class Finding:
    """One suspicious passage in one string of a definition.

    `where` is a path such as `tools[search].inputSchema.properties.q.description`; `matched` is
    an excerpt that is safe to print: printable characters only, at most 80 of them.
    """

    severity: Severity
    category: str
    where: str
    matched: str
    reason: str

    def __str__(self) -> str:
        return (
            f"[{self.severity.upper()}] {self.category}: {self.reason} "
            f'("{self.matched}" in {self.where})'
        )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Return the highest severity among the findings, or None if there are no findings."""
    severities = {finding.severity for finding in findings}
    if Severity.HIGH in severities:
        return Severity.HIGH
    return Severity.MEDIUM if severities else None


def excerpt(text: str) -> str:
    """Return the text in printable form: escaped, at most 80 characters."""
    shown: list[str] = []
    room = EXCERPT
    for character in " ".join(text[: 4 * EXCERPT].split(" ")):
        safe = character if character.isprintable() else _escaped(character)
        if len(safe) > room - 1:
            shown.append("…")
            break
        shown.append(safe)
        room -= len(safe)
    return "".join(shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def sentence(finding: Finding, *, quote: bool = False) -> str:
    """Describe a finding in one sentence; `quote` adds the matched text, for people only."""
    text = f"{finding.category} at {finding.where:.120}: {finding.reason}"
    return f"{text}: {finding.matched}" if quote and finding.matched else text
