"""Newline-delimited framing: chunks of bytes to lines (MCP, transports, stdio)."""

from __future__ import annotations

from typing import Final

import attrs

from mcpgw.protocol.jsonrpc import Malformed, oversized

_KEEP: Final = 4096


@attrs.define(slots=True)
class LineSplitter:
    r"""Splits a stream of bytes into lines at `\n` only, with a limit for each line.

    Empty lines are skipped, and a `\r` before the `\n` belongs to the line end. Of a line over the
    limit only the beginning and the end are kept, in which the request's id can be found; the
    stream goes on after it.
    """

    limit: int
    _parts: list[bytes] = attrs.field(factory=list)
    _size: int = 0
    _head: bytes = b""
    _tail: bytes = b""
    _dropping: bool = False

    def feed(self, data: bytes) -> list[bytes | Malformed]:
        """Add the next chunk; return the lines that it completes."""
        first, *rest = data.split(b"\n")
        if not rest:
            self._add(first)
            return []
        lines: list[bytes | Malformed] = []
        if self._size:
            self._add(first)
            self._finish(lines)
        else:
            self._line(first, lines)
        last = rest.pop()
        for line in rest:
            self._line(line, lines)
        if last:
            self._add(last)
        return lines

    def end(self) -> list[bytes | Malformed]:
        """Return the bytes after the last newline as a line: a file may lack the last newline."""
        lines: list[bytes | Malformed] = []
        if self._size:
            self._finish(lines)
        return lines

    def _line(self, line: bytes, lines: list[bytes | Malformed]) -> None:
        if len(line) > self.limit:
            lines.append(oversized(line[:_KEEP], line[-_KEEP:], len(line), self.limit))
        elif line and (stripped := line.strip(b" \t\r")):
            lines.append(stripped)

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
