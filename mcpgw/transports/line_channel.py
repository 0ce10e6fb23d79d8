"""A channel of JSON-RPC messages over a pair of byte streams, one message a line."""

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

    `run` must be running while messages are sent: it moves what could not be written at
    once. A message is written whole or not at all, also when its sender is cancelled.

    Args:
      reader, writer: the streams; `aclose` closes both.
      limit: the largest line accepted, in bytes; may be changed while open.
      write_now: writes without waiting and returns the bytes taken, raising
        BlockingIOError when none fit; None where the writer has no such way.
    """

    reader: trio.abc.ReceiveStream
    writer: trio.abc.SendStream
    limit: int
    write_now: Callable[[bytes], int] | None = None
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
        """Change the largest line accepted, in bytes, for what is read from now on."""
        self.limit = self._splitter.limit = limit

    async def receive(self) -> Message | list[Any] | Malformed:
        """Return the next message, or what is wrong with a line.

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
        """Hand over a message; wait only while `QUEUE_LIMIT` bytes are queued already.

        With `together` it is written with all else that is handed over in this turn of the
        scheduler: one system call for a burst, at the price of a turn for a lone message.

        Raises:
          trio.BrokenResourceError: the other side no longer reads.
        """
        while self._queued_bytes > QUEUE_LIMIT and not self._broken:
            await self._room.park()
        self._hand_over(message, together)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Hand over a message without waiting; False where `QUEUE_LIMIT` bytes are queued."""
        if self._queued_bytes > QUEUE_LIMIT:
            return False
        self._hand_over(message, together=False)
        return True

    def _hand_over(self, message: Any, together: bool) -> None:
        if self._broken:
            raise trio.BrokenResourceError("the other side no longer reads")
        data = encode(message)
        if not together and self.write_now is not None and not self._queue and not self._writing:
            try:
                taken = self.write_now(data)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                self._broken = True
                raise trio.BrokenResourceError("the other side no longer reads") from error
            if taken == len(data):
                return
            data = data[taken:]
        self._queue.append(data)
        self._queued_bytes += len(data)
        if self._resting:
            self._resting = False
            self._work.unpark_all()

    def pause(self, request: RequestId) -> None:
        """Do nothing: there is one pipe for all."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is queued, bursts in one go, until cancelled or the reader is gone."""
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
        """Wait until everything handed over is written, or cannot be any more."""
        while (self._queue or self._writing) and not self._broken:
            await self._room.park()

    async def aclose(self) -> None:
        """Close both streams."""
        try:
            await self.writer.aclose()
        finally:
            await self.reader.aclose()
