"""Result of one check of the doctor, with an optional repair."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import attrs

Status = Literal["pass", "fail", "warn"]
SCHEMA: Final = "doctor.v1"


@attrs.frozen
class Check:
    """The result of one check.

    Args:
      label: subject of the check; not unique.
      category: kind of the subject.
      status: the result.
      detail: what was found.
      hint: what the user can do.
      command: a command that does it, or shows more.
      repair: fixes the problem safely and idempotently, and returns what it has done; raises
        OSError on failure. None if it cannot be fixed automatically.
    """

    label: str
    category: str
    status: Status
    detail: str
    hint: str = ""
    command: str = ""
    repair: Callable[[], str] | None = attrs.field(default=None, repr=False)
    applied: str = ""
    """Outcome of the repair; empty if it did not run."""

    def as_json(self) -> dict[str, Any]:
        """Return the check in the form of the JSON output."""
        fixable = self.repair is not None and self.status != "pass"
        return {
            "id": re.sub(r"[^a-z0-9]+", "_", self.label.lower()).strip("_"),
            "label": self.label,
            "category": self.category,
            "status": self.status,
            "detail": self.detail,
            "hint": self.hint or None,
            "fixability": {
                "auto_fixable": fixable,
                "safe_to_apply": fixable,
                "command": self.command or None,
                "requires_user": self.status != "pass" and not fixable,
                "risk": "none" if self.status == "pass" or fixable else "operator_action",
                "confirmation_required": False,
                "verification": None if self.status == "pass" else "mcp-gateway doctor",
                "rollback": None,
            },
            "applied": self.applied or None,
        }


def report(checks: Iterable[Check]) -> dict[str, Any]:
    """Return the JSON output."""
    rows = [check.as_json() for check in checks]
    counts = {s: sum(row["status"] == s for row in rows) for s in ("pass", "fail", "warn")}
    return {
        "schema_version": SCHEMA,
        "ok": counts["fail"] == 0,
        "summary": {**counts, "total": len(rows)},
        "checks": rows,
    }


def repaired(checks: Iterable[Check]) -> list[Check]:
    """Run the available repairs; return the checks with their outcome."""
    done = []
    for check in checks:
        if check.status != "pass" and check.repair is not None:
            try:
                applied = check.repair()
            except OSError as error:
                reason = error.strerror or str(error)
                check = attrs.evolve(check, hint=f"The fix failed: {reason}", repair=None)
            else:
                check = attrs.evolve(check, status="pass", applied=applied)
        done.append(check)
    return done
