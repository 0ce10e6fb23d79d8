"""A server that writes down every call it gets before it does anything, and then misbehaves.

`counting_server.py LOG SEED`: by chance a call is answered, answered with an error, answered
late, never answered, or the process dies before or after the answer.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

log, seed = sys.argv[1:3]
chance = random.Random(f"{seed}-{os.getpid()}")


def tool(name: str, annotations: dict[str, bool]) -> dict[str, object]:
    schema = {"type": "object", "properties": {"n": {"type": "string"}}}
    return {"name": name, "inputSchema": schema, "annotations": annotations}


TOOLS = [
    tool("write", {"readOnlyHint": False, "idempotentHint": False}),
    {"name": "bare", "inputSchema": {"type": "object"}},
    tool("read", {"readOnlyHint": True}),
]


def send(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def earlier() -> list[str]:
    """Return what was written down so far, by every process of this server."""
    return Path(log).read_text().splitlines() if Path(log).exists() else []


def fate_of(tool: object) -> str:
    """Draw what becomes of a call; the very first reading always dies, so that one is repeated."""
    if tool == "read" and not any(line.startswith("read ") for line in earlier()):
        return "dies"
    fates = ["dies", "silent", "error", "failed", "late", "answers", "answers and dies"]
    return chance.choices(fates, [12, 5, 10, 10, 3, 50, 10])[0]


def call(number: object, params: dict[str, object]) -> None:
    arguments = params.get("arguments") or {}
    fate = fate_of(params["name"])
    with Path(log).open("a") as file:
        file.write(f"{params['name']} {arguments.get('n')} {fate}\n")  # type: ignore[attr-defined]
    if fate == "dies":
        os._exit(1)
    if fate == "silent":
        return
    if fate == "error":
        send({"id": number, "error": {"code": -32603, "message": "internal"}})
        return
    if fate == "late":
        time.sleep(1.2)
    text = "HTTP 503" if fate == "failed" else "done"
    content = [{"type": "text", "text": text}]
    send({"id": number, "result": {"content": content, "isError": fate == "failed"}})
    if fate == "answers and dies":
        os._exit(0)


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    method = message["method"]
    if method == "tools/call":
        call(message["id"], message["params"])
    elif method == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": "counting", "version": "1"}
        answer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        send({"id": message["id"], "result": answer})
    elif method == "tools/list":
        send({"id": message["id"], "result": {"tools": TOOLS}})
    else:
        send({"id": message["id"], "result": {}})
