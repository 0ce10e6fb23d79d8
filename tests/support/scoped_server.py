"""An MCP server that tells its processes apart: its pid, its subscriptions, its tasks, its level.

Every process numbers its tasks from 1, so two processes of it have tasks of equal ids.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

subscribed: set[str] = set()
tasks: dict[str, str] = {}
level = ""
roots_changed = 0


def send(message: dict[str, Any]) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value: object) -> dict[str, Any]:
    """Return a result with one text."""
    return {"content": [{"type": "text", "text": str(value)}]}


def task(task_id: str) -> dict[str, Any]:
    """Return the state of a task; its message names the process that it lives in."""
    return {
        "taskId": task_id,
        "status": tasks[task_id],
        "statusMessage": f"in {os.getpid()}",
        "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z",
        "ttl": None,
    }


def call(params: dict[str, Any]) -> dict[str, Any]:
    """Call a tool."""
    arguments = params.get("arguments") or {}
    match params["name"]:
        case "pid":
            return text(os.getpid())
        case "level":
            return text(level)
        case "roots_changed":
            return text(roots_changed)
        case "touch":
            uri = arguments["uri"]
            if uri in subscribed:
                send({"method": "notifications/resources/updated", "params": {"uri": uri}})
            return text(uri in subscribed)
        case "work":
            task_id = str(len(tasks) + 1)
            tasks[task_id] = "working"
            return {"task": task(task_id)}
        case "finish":
            tasks["1"] = "completed"
            send({"method": "notifications/tasks/status", "params": task("1")})
            return text("finished")
    raise ValueError(params["name"])


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a request."""
    global level
    match method:
        case "initialize":
            capabilities = {
                "tools": {},
                "logging": {},
                "resources": {"subscribe": True},
                "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
            }
            info = {"name": "scoped", "version": "1"}
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities,
                "serverInfo": info,
            }
        case "tools/list":
            names = ("pid", "level", "touch", "work", "finish", "roots_changed")
            schema = {"type": "object"}
            found: list[dict[str, Any]] = [{"name": n, "inputSchema": schema} for n in names]
            found[3]["execution"] = {"taskSupport": "optional"}
            return {"tools": found}
        case "resources/list":
            return {"resources": [{"uri": "memo://a", "name": "a"}]}
        case "resources/subscribe":
            subscribed.add(params["uri"])
        case "resources/unsubscribe":
            subscribed.discard(params["uri"])
        case "logging/setLevel":
            level = params["level"]
        case "tools/call":
            return call(params)
        case "tasks/get":
            return task(params["taskId"])
    return {}


def main() -> None:
    """Serve until the end of input."""
    global roots_changed
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/roots/list_changed":
            roots_changed += 1
        if "id" in message and "method" in message:
            result = answer(message["method"], message.get("params") or {})
            send({"id": message["id"], "result": result})


if __name__ == "__main__":
    main()
