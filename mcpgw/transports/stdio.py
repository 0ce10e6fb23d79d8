"""The MCP channel on the process's own stdin and stdout."""

from __future__ import annotations

import os

from mcpgw.transports.fd_stream import PipeReader, PipeWriter, TerminalReader
from mcpgw.transports.line_channel import LineChannel


def take_stdio(*, limit: int) -> LineChannel:
    """Reserve the real stdin and stdout for MCP and return their channel.

    Afterwards descriptor 0 is empty and descriptor 1 is stderr, so a stray `print` or `input` in
    any library cannot corrupt the conversation (MCP, transports, stdio: stdout carries messages
    only).

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
    return LineChannel(reader, writer, limit, write_now=writer.write_now, answer_framed=True)
