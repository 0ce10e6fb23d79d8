"""What becomes of a delivery: an event that sessions are notified of."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable
from typing import Final

import attrs

NOTIFICATION: Final = "notifications/webhook"
"""The method of the notification that carries an event."""


@attrs.frozen
class Event:
    """Something that happened at a service.

    Args:
      source: the capability whose file defines the endpoint.
      event_type: what happened, such as `github.issues.opened`.
      data: JSON data about it.
      received_at: when it came, as RFC 3339 has it, in UTC.
    """

    source: str
    event_type: str
    data: object
    received_at: str

    def params(self) -> dict[str, object]:
        """Return the params of its notification."""
        return {
            "source": self.source,
            "event_type": self.event_type,
            "data": self.data,
            "received_at": self.received_at,
        }


def timestamp(seconds: float) -> str:
    """Return a Unix time as RFC 3339 has it, in UTC with milliseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wants(event_type: str, patterns: Iterable[str]) -> bool:
    """Tell whether a session that asked for these events gets one of this type.

    A pattern is a glob in which `*` also stands for dots: `github.*` has `github.issues.opened`
    in it. Letters are told apart by case. Without a pattern every event is wanted.
    """
    asked = False
    for pattern in patterns:
        asked = True
        if fnmatch.fnmatchcase(event_type, pattern):
            return True
    return not asked
