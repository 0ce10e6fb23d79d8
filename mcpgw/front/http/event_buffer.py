"""The streams of one session: what waits for a reader, and what is kept for one that returns.

An event id is `STREAM-NUMBER`: unique in the session, and it tells the stream (MCP 2025-11-25,
Streamable HTTP, resumability).
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Final

import attrs
import trio

from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.jsonrpc import RequestId

STANDALONE: Final = 0
"""The number of the stream that belongs to no request."""

_ID_DIGITS: Final = 19

KEPT_WHOLE: Final = 8
"""Ended streams of one session keep as many bytes together as so many streams may."""


COUNTED_FROM: Final = 64 * 1024
"""Bytes that a stream may hold before it takes part in the bound of all streams."""


@attrs.define(eq=False)
class MemoryBudget:
    """What all streams of a front hold together for clients that read slowly or come back.

    Where it is too much, those give way that hold the most: a client that reads is not made to
    pay for those that do not.

    Args:
      limit: bytes.
    """

    limit: int
    _holders: weakref.WeakSet[EventBuffer] = attrs.field(factory=weakref.WeakSet)

    def enforce(self, event_buffer: EventBuffer) -> None:
        """Take note that a stream holds much; make room where all together hold too much."""
        self._holders.add(event_buffer)
        if sum(each.held_bytes for each in self._holders) <= self.limit:
            return
        holders = sorted(self._holders, key=_held_by, reverse=True)
        held = sum(map(_held_by, holders))
        for each in holders:
            if held <= self.limit:
                break
            before = each.held_bytes
            each.give_way()
            held -= before - each.held_bytes
        for each in holders:
            if each.held_bytes < COUNTED_FROM:
                self._holders.discard(each)


def _held_by(event_buffer: EventBuffer) -> int:
    return event_buffer.held_bytes


class UnknownEvent(Exception):
    """No stream of the session has an event of this id."""


@attrs.define(slots=True, eq=False)
class EventBuffer:
    """The messages of one stream, in order, for one reader at a time.

    A message that was handed to a reader is kept for a while where the stream is resumable. A
    reader that leaves too much waiting loses its place: `is_current` then says False, and in a
    stream that is not resumable all that waits is gone.

    Args:
      settings: the bounds.
      number: the stream's number in its session; None where it cannot be resumed.
      read: whether it has a reader from the start, whose ticket is 1.
    """

    settings: HttpSettings
    memory_budget: MemoryBudget
    number: int | None = None
    read: bool = True
    request_id: RequestId | None = None
    """The client's id of the request that it answers."""
    inner_id: RequestId | None = None
    """The same request's id inside."""
    failure: int | None = None
    """The code of the error that it was answered with."""
    ended: bool = False
    """Nothing more comes than what waits."""
    _unread: deque[tuple[int, bytes]] = attrs.field(factory=deque)
    _unread_bytes: int = 0
    _replay: deque[tuple[int, bytes, float]] = attrs.field(factory=deque)
    _replay_bytes: int = 0
    _last: int = 0
    _taken: int = 0
    _ticket: int = 1
    _left: float = 0.0
    _waiting: trio.lowlevel.Task | None = None

    def __repr__(self) -> str:
        state = "ENDED" if self.ended else "READ" if self.read else "UNREAD"
        counts = f"waiting={len(self._unread)} kept={len(self._replay)}"
        return f"<EventBuffer {self.number} {state} {counts}>"

    @property
    def held_bytes(self) -> int:
        """Bytes of the messages that wait or are kept."""
        return self._unread_bytes + self._replay_bytes

    # -- the side that writes --------------------------------------------------------------

    def put(self, line: bytes) -> bool:
        """Add a message. False where it was lost, because the stream is over."""
        if self.ended:
            return False
        self._last += 1
        self._unread.append((self._last, line))
        self._unread_bytes += len(line)
        settings = self.settings
        if self.read:
            # A lone message may be as large as it likes: it waits in the socket anyway.
            if len(self._unread) > 1 and (
                self._unread_bytes > settings.unread_bytes
                or len(self._unread) > settings.unread_messages
            ):
                self._overrun()
        else:
            self._shorten()
        if self.held_bytes > COUNTED_FROM:
            self.memory_budget.enforce(self)
        self._wake()
        return not self.ended

    def finish(self, line: bytes) -> None:
        """Add the last message: the answer."""
        self.put(line)
        self.end()

    def end(self) -> None:
        """Let the reader have what waits, and nothing more."""
        self.ended = True
        self._left = trio.current_time()
        self._wake()

    def give_way(self) -> None:
        """Let go of all but the newest message, and of a reader that was too slow for more."""
        self._replay.clear()
        self._replay_bytes = 0
        if self.read and len(self._unread) > 1:
            self._overrun()
        while len(self._unread) > 1:
            self._unread_bytes -= len(self._unread.popleft()[1])
        self._wake()

    def _overrun(self) -> None:
        self.read = False
        self._ticket += 1
        if self.number is None:
            self.ended = True
            self._unread.clear()
            self._unread_bytes = 0
        else:
            self._shorten()

    def _shorten(self) -> None:
        settings = self.settings
        while len(self._unread) > 1 and (
            len(self._unread) > settings.replay_messages
            or self._unread_bytes > settings.replay_bytes
        ):
            self._unread_bytes -= len(self._unread.popleft()[1])

    def _wake(self) -> None:
        if self._waiting is not None:
            task, self._waiting = self._waiting, None
            trio.lowlevel.reschedule(task)

    # -- the side that reads ---------------------------------------------------------------

    def attach(self) -> int:
        """Become the reader; the one before loses its place. Return the new reader's ticket."""
        self._ticket += 1
        self.read = True
        self._wake()
        return self._ticket

    def pause(self) -> None:
        """Let the reader go, if it can come back for the rest (SEP-1699)."""
        if self.number is not None and self.read and not self.ended:
            self.read = False
            self._ticket += 1
            self._wake()

    def detach(self, ticket: int) -> None:
        """Leave, if still the reader; what comes then waits for another one."""
        if ticket == self._ticket:
            self.read = False
            self._left = trio.current_time()
            self._shorten()

    def is_current(self, ticket: int) -> bool:
        """Tell whether the reader still has its place."""
        return ticket == self._ticket

    def resume(self, after: int) -> int:
        """Make what followed on an event the next to be read; return how many are lost of it.

        Raises:
          UnknownEvent: no reader was given this event.
        """
        if not 0 <= after <= self._taken:
            raise UnknownEvent
        while self._replay and self._replay[-1][0] > after:
            number, line, _ = self._replay.pop()
            self._replay_bytes -= len(line)
            self._unread.appendleft((number, line))
            self._unread_bytes += len(line)
        self._taken = after
        oldest = self._unread[0][0] if self._unread else self._last + 1
        return oldest - after - 1

    async def wait(self, ticket: int) -> None:
        """Wait until there is something to take, or nothing more to wait for."""
        if self._unread or self.ended or ticket != self._ticket:
            return
        self._waiting = trio.lowlevel.current_task()

        def abandon(_: Any) -> trio.lowlevel.Abort:
            self._waiting = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abandon)

    @property
    def taken(self) -> int:
        """The number of the last event that a reader was given."""
        return self._taken

    def take_answer(self) -> bytes | None:
        """Return the answer where it is all that the stream ever had; None where it is not."""
        if self.ended and len(self._unread) == 1 and self._last == 1:
            self._unread_bytes = 0
            return self._unread.popleft()[1]
        return None

    def take(self) -> list[tuple[int, bytes]]:
        """Return what waits, with the events' numbers; it is kept where one may return for it."""
        taken = list(self._unread)
        if taken:
            self._taken = taken[-1][0]
            self._unread.clear()
            self._unread_bytes = 0
            if self.number is not None:
                self._keep(taken)
        return taken

    def _keep(self, taken: list[tuple[int, bytes]]) -> None:
        now = trio.current_time()
        replay, settings = self._replay, self.settings
        for number, line in taken:
            replay.append((number, line, now))
            self._replay_bytes += len(line)
        oldest = now - settings.replay_age
        while len(replay) > 1 and (
            len(replay) > settings.replay_messages
            or self._replay_bytes > settings.replay_bytes
            or replay[0][2] < oldest
        ):
            self._replay_bytes -= len(replay.popleft()[1])

    def is_stale(self, now: float) -> bool:
        """Tell whether nobody can want anything of it any more."""
        return self.ended and not self.read and now - self._left > self.settings.replay_age


