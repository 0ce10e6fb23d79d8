"""Waiting for the end of a child process."""

from __future__ import annotations

import os
import subprocess

import trio


async def wait_for_exit(popen: subprocess.Popen[bytes]) -> None:
    """Wait until a child has ended, and reap it."""
    if popen.poll() is not None:
        return
    try:
        descriptor = os.pidfd_open(popen.pid)
    except (AttributeError, OSError):
        await trio.to_thread.run_sync(popen.wait, abandon_on_cancel=True)
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
        popen.wait()
    finally:
        trio.lowlevel.notify_closing(descriptor)
        os.close(descriptor)
