"""One check of the doctor: what it found, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import attrs

Status = Literal["pass", "fail", "warn"]
SCHEMA: Final = "doctor.v1"


@attrs.frozen
class Check:
    """What was looked at, and what was found.

    Args:
      label: what was looked at; two checks of one run may have the same.
      category: what kind of thing it is.
      status: whether it is as it should be.
      detail: what was found.
      hint: what a person can do.
      command: a command that does it, or shows more.
      repair: does it, without harm and as often as you like, and tells what it has done; raises
        OSError where it cannot. None where only a person can.
    """

    label: str
    category: str
    status: Status
    detail: str
    hint: str = ""
    command: str = ""
    repair: Callable[[], str] | None = attrs.field(default=None, repr=False)
    applied: str = ""
    """What the repair has done."""

    def as_json(self) -> dict[str, Any]:
        """Return the check as the JSON output has it."""
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
    """Return the whole JSON output."""
    rows = [check.as_json() for check in checks]
    counts = {s: sum(row["status"] == s for row in rows) for s in ("pass", "fail", "warn")}
    return {
        "schema_version": SCHEMA,
        "ok": counts["fail"] == 0,
        "summary": {**counts, "total": len(rows)},
        "checks": rows,
    }


def mended(checks: Iterable[Check]) -> list[Check]:
    """Run the repairs of the checks that have one; return the checks with what was done."""
    done = []
    for check in checks:
        if check.status != "pass" and check.repair is not None:
            try:
                said = check.repair()
            except OSError as error:
                reason = error.strerror or str(error)
                check = attrs.evolve(check, hint=f"It could not be mended: {reason}", repair=None)
            else:
                check = attrs.evolve(check, status="pass", applied=said)
        done.append(check)
    return done
