"""Start mcp-proxy with the port where it is required: before the command of its server."""

from __future__ import annotations

import os
import sys

_, program, *command, flag, port = sys.argv
os.execv(program, [program, flag, port, "--host", "127.0.0.1", *command])
