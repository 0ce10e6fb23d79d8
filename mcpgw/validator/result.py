"""What a rule answers: a score from 0 to 1, how bad it is, and what exactly is wrong where."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

import attrs

Key = tuple[str | int, ...]
"""Where in a file something stands, as keys and indexes from its root."""

FAIL_BELOW: Final = 0.5
WARN_BELOW: Final = 0.8


class Severity(enum.IntEnum):
    """How bad something is; a greater one is worse."""

    PASS = 0
    INFO = 1
    WARN = 2
    FAIL = 3


@attrs.frozen
class Issue:
    """One thing to put right. `severity` is set where it differs from its rule's."""

    message: str
    key: Key = ()
    hint: str = ""
    severity: Severity | None = None


@attrs.frozen
class RuleResult:
    """The answer of one rule about one tool."""

    score: float
    severity: Severity
    issues: tuple[Issue, ...] = ()

    @property
    def hints(self) -> tuple[str, ...]:
        """What to do about the issues, each once, in their order."""
        return tuple(dict.fromkeys(issue.hint for issue in self.issues if issue.hint))


GOOD: Final = RuleResult(1.0, Severity.PASS)


def judged(
    score: float,
    issues: Iterable[Issue],
    *,
    fail: float = FAIL_BELOW,
    warn: float = WARN_BELOW,
    severity: Severity | None = None,
) -> RuleResult:
    """Return the result of a score, which is cut to 0..1 and rounded to four places.

    A score that passes, with something to remark all the same, is INFO: a reader of the report
    then sees why it is not 1.

    Args:
      score: what is left of 1.
      issues: why it is not 1.
      fail: scores below it are FAIL.
      warn: scores below it are WARN.
      severity: the severity, where it does not follow from the score.
    """
    kept = tuple(issues)
    rounded = round(min(1.0, max(0.0, score)), 4)
    if severity is None:
        if rounded < fail:
            severity = Severity.FAIL
        elif rounded < warn:
            severity = Severity.WARN
        else:
            severity = Severity.INFO if kept else Severity.PASS
    return RuleResult(rounded, severity, kept)
