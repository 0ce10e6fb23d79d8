"""Input and results of the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

Severity = Literal["FAIL", "WARN", "INFO", "PASS"]
ORDER: Final[Mapping[str, int]] = {"FAIL": 3, "WARN": 2, "INFO": 1, "PASS": 0}

Key = tuple[str | int, ...]


@attrs.frozen
class ToolView:
    """One tool: its definition, its file, and a function that finds the line of a key."""

    file: str
    name: str
    definition: Mapping[str, Any]
    examples: int = 0
    document: Mapping[str, Any] = attrs.field(factory=dict)
    line_of: Callable[[Key], int | None] = lambda _key: None

    @property
    def description(self) -> str:
        """The description of the tool; empty if it is missing."""
        text = self.definition.get("description")
        return text if isinstance(text, str) else ""

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """Schemas of the arguments; anything that is not a schema counts as an empty one."""
        return _properties(self.definition.get("inputSchema"))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the required arguments."""
        schema = self.definition.get("inputSchema")
        found = schema.get("required") if isinstance(schema, Mapping) else None
        return tuple(str(each) for each in found) if isinstance(found, list) else ()

    @property
    def output(self) -> Mapping[str, Mapping[str, Any]] | None:
        """Schemas of the top-level fields of the result; None without an output schema."""
        schema = self.definition.get("outputSchema")
        return _properties(schema) if isinstance(schema, Mapping) else None


def _properties(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(k): v if isinstance(v, Mapping) else {} for k, v in found.items()}


@attrs.frozen
class Result:
    """Result of a rule: a score from 0 to 1, the severity and the issues."""

    code: str
    score: float
    severity: Severity
    issues: tuple[str, ...] = ()
    hint: str = ""
    key: Key = ()
    line: int | None = None


def graded(
    code: str,
    score: float,
    issues: list[str],
    hint: str = "",
    key: Key = (),
    *,
    bounds: tuple[float, float, float] = (0.5, 0.8, 0.8),
) -> Result:
    """Return a result whose severity is determined by the score.

    Args:
      code: code of the rule.
      score: the score; limited to 0 to 1.
      issues: the issues found; without issues the severity is PASS.
      hint: how to fix them.
      key: the key concerned.
      bounds: scores below which the severity is FAIL, WARN and INFO.
    """
    score = round(min(1.0, max(0.0, score)), 2)
    severity: Severity = "PASS"
    if issues:
        fail, warn, info = bounds
        severity = "FAIL" if score < fail else "WARN" if score < warn else "INFO"
        if severity == "INFO" and score >= max(info, warn) and score >= 1.0:
            severity = "PASS"
    return Result(code, score, severity, tuple(issues), hint, key)
