"""Running a program to its end, without a shell, in its own process group and with bounded output.

Used by `cli` providers and by the lookup of secrets in the system's keychain. The processes of
MCP servers live longer and belong to `mcpgw.backends.process`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
import trio

STDERR_KEPT: Final = 500
"""Bytes of stderr that are kept, from its end, if it exceeds the limit."""
KILL_AFTER: Final = 2.0
"""Seconds between SIGTERM and SIGKILL when a program is cancelled."""
PIPE_GRACE: Final = 0.5
"""Seconds to read the rest of the output after the program has exited."""


class OutputTooLarge(Exception):
    """A program wrote more to stdout than its limit; it was ended."""


@attrs.frozen
class Finished:
    """A program that has exited. A negative status is the number of the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes


async def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    limit: int,
) -> Finished:
    """Run a program and wait until it exits; what it has started is ended with it.

    If the caller is cancelled, the process group gets SIGTERM, then SIGKILL.

    Args:
      argv: the program and its arguments.
      stdin: its whole input.
      env: its whole environment; None for that of this process.
      cwd: its working folder; None for that of this process.
      limit: the largest output on stdout, in bytes.

    Raises:
      OSError: the program cannot be started.
      OutputTooLarge: its output exceeds the limit.
    """
    out, err = bytearray(), bytearray()
    too_large = False
    read = trio.Event()

    async def read_stream(stream: Any, kept: bytearray) -> None:
        async for piece in stream:
            kept += piece
            if len(kept) > limit:
                if kept is out:
                    nonlocal too_large
                    too_large = True
                    nursery.cancel_scope.cancel()
                del kept[:-STDERR_KEPT]

    async def read_output(process: trio.Process) -> None:
        async with trio.open_nursery() as reading:
            reading.start_soon(read_stream, process.stdout, out)
            reading.start_soon(read_stream, process.stderr, err)
        read.set()

    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process,
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            check=False,
            start_new_session=True,
            deliver_cancel=_end_group,
        )
        process: trio.Process = await nursery.start(run)
        nursery.start_soon(_write, process.stdin, stdin)
        nursery.start_soon(read_output, process)
        await process.wait()
        with trio.move_on_after(PIPE_GRACE):  # a child that outlives it may hold the pipes open
            await read.wait()
        _signal(process, signal.SIGKILL)
        nursery.cancel_scope.cancel()
    if too_large:
        raise OutputTooLarge
    assert process.returncode is not None
    return Finished(process.returncode, bytes(out), bytes(err))


async def _write(stream: Any, data: bytes) -> None:
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError):  # the program does not read its input
            await stream.send_all(data)


async def _end_group(process: trio.Process) -> None:
    """Ask a cancelled program to exit, then kill it with everything that it has started."""
    _signal(process, signal.SIGTERM)
    with trio.move_on_after(KILL_AFTER):
        await process.wait()
    _signal(process, signal.SIGKILL)


def _signal(process: trio.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
