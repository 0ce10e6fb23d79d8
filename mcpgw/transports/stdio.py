"""The process's own stdin and stdout as the channel of an MCP session."""

from __future__ import annotations

import os

from mcpgw.transports.fd_stream import PipeReader, PipeWriter, TerminalReader
from mcpgw.transports.line_channel import LineChannel


def take_stdio(*, limit: int) -> LineChannel:
    """Take the real stdin and stdout away from everybody else and return their channel.

    Descriptor 0 then reads nothing and descriptor 1 is stderr, so that a stray `print` or
    `input`, of ours or of a library, cannot touch the conversation (MCP, transports, stdio:
    nothing but messages on stdout).

    Args:
      limit: the largest message accepted, in bytes.
    """
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    reader = TerminalReader(stdin) if os.isatty(stdin) else PipeReader(stdin)
    writer = PipeWriter(stdout)
    return LineChannel(reader, writer, limit, write_now=writer.write_now)
