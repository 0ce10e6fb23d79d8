"""One stream of events over all the connections that it takes, and when to try the next one."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Final

import attrs

from mcpgw.transports.sse_codec import Event, EventParser

RETRY: Final = 1.0
"""Seconds until a stream that ended is resumed, where the server did not say."""
LONGEST_RETRY: Final = 30.0
EVENTS_KEPT: Final = 1_000
"""Ids of events that are remembered, so that none is taken twice."""


@attrs.define
class SseStream:
    """What is known of one stream of events over all its connections.

    Args:
      limit: bytes of the largest event.
    """

    limit: int
    last: str | None = None
    """The id of the last event, by which the stream is resumed."""
    retry: float | None = None
    """Seconds until the next try, as the server said."""
    events: int = 0
    why: str = ""
    """How the last connection ended."""
    complete: bool = False
    """Whether a connection of it was closed in order, and did not break."""
    _seen: deque[str] = attrs.field(factory=lambda: deque(maxlen=EVENTS_KEPT))
    _parser: EventParser = attrs.field(factory=EventParser)

    def begin(self) -> None:
        """Begin with another connection."""
        self._parser = EventParser(self.limit)

    def take(self, chunk: bytes) -> list[Event]:
        """Return the events that a chunk completes and that were not taken before.

        Raises:
          EventTooLarge: an event is larger than the limit.
        """
        fresh: list[Event] = []
        for event in self._parser.feed(chunk):
            if event.retry is not None:
                self.retry = event.retry / 1000
            if event.id:
                if event.id in self._seen:
                    continue
                self._seen.append(event.id)
                self.last = event.id
            self.events += 1
            fresh.append(event)
        return fresh

    def rest(self, tries: int) -> float:
        """Return the seconds until the next try: what the server said, or ever longer."""
        if self.retry is not None and tries == 0:
            return self.retry
        base = RETRY if self.retry is None else self.retry
        return min(LONGEST_RETRY, max(base, 0.05) * math.pow(2, tries) * random.uniform(1.0, 1.1))  # noqa: S311
