"""Events made from deliveries, and the notifications that carry them."""

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
    """An event at a service.

    Args:
      source: the capability whose file declares the endpoint.
      event_type: the type, such as `github.issues.opened`.
      data: JSON data.
      received_at: time of the delivery in UTC (RFC 3339).
    """

    source: str
    event_type: str
    data: object
    received_at: str

    def params(self) -> dict[str, object]:
        """Return the params of the notification."""
        return {
            "source": self.source,
            "event_type": self.event_type,
            "data": self.data,
            "received_at": self.received_at,
        }


def timestamp(seconds: float) -> str:
    """Return a Unix time in UTC with milliseconds (RFC 3339)."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def matches(event_type: str, patterns: Iterable[str]) -> bool:
    """Return whether an event matches the patterns that a session has asked for.

    A pattern is a case-sensitive glob in which `*` also matches dots: `github.*` matches
    `github.issues.opened`. Without patterns every event matches.
    """
    asked = False
    for pattern in patterns:
        asked = True
        if fnmatch.fnmatchcase(event_type, pattern):
            return True
    return not asked
