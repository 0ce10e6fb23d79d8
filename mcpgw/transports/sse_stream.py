"""One event stream over several connections, and the delay before each reconnect."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Final

import attrs

from mcpgw.transports.sse_codec import Event, EventParser

RETRY: Final = 1.0
"""Seconds until an ended stream is resumed, if the server sent no `retry`."""
LONGEST_RETRY: Final = 30.0
EVENTS_KEPT: Final = 1_000
"""Ids of events that are remembered, so that no event is processed twice."""


@attrs.define
class SseStream:
    """The state of one event stream over all its connections.

    Args:
      limit: bytes of the largest event.
    """

    limit: int
    last: str | None = None
    """The id of the last event, for `Last-Event-ID`."""
    retry: float | None = None
    """Seconds until the next attempt, as sent by the server."""
    events: int = 0
    ending: str = ""
    """How the last connection ended."""
    complete: bool = False
    """True once the server has closed one of its connections properly."""
    _seen: deque[str] = attrs.field(factory=lambda: deque(maxlen=EVENTS_KEPT))
    _parser: EventParser = attrs.field(factory=EventParser)

    def begin(self) -> None:
        """Start parsing a new connection."""
        self._parser = EventParser(self.limit)

    def take(self, chunk: bytes) -> list[Event]:
        """Return the events that a chunk completes, without those that were returned before.

        Raises:
          EventTooLarge: an event is larger than the limit.
        """
        new: list[Event] = []
        for event in self._parser.feed(chunk):
            if event.retry is not None:
                self.retry = event.retry / 1000
            if event.id:
                if event.id in self._seen:
                    continue
                self._seen.append(event.id)
                self.last = event.id
            self.events += 1
            new.append(event)
        return new

    def delay(self, tries: int) -> float:
        """Return the seconds until the next attempt: the server's `retry`, or growing delays."""
        if self.retry is not None and tries == 0:
            return self.retry
        base = RETRY if self.retry is None else self.retry
        return min(LONGEST_RETRY, max(base, 0.05) * math.pow(2, tries) * random.uniform(1.0, 1.1))  # noqa: S311
