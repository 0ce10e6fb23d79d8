"""What the scanner reports: where something was found, how bad it is and why."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

EXCERPT = 80
"""Characters of the text that a finding shows at most."""


class Severity(enum.StrEnum):
    """How a finding is treated: HIGH keeps a definition out, MEDIUM lets it in with a warning."""

    HIGH = "high"
    MEDIUM = "medium"


@attrs.frozen
class Finding:
    """One reason for distrust in one string of a definition.

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
    """Return the highest severity among the findings, None where there are none."""
    severities = {finding.severity for finding in findings}
    if Severity.HIGH in severities:
        return Severity.HIGH
    return Severity.MEDIUM if severities else None


def excerpt(text: str) -> str:
    """Return the text so that it can be printed: escaped, on one line, at most 80 characters."""
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
    """Return what a finding is in a sentence, for people with a quotation of what was found."""
    said = f"{finding.category} at {finding.where:.120}: {finding.reason}"
    return f"{said}: {finding.matched}" if quote and finding.matched else said
