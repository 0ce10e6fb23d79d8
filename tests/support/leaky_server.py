"""A server over stdio that repeats what it was given: its environment and arguments, everywhere.

A real program, started by tests. `WHAT` in its environment is what it repeats; the first argument
is what it does at `initialize`: `serve`, `refuse` (with an error), or `die` (after a line on
stderr).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

WHAT = os.environ["WHAT"]
BEHAVIOUR = sys.argv[1]


def tools() -> list[dict[str, Any]]:
    """Return the tools; their definitions repeat the text too."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "description": WHAT, "default": WHAT}},
    }
    names = ("result", "structured", "resource", "is_error", "rpc_error", "log", "die")
    return [
        {"name": name, "description": f"The tool {name}: {WHAT}", "inputSchema": schema}
        for name in names
    ]


def call(name: str) -> dict[str, Any]:
    """Return the result of a tool that succeeds."""
    if name == "structured":
        return {"content": [], "structuredContent": {"deep": [{WHAT[:40]: WHAT}]}}
    if name == "resource":
        resource = {"uri": "leaky://x", "text": WHAT}
        return {"content": [{"type": "resource", "resource": resource}]}
    if name == "log":
        data = {"level": "error", "data": {"said": WHAT}}
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": data})
    content = [{"type": "text", "text": f"before {WHAT} after"}]
    return {"content": content, "isError": name == "is_error"}


def send(message: dict[str, Any]) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer messages until the end of input."""
    sys.stderr.write(f"starting with {WHAT}\n")
    sys.stderr.flush()
    if BEHAVIOUR == "die":
        sys.exit(3)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        method = message["method"]
        failure = {"code": -32001, "message": f"no: {WHAT}", "data": {"headers": [WHAT]}}
        if method == "initialize" and BEHAVIOUR == "refuse":
            answer["error"] = failure
        elif method == "initialize":
            answer["result"] = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "logging": {}},
                "serverInfo": {"name": "leaky", "version": "1", "title": WHAT},
                "instructions": f"Use {WHAT} well.",
            }
        elif method == "tools/list":
            answer["result"] = {"tools": tools()}
        elif method == "tools/call" and message["params"]["name"] == "rpc_error":
            answer["error"] = failure
        elif method == "tools/call" and message["params"]["name"] == "die":
            sys.stderr.write(f"fatal: {WHAT}\n")
            sys.exit(4)
        elif method == "tools/call":
            answer["result"] = call(message["params"]["name"])
        else:
            answer["result"] = {}
        send(answer)


if __name__ == "__main__":
    main()
