"""Byte streams over file descriptors, made for pipes that carry one conversation.

They differ from `trio.lowlevel.FdStream` in what a call costs: a read waits for data first
instead of trying, failing and then waiting, and a write can be tried without a checkpoint.
"""

from __future__ import annotations

import errno
import os
from typing import Final

import attrs
import trio

READ_SIZE: Final = 65536


@attrs.define(slots=True, eq=False)
class PipeReader(trio.abc.ReceiveStream):
    """Read from a descriptor: a pipe or socket, or a file or device that is always ready.

    The descriptor keeps its blocking mode, since it may be shared with other processes; it
    is read only when it has data.
    """

    fd: int
    _always_ready: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what is there, waiting for at least a byte; b"" at the end of input."""
        if self.fd < 0:
            raise trio.ClosedResourceError("the descriptor is closed")
        if self._always_ready:
            await trio.lowlevel.checkpoint()
        else:
            try:
                await trio.lowlevel.wait_readable(self.fd)
            except PermissionError:
                # epoll refuses regular files and some devices: these never block.
                self._always_ready = True
        try:
            return os.read(self.fd, max_bytes or READ_SIZE)
        except OSError as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        """Close the descriptor; a reader that waits on it gets `trio.ClosedResourceError`."""
        _close(self)
        await trio.lowlevel.checkpoint()


@attrs.define(slots=True, eq=False)
class PipeWriter(trio.abc.SendStream):
    """Write to a descriptor, which is non-blocking while this stream is open.

    Non-blocking mode belongs to the open file description, which other processes may share;
    so the mode that was found is restored on close, and a terminal is left as it is.
    """

    fd: int
    _restore_blocking: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._restore_blocking = os.get_blocking(self.fd) and not os.isatty(self.fd)
        if self._restore_blocking:
            os.set_blocking(self.fd, False)

    def write_now(self, data: bytes) -> int:
        """Write what fits at once; raise BlockingIOError when nothing does."""
        return os.write(self.fd, data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of the data, waiting for room; no checkpoint where there is enough.

        Raises:
          trio.BrokenResourceError: nobody reads any more.
        """
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                if self.fd < 0:
                    raise trio.ClosedResourceError("the descriptor is closed")
                try:
                    sent += os.write(self.fd, view[sent:])
                except BlockingIOError:
                    await self.wait_send_all_might_not_block()
                except OSError as error:
                    raise _translate(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for a byte."""
        if self.fd < 0:
            raise trio.ClosedResourceError("the descriptor is closed")
        await trio.lowlevel.wait_writable(self.fd)

    async def aclose(self) -> None:
        """Restore the mode and close the descriptor."""
        if self.fd >= 0 and self._restore_blocking:
            os.set_blocking(self.fd, True)
        _close(self)
        await trio.lowlevel.checkpoint()


class TerminalReader(trio.abc.ReceiveStream):
    """Read a terminal in a worker thread: its mode is shared with the person's shell."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next line typed; b"" at the end of input."""
        return await trio.to_thread.run_sync(
            os.read, self.fd, max_bytes or READ_SIZE, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        """Leave the terminal open: it is not ours."""
        await trio.lowlevel.checkpoint()


def _close(stream: PipeReader | PipeWriter) -> None:
    fd, stream.fd = stream.fd, -1
    if fd >= 0:
        trio.lowlevel.notify_closing(fd)
        os.close(fd)


def _translate(error: OSError) -> Exception:
    if error.errno == errno.EBADF:
        return trio.ClosedResourceError("the descriptor is closed")
    return trio.BrokenResourceError(f"{os.strerror(error.errno or 0)}")