@attrs.define(eq=False)
class Streams:
    """All streams of one session that a client may come back for."""

    settings: HttpSettings
    memory_budget: MemoryBudget
    standalone: EventBuffer = attrs.field(init=False)
    _kept: dict[int, EventBuffer] = attrs.field(factory=dict)
    _last: int = STANDALONE

    def __attrs_post_init__(self) -> None:
        self.standalone = EventBuffer(self.settings, self.memory_budget, STANDALONE, read=False)
        self._kept[STANDALONE] = self.standalone

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """Bytes of the messages of all streams that wait or are kept."""
        return sum(event_buffer.held_bytes for event_buffer in self._kept.values())

    def open(self) -> EventBuffer:
        """Return the outlet of a new request. It has a reader, whose ticket is 1."""
        self._last += 1
        return EventBuffer(self.settings, self.memory_budget, self._last)

    def keep(self, event_buffer: EventBuffer) -> None:
        """Keep an outlet for a client that comes back, from the moment that events are sent."""
        assert event_buffer.number is not None, "this outlet cannot be resumed"
        self._kept[event_buffer.number] = event_buffer
        self.purge()

    def find(self, event_id: str) -> tuple[EventBuffer, int]:
        """Return the outlet of an event, and the event's number there.

        Raises:
          UnknownEvent: it is no id of ours, or the stream is forgotten.
        """
        stream, separator, number = event_id.partition("-")
        if not (separator and _is_number(stream) and _is_number(number)):
            raise UnknownEvent
        event_buffer = self._kept.get(int(stream))
        if event_buffer is None:
            raise UnknownEvent
        return event_buffer, int(number)

    def purge(self) -> None:
        """Forget streams that ended long ago, and the oldest where there are too many."""
        now = trio.current_time()
        ended = [
            event_buffer
            for event_buffer in self._kept.values()
            if event_buffer.ended and not event_buffer.read
        ]
        excess = len(ended) - self.settings.replay_streams
        held = sum(event_buffer.held_bytes for event_buffer in ended)
        for position, event_buffer in enumerate(ended):
            limit = self.settings.replay_bytes * KEPT_WHOLE
            if position < excess or held > limit or event_buffer.is_stale(now):
                held -= event_buffer.held_bytes
                del self._kept[event_buffer.number or STANDALONE]

    def end(self) -> None:
        """End all streams."""
        for event_buffer in self._kept.values():
            event_buffer.end()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS


def event_id(stream: int, number: int) -> str:
    """Return the id of an event."""
    return f"{stream}-{number}"
