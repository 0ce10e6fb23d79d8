"""Byte streams over file descriptors, optimized for pipes that carry one conversation.

A call costs less than with `trio.lowlevel.FdStream`: a read waits for data first instead of
trying, failing and then waiting, and a write can be tried without a checkpoint.
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
    """Reads from a descriptor: a pipe or socket, or a file or device that is always ready.

    The descriptor keeps its blocking mode, since other processes may share it; it is read only
    when it has data.
    """

    fd: int
    _always_ready: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the available bytes, waiting for at least one; b"" at the end of input."""
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
        """Close the descriptor; a waiting `receive_some` raises `trio.ClosedResourceError`."""
        _close(self)
        await trio.lowlevel.checkpoint()


@attrs.define(slots=True, eq=False)
class PipeWriter(trio.abc.SendStream):
    """Writes to a descriptor, which is non-blocking while this stream is open.

    Non-blocking mode belongs to the open file description, which other processes may share. So
    the original mode is restored on close, and the mode of a terminal is not changed.
    """

    fd: int
    _restore_blocking: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._restore_blocking = os.get_blocking(self.fd) and not os.isatty(self.fd)
        if self._restore_blocking:
            os.set_blocking(self.fd, False)

    def write_now(self, data: bytes) -> int:
        """Write what fits at once and return its length; raise BlockingIOError if nothing fits."""
        return os.write(self.fd, data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of the data, waiting for room; not a checkpoint if there is enough.

        Raises:
          trio.BrokenResourceError: the reading end is closed.
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
        """Wait until at least one byte can be written."""
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
    """Reads a terminal in a worker thread, since its mode is shared with the user's shell."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next typed line; b"" at the end of input."""
        return await trio.to_thread.run_sync(
            os.read, self.fd, max_bytes or READ_SIZE, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        """Leave the terminal open: the shell owns it."""
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
