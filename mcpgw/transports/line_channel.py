"""A channel of JSON-RPC messages over two byte streams, one message per line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId, decode, encode
from mcpgw.transports.framing import LineSplitter

QUEUE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes that may wait for a slow reader before senders wait too."""


@attrs.define(slots=True, eq=False)
class LineChannel:
    """Newline-delimited JSON over two byte streams.

    `run` must be running while messages are sent: it writes what could not be written at once. A
    message is written whole or not at all, also if its sender is cancelled.

    Args:
      reader, writer: the streams; `aclose` closes both.
      limit: the largest line accepted, in bytes; see `set_limit`.
      write_now: writes without waiting and returns the number of bytes written, or raises
        BlockingIOError if none fit; None if the writer does not support this.
      answer_framed: whether messages get a `Content-Length` header if the other side sends them
        with one (clients that use the framing of the Language Server Protocol).
    """

    reader: trio.abc.ReceiveStream
    writer: trio.abc.SendStream
    limit: int
    write_now: Callable[[bytes], int] | None = None
    answer_framed: bool = False
    _splitter: LineSplitter = attrs.field(init=False)
    _received: deque[bytes | Malformed] = attrs.field(factory=deque)
    _queue: list[bytes] = attrs.field(factory=list)
    _queued_bytes: int = 0
    _work: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _writing: bool = False
    _resting: bool = False
    _broken: bool = False
    _at_end: bool = False

    def __attrs_post_init__(self) -> None:
        self._splitter = LineSplitter(self.limit)

    def set_limit(self, limit: int) -> None:
        """Change the largest line accepted, in bytes, for all further input."""
        self.limit = self._splitter.limit = limit

    async def receive(self) -> Message | list[Any] | Malformed:
        """Return the next message, or `Malformed` for an invalid line.

        Raises:
          trio.EndOfChannel: the other side closed its output.
        """
        received = self._received
        while not received:
            if self._at_end:
                raise trio.EndOfChannel
            if data := await self.reader.receive_some():
                received.extend(self._splitter.feed(bytes(data)))
            else:
                self._at_end = True
                received.extend(self._splitter.end())
        line = received.popleft()
        return decode(line) if line.__class__ is bytes else line  # type: ignore[return-value]

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Send a message; wait only while more than `QUEUE_LIMIT` bytes are queued.

        With `together` it is written together with all other messages of this scheduler tick: one
        system call for a burst, at the cost of one tick for a single message.

        Raises:
          trio.BrokenResourceError: the other side has closed its input.
        """
        while self._queued_bytes > QUEUE_LIMIT and not self._broken:
            await self._room.park()
        self._enqueue(message, together)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Send a message without waiting; return False if too much is queued."""
        if self._queued_bytes > QUEUE_LIMIT:
            return False
        self._enqueue(message, together=False)
        return True

    def _enqueue(self, message: Any, together: bool) -> None:
        if self._broken:
            raise trio.BrokenResourceError("the other side has closed its input")
        data = encode(message)
        if self.answer_framed and self._splitter.framed:
            data = b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
        if not together and self.write_now is not None and not self._queue and not self._writing:
            try:
                taken = self.write_now(data)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                self._broken = True
                raise trio.BrokenResourceError("the other side has closed its input") from error
            if taken == len(data):
                return
            data = data[taken:]
        self._queue.append(data)
        self._queued_bytes += len(data)
        if self._resting:
            self._resting = False
            self._work.unpark_all()

    def pause(self, request: RequestId) -> None:
        """Do nothing: all requests share one pipe."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write queued messages, bursts in one go, until cancelled or the reader has closed."""
        task_status.started()
        try:
            while True:
                if not self._queue:
                    self._resting = True
                    await self._work.park()
                await self._write_queued()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._broken = True
            self._room.unpark_all()

    async def _write_queued(self) -> None:
        queue, self._queue = self._queue, []
        self._writing = True
        data = b"".join(queue)
        await self.writer.send_all(data)
        self._writing = False
        self._queued_bytes -= len(data)
        if self._room:
            self._room.unpark_all()

    async def flush(self) -> None:
        """Wait until all queued messages are written, or can no longer be."""
        while (self._queue or self._writing) and not self._broken:
            await self._room.park()

    async def aclose(self) -> None:
        """Close both streams."""
        try:
            await self.writer.aclose()
        finally:
            await self.reader.aclose()
