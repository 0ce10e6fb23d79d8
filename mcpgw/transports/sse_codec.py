"""Server-sent events to and from bytes (WHATWG HTML, section 9.2, as MCP uses them)."""

from __future__ import annotations

from typing import Final

import attrs

COMMENT: Final = b": \n\n"
"""An empty comment, to keep a connection alive."""
_RETRY_DIGITS: Final = 9
"""Digits of the longest `retry` that is believed: more than eleven days in milliseconds."""
_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event is larger than the parser's limit."""


@attrs.frozen
class Event:
    """One event. `retry` is in milliseconds; with `id` None the last id stays in effect."""

    data: str
    event: str = "message"
    id: str | None = None
    retry: int | None = None


@attrs.define
class EventParser:
    r"""Parses chunks of bytes into events.

    Lines end with LF, CRLF or CR; comments are skipped; several `data` lines are joined by `\n`.
    An event without data is returned too, since its id counts (SEP-1699, priming events).

    Args:
      limit: the largest event in bytes; `feed` raises EventTooLarge above it.
    """

    limit: int = 64 * 1024 * 1024
    _unfinished: list[bytes] = attrs.field(factory=list)
    """The pieces of an incomplete line; joined only once, so that a long line takes linear time."""
    _held: int = 0
    _after_cr: bool = False
    _begun: bool = False
    _size: int = 0
    _data: list[str] = attrs.field(factory=list)
    _event: str = ""
    _id: str | None = None
    _retry: int | None = None
    _seen: bool = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Add the next chunk; return the events that it completes.

        Raises:
          EventTooLarge: an event has more than `limit` bytes.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if not self._begun:
            chunk = b"".join((*self._unfinished, chunk))
            self._unfinished.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._unfinished.append(chunk)
                return []
            self._begun = True
            chunk = chunk.removeprefix(_BOM)
        self._after_cr = chunk.endswith(b"\r")
        first, *more = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._keep(first)
        events: list[Event] = []
        if more:
            self._line(b"".join(self._unfinished), events)
            for line in more[:-1]:
                self._line(line, events)
            self._unfinished.clear()
            self._held = 0
            self._keep(more[-1])
        if self._size + self._held > self.limit:
            raise EventTooLarge(f"an event has more than {self.limit} bytes")
        return events

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._unfinished.append(piece)
            self._held += len(piece)

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._seen:
                events.append(
                    Event("\n".join(self._data), self._event or "message", self._id, self._retry)
                )
            self._data, self._event, self._id, self._retry = [], "", None, None
            self._seen = False
            self._size = 0
            return
        self._size += len(line)
        if line[:1] == b":":
            return
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" in value:
                return
            self._id = value
        elif name == "retry":
            if not (value.isascii() and value.isdigit() and len(value) <= _RETRY_DIGITS):
                return
            self._retry = int(value)
        else:
            return
        self._seen = True


def encode_event(event: Event) -> bytes:
    """Return the event as bytes; an empty `data` is included, since it primes a client."""
    lines: list[str] = []
    if event.event != "message":
        lines.append(f"event: {event.event}")
    if event.id is not None:
        lines.append(f"id: {event.id}")
    if event.retry is not None:
        lines.append(f"retry: {event.retry}")
    lines += [f"data: {line}" for line in event.data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()
