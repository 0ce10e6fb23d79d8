"""A tool as the rules see it, and what a rule says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

Severity = Literal["FAIL", "WARN", "INFO", "PASS"]
ORDER: Final[Mapping[str, int]] = {"FAIL": 3, "WARN": 2, "INFO": 1, "PASS": 0}

Key = tuple[str | int, ...]


@attrs.frozen
class ToolView:
    """One tool: its definition, where it stands, and how the lines of its keys are found."""

    file: str
    name: str
    definition: Mapping[str, Any]
    examples: int = 0
    document: Mapping[str, Any] = attrs.field(factory=dict)
    line_of: Callable[[Key], int | None] = lambda _key: None

    @property
    def description(self) -> str:
        """What the tool says of itself."""
        text = self.definition.get("description")
        return text if isinstance(text, str) else ""

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The inputs; what is no schema counts as an empty one."""
        return _properties(self.definition.get("inputSchema"))

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the inputs that must be given."""
        schema = self.definition.get("inputSchema")
        found = schema.get("required") if isinstance(schema, Mapping) else None
        return tuple(str(each) for each in found) if isinstance(found, list) else ()

    @property
    def output(self) -> Mapping[str, Mapping[str, Any]] | None:
        """The top-level fields of the answer; None where nothing is said of it."""
        schema = self.definition.get("outputSchema")
        return _properties(schema) if isinstance(schema, Mapping) else None


def _properties(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(k): v if isinstance(v, Mapping) else {} for k, v in found.items()}


@attrs.frozen
class Result:
    """What a rule says of a tool: a score from 0 to 1, and the worst of its issues."""

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
    """Make a result whose severity follows from its score.

    Args:
      code: the rule.
      score: is kept within 0 and 1.
      issues: what is not as it should be; without any the result is a pass.
      hint: what to do.
      key: where.
      bounds: below the first it fails, below the second it warns, below the third it is told.
    """
    score = round(min(1.0, max(0.0, score)), 2)
    severity: Severity = "PASS"
    if issues:
        fail, warn, info = bounds
        severity = "FAIL" if score < fail else "WARN" if score < warn else "INFO"
        if severity == "INFO" and score >= max(info, warn) and score >= 1.0:
            severity = "PASS"
    return Result(code, score, severity, tuple(issues), hint, key)
