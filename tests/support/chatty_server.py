"""An MCP server over stdio that talks much: progress, log messages, and news about nothing.

Its tools:

- `chatter {steps, size, pause, logs}` sends a progress report for each step, with so many
  characters, and with `logs` a log message after each; then it answers.
- `shout {times, size, pause}` answers at once and then sends log messages that belong to no call.
- `echo {text}` returns the text.

`--log FILE` appends each message received as a line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

TOOLS = {
    "chatter": {"steps": "integer", "size": "integer", "pause": "number", "logs": "boolean"},
    "shout": {"times": "integer", "size": "integer", "pause": "number"},
    "echo": {"text": "string"},
}
_writing = threading.Lock()


def send(message: dict[str, Any]) -> None:
    """Write one message."""
    data = memoryview(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    with _writing:
        while data:
            data = data[os.write(1, data) :]


def log(number: int, size: int) -> None:
    """Send a log message with a number."""
    data = {"number": number, "filling": "x" * size}
    params = {"level": "info", "logger": "chatty", "data": data}
    send({"method": "notifications/message", "params": params})


def chatter(request: object, arguments: dict[str, Any], token: object) -> None:
    """Report each step, then answer."""
    steps, size = int(arguments.get("steps", 10)), int(arguments.get("size", 0))
    pause = float(arguments.get("pause", 0))
    for step in range(1, steps + 1):
        if pause:
            time.sleep(pause)
        if token is not None:
            report = {"progressToken": token, "progress": step, "message": "x" * size}
            send({"method": "notifications/progress", "params": report})
        if arguments.get("logs"):
            log(step, size)
    answer(request, f"{steps} steps")


def shout(request: object, arguments: dict[str, Any]) -> None:
    """Answer, then log what belongs to no call."""
    answer(request, "listen")
    for number in range(1, int(arguments.get("times", 10)) + 1):
        time.sleep(float(arguments.get("pause", 0)))
        log(number, int(arguments.get("size", 0)))


def answer(request: object, text: str) -> None:
    """Answer a call."""
    send({"id": request, "result": {"content": [{"type": "text", "text": text}]}})


def call(request: object, params: dict[str, Any]) -> None:
    """Do what a call asks for, in a thread where it takes a while."""
    name, arguments = params.get("name"), params.get("arguments") or {}
    if name == "chatter":
        token = (params.get("_meta") or {}).get("progressToken")
        threading.Thread(target=chatter, args=(request, arguments, token), daemon=True).start()
    elif name == "shout":
        threading.Thread(target=shout, args=(request, arguments), daemon=True).start()
    elif name == "echo":
        answer(request, str(arguments.get("text", "")))
    else:
        send({"id": request, "error": {"code": -32602, "message": f"unknown tool {name!r}"}})


def take(message: dict[str, Any]) -> None:
    """Handle one message; unknown requests get an empty result."""
    method, request = message.get("method"), message.get("id")
    params = message.get("params") or {}
    if method is None or request is None:
        return
    if method == "tools/call":
        call(request, params)
        return
    result: dict[str, Any] = {}
    if method == "initialize":
        result = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "logging": {}},
            "serverInfo": {"name": "chatty", "version": "1"},
        }
    elif method == "server/discover":
        send({"id": request, "error": {"code": -32601, "message": "no such method"}})
        return
    elif method == "tools/list":
        result = {
            "tools": [
                {
                    "name": name,
                    "description": f"The tool {name} of the chatty server.",
                    "inputSchema": {
                        "type": "object",
                        "properties": {key: {"type": kind} for key, kind in known.items()},
                    },
                }
                for name, known in TOOLS.items()
            ]
        }
    send({"id": request, "result": result})


def main() -> None:
    """Serve until stdin ends."""
    path = sys.argv[sys.argv.index("--log") + 1] if "--log" in sys.argv else None
    for line in sys.stdin.buffer:
        if path is not None:
            with open(path, "ab") as file:  # noqa: PTH123 - as small as can be
                file.write(line)
        take(json.loads(line))
    os._exit(0)  # threads that still talk must not hold the end back


if __name__ == "__main__":
    main()
