"""Buffers of the event streams of one session: unread events, and sent ones kept for replay.

An event id is `STREAM-NUMBER`: unique in the session, and it names the stream (MCP 2025-11-25,
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

REPLAY_SHARES: Final = 8
"""All ended streams of one session together may keep this many times the bytes of one stream."""

COUNTED_FROM: Final = 64 * 1024
"""Bytes that a stream may hold before it counts towards the memory budget."""


@attrs.define(eq=False)
class MemoryBudget:
    """The memory that all streams of a front together may hold for their clients.

    Above the limit the streams that hold the most are cut, so slow clients never take memory from
    clients that keep reading.

    Args:
      limit: bytes.
    """

    limit: int
    _holders: weakref.WeakSet[EventBuffer] = attrs.field(factory=weakref.WeakSet)

    def enforce(self, event_buffer: EventBuffer) -> None:
        """Count a large stream, and cut the largest ones if all together exceed the limit."""
        self._holders.add(event_buffer)
        if sum(each.held_bytes for each in self._holders) <= self.limit:
            return
        holders = sorted(self._holders, key=_held_bytes, reverse=True)
        held = sum(map(_held_bytes, holders))
        for each in holders:
            if held <= self.limit:
                break
            before = each.held_bytes
            each.cut()
            held -= before - each.held_bytes
        for each in holders:
            if each.held_bytes < COUNTED_FROM:
                self._holders.discard(each)


def _held_bytes(event_buffer: EventBuffer) -> int:
    return event_buffer.held_bytes


class UnknownEvent(Exception):
    """No stream of the session has an event of this id."""


@attrs.define(slots=True, eq=False)
class EventBuffer:
    """The messages of one stream, in order, for one reader at a time.

    A resumable stream keeps its sent messages for a while. A reader that falls too far behind is
    dropped: `is_current` then returns False, and a stream that is not resumable loses its unread
    messages.

    Args:
      settings: the bounds.
      memory_budget: the bound of all streams together.
      number: the stream's number in its session; None if it is not resumable.
      read: whether it has a reader from the start, whose ticket is 1.
    """

    settings: HttpSettings
    memory_budget: MemoryBudget
    number: int | None = None
    read: bool = True
    request_id: RequestId | None = None
    """The id of the request that it answers, as the client sent it."""
    inner_id: RequestId | None = None
    """The id of the same request on the session's channel."""
    answer_only: bool = False
    """The client reads one JSON message: what comes before the answer is dropped."""
    failure: int | None = None
    """The error code of the answer, if that is an error."""
    ended: bool = False
    """No more messages will be added."""
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
        """Bytes of all unread and kept messages."""
        return self._unread_bytes + self._replay_bytes

    # -- writing ---------------------------------------------------------------------------

    def put(self, line: bytes) -> bool:
        """Add a message; return False if the stream has ended and the message is lost."""
        if self.ended:
            return False
        self._last += 1
        self._unread.append((self._last, line))
        self._unread_bytes += len(line)
        settings = self.settings
        if self.read:
            # A lone message may have any size: it would wait in the socket anyway.
            if len(self._unread) > 1 and (
                self._unread_bytes > settings.unread_bytes
                or len(self._unread) > settings.unread_messages
            ):
                self._drop_reader()
        else:
            self._shorten()
        if self.held_bytes > COUNTED_FROM:
            self.memory_budget.enforce(self)
        self._wake()
        return not self.ended

    def finish(self, line: bytes) -> None:
        """Add the answer, which is the last message."""
        self.put(line)
        self.end()

    def end(self) -> None:
        """End the stream after the messages that are unread now."""
        self.ended = True
        self._left = trio.current_time()
        self._wake()

    def cut(self) -> None:
        """Drop all messages but the newest, and a reader that fell behind."""
        self._replay.clear()
        self._replay_bytes = 0
        if self.read and len(self._unread) > 1:
            self._drop_reader()
        while len(self._unread) > 1:
            self._unread_bytes -= len(self._unread.popleft()[1])
        self._wake()

    def _drop_reader(self) -> None:
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

    # -- reading ---------------------------------------------------------------------------

    def attach(self) -> int:
        """Replace the reader, if there is one; return the new reader's ticket."""
        self._ticket += 1
        self.read = True
        self._wake()
        return self._ticket

    def pause(self) -> None:
        """Drop the reader, if the stream is resumable (SEP-1699)."""
        if self.number is not None and self.read and not self.ended:
            self.read = False
            self._ticket += 1
            self._wake()

    def detach(self, ticket: int) -> None:
        """Detach the reader with this ticket, if it is the current one; new messages are kept."""
        if ticket == self._ticket:
            self.read = False
            self._left = trio.current_time()
            self._shorten()

    def is_current(self, ticket: int) -> bool:
        """Return whether the reader with this ticket is the current one."""
        return ticket == self._ticket

    def resume(self, after: int) -> int:
        """Rewind to the first event after `after`; return how many events are lost.

        Raises:
          UnknownEvent: no reader has received this event.
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
        """Wait for a message, the end of the stream, or another reader."""
        if self._unread or self.ended or ticket != self._ticket:
            return
        self._waiting = trio.lowlevel.current_task()

        def abandon(_: Any) -> trio.lowlevel.Abort:
            self._waiting = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abandon)

    @property
    def taken(self) -> int:
        """The number of the last event that a reader received."""
        return self._taken

    def take_answer(self) -> bytes | None:
        """Return the answer if it is the only message of the whole stream, else None."""
        if self.ended and len(self._unread) == 1 and self._last == 1:
            self._unread_bytes = 0
            return self._unread.popleft()[1]
        return None

    def take(self) -> list[tuple[int, bytes]]:
        """Return the unread messages with their numbers; a resumable stream keeps them."""
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
        """Return whether the time in which a client may resume the stream has passed."""
        return self.ended and not self.read and now - self._left > self.settings.replay_age


@attrs.define(eq=False)
class Streams:
    """All resumable streams of one session."""

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
        """Bytes of all unread and kept messages of all streams."""
        return sum(event_buffer.held_bytes for event_buffer in self._kept.values())

    def open(self) -> EventBuffer:
        """Return the buffer of a new request. It has a reader, whose ticket is 1."""
        self._last += 1
        return EventBuffer(self.settings, self.memory_budget, self._last)

    def keep(self, event_buffer: EventBuffer) -> None:
        """Make a buffer available for resuming; called before its first event is sent."""
        assert event_buffer.number is not None, "the stream is not resumable"
        self._kept[event_buffer.number] = event_buffer
        self.purge()

    def find(self, event_id: str) -> tuple[EventBuffer, int]:
        """Return the buffer of an event, and the event's number in it.

        Raises:
          UnknownEvent: the id is not valid, or its stream is no longer kept.
        """
        stream, separator, number = event_id.partition("-")
        if not (separator and _is_number(stream) and _is_number(number)):
            raise UnknownEvent
        event_buffer = self._kept.get(int(stream))
        if event_buffer is None:
            raise UnknownEvent
        return event_buffer, int(number)

    def purge(self) -> None:
        """Drop streams that ended long ago, and the oldest if too many are kept."""
        now = trio.current_time()
        ended = [
            event_buffer
            for event_buffer in self._kept.values()
            if event_buffer.ended and not event_buffer.read
        ]
        excess = len(ended) - self.settings.replay_streams
        held = sum(event_buffer.held_bytes for event_buffer in ended)
        for position, event_buffer in enumerate(ended):
            limit = self.settings.replay_bytes * REPLAY_SHARES
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
