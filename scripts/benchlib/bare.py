"""A minimal MCP server on Trio, as the baseline for the gateway's startup time."""

from __future__ import annotations

import json
import os

import trio

RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "bare", "version": "0"},
    },
    "tools/list": {"tools": []},
}


async def main() -> None:
    """Answer `initialize` and `tools/list` until the end of input."""
    reader = trio.lowlevel.FdStream(os.dup(0))
    writer = trio.lowlevel.FdStream(os.dup(1))
    rest = b""
    while data := await reader.receive_some():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message.get("method") in RESULTS:
                answer = {"jsonrpc": "2.0", "id": message["id"]}
                answer["result"] = RESULTS[message["method"]]
                await writer.send_all(json.dumps(answer).encode() + b"\n")


trio.run(main)
