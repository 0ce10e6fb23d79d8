"""Newline-delimited framing: chunks of bytes to lines (MCP, transports, stdio).

Input with `Content-Length` headers, the framing of the Language Server Protocol, is read too.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from mcpgw.protocol.jsonrpc import Malformed, oversized

_KEEP: Final = 4096
_HEADER: Final = re.compile(rb"content-(?:length|type):\s*(\d{1,18})?", re.IGNORECASE)
_HEADER_LENGTH: Final = 200
_HEADER_STARTS: Final = (b"C", b"c")


@attrs.define(slots=True)
class LineSplitter:
    r"""Splits a stream of bytes into lines at `\n` only, with a limit for each line.

    Empty lines are skipped, and a `\r` before the `\n` belongs to the line end. Of a line over the
    limit only the beginning and the end are kept, in which the request's id can be found; the
    stream goes on after it.

    After `Content-Length: N` and an empty line, the next N bytes are one line, whatever they hold.
    """

    limit: int
    framed: bool = False
    """True once a message with a `Content-Length` header has arrived."""
    _parts: list[bytes] = attrs.field(factory=list)
    _size: int = 0
    _head: bytes = b""
    _tail: bytes = b""
    _dropping: bool = False
    _headers: bool = False
    """True once a header has arrived."""
    _announced: int | None = None
    """The value of a `Content-Length` header whose empty line has not come yet."""
    _missing: int | None = None
    """The bytes that have not come yet of a message with a header."""

    def feed(self, data: bytes) -> list[bytes | Malformed]:
        """Add the next chunk; return the lines that it completes."""
        lines: list[bytes | Malformed] = []
        if self._headers:
            self._feed_with_headers(data, lines)
            return lines
        first, *rest = data.split(b"\n")
        if not rest:
            self._add(first)
            return lines
        self._end_line(first, lines)
        last = rest.pop()
        for position, line in enumerate(rest):
            if self._announced is not None or self._missing is not None:
                self._feed_with_headers(b"\n".join((*rest[position:], last)), lines)
                return lines
            self._line(line, lines)
        if self._missing is not None:
            self._feed_with_headers(last, lines)
        elif last:
            self._add(last)
        return lines

    def _feed_with_headers(self, data: bytes, lines: list[bytes | Malformed]) -> None:
        """Add a chunk of input in which headers may announce the length of messages."""
        position = 0
        while position < len(data):
            if self._missing is not None:
                part = data[position : position + self._missing]
                self._add(part)
                position += len(part)
                self._missing -= len(part)
                if self._missing == 0:
                    self._missing = None
                    self._finish(lines)
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._add(data[position:])
                return
            self._end_line(data[position:end], lines)
            position = end + 1

    def _end_line(self, last_part: bytes, lines: list[bytes | Malformed]) -> None:
        if self._size:
            self._add(last_part)
            self._finish(lines)
        else:
            self._line(last_part, lines)

    def end(self) -> list[bytes | Malformed]:
        """Return the bytes after the last newline as a line: a file may lack the last newline."""
        lines: list[bytes | Malformed] = []
        if self._size:
            self._finish(lines)
        return lines

    def _line(self, line: bytes, lines: list[bytes | Malformed]) -> None:
        if (self._announced is not None or line[:1] in _HEADER_STARTS) and self._header(line):
            return
        if len(line) > self.limit:
            lines.append(oversized(line[:_KEEP], line[-_KEEP:], len(line), self.limit))
        elif line and (stripped := line.strip(b" \t\r")):
            lines.append(stripped)

    def _header(self, line: bytes) -> bool:
        """Handle a header, or the empty line after headers; return False for anything else."""
        if not line.strip():
            self._missing, self._announced = self._announced or None, None
            self.framed = True
        elif len(line) < _HEADER_LENGTH and (found := _HEADER.match(line)):
            self._headers = True
            if found[1] is not None:
                self._announced = int(found[1])
        else:
            self._announced = None
            return False
        return True

    def _add(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        if not self._dropping:
            self._parts.append(part)
            if self._size <= self.limit:
                return
            whole = b"".join(self._parts)
            self._head, self._tail = whole[:_KEEP], whole[-_KEEP:]
            self._parts.clear()
            self._dropping = True
        else:
            self._tail = (self._tail + part)[-_KEEP:]

    def _finish(self, lines: list[bytes | Malformed]) -> None:
        if self._dropping:
            lines.append(oversized(self._head, self._tail, self._size, self.limit))
        else:
            self._line(b"".join(self._parts), lines)
        self._parts.clear()
        self._size = 0
        self._head = self._tail = b""
        self._dropping = False
