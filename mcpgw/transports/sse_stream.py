"""One event stream over several connections: reading, resumption and delays."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.transports.http_exchange import Exchange, RequestLost
from mcpgw.transports.sse_codec import Event, EventParser, EventTooLarge

if TYPE_CHECKING:
    import httpx

RETRY: Final = 1.0
"""Seconds until an ended stream is resumed, if the server sent no `retry`."""
LONGEST_RETRY: Final = 30.0
SHORTEST_RETRY: Final = 0.1
LINGER: Final = 0.2
"""Seconds that a server has to end a stream after the response before we close it."""
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
    messages: int = 0
    """Events with data."""
    ending: str = ""
    """The end of the last connection, in words."""
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
            self.messages += bool(event.data)
            new.append(event)
        return new

    def delay(self, tries: int) -> float:
        """Return the seconds until the next attempt: the server's `retry`, or growing delays.

        A server that asks for less than `SHORTEST_RETRY` would be asked in an endless loop.
        """
        base = max(SHORTEST_RETRY, RETRY if self.retry is None else self.retry)
        if self.retry is not None and tries == 0:
            return base
        return min(LONGEST_RETRY, base * math.pow(2, min(tries, 10)) * random.uniform(1.0, 1.1))  # noqa: S311


async def drain(
    stream: SseStream,
    response: httpx.Response,
    exchange: Exchange,
    take: Callable[[Event], bool],
) -> bool:
    """Process the events of one connection until the response or its end.

    The loop ends with the stream or by cancellation, never by `break`. So the stream is read
    to its end if the server ends it soon, and its connection can be reused.

    Args:
      stream: the state over all connections; its `ending` is set.
      response: the connection.
      exchange: knows the time limits, and which errors mean that a connection broke.
      take: processes an event; returns whether it holds the response.

    Returns:
      Whether the response was received.

    Raises:
      RequestLost: an event is larger than the limit.
    """
    stream.begin()
    idle = exchange.timeouts.idle
    answered = False
    too_large: EventTooLarge | None = None
    try:
        with trio.move_on_after(idle) as quiet:
            async for chunk in response.aiter_bytes():
                quiet.deadline = trio.current_time() + idle
                try:
                    for event in stream.take(chunk):
                        answered = take(event) or answered
                except EventTooLarge as error:
                    too_large = error
                    quiet.cancel()
                if answered:
                    quiet.deadline = trio.current_time() + LINGER
            stream.ending, stream.complete = "it ended before the response", True
    except exchange.broken as error:
        stream.ending = f"it broke: {error}"
    if too_large is not None:
        raise RequestLost(f"the response is too large: {too_large} (server.max_body_size)")
    if quiet.cancelled_caught:
        stream.ending = f"nothing was received for {idle:g} s"
    return answered
