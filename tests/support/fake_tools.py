"""The tools of the fake server, by name."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_server import FakeServer

Result = dict[str, Any]

ANNOTATIONS: dict[str, dict[str, bool]] = {
    "readOnly": {"readOnlyHint": True},
    "idempotent": {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True},
    "destructive": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False},
    "none": {},
}
READ_ONLY = ("echo", "slow", "counter")
ARGUMENTS: dict[str, dict[str, str]] = {
    "echo": {"text": "string"},
    "slow": {"seconds": "number"},
    "progress": {"steps": "integer", "pause": "number"},
    "log": {"level": "string", "data": "string", "logger": "string"},
    "ask_sampling": {"params": "object"},
    "ask_elicitation": {"params": "object"},
    "ask_roots": {},
    "big": {"bytes": "integer"},
    "env": {"name": "string"},
    "exit_now": {"code": "integer"},
    "update_resource": {"uri": "string"},
    "change_tools": {"name": "string"},
}
LONGEST_WAIT = 60.0


class RpcError(Exception):
    """A JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.body: Result = {"code": code, "message": message}
        if data is not None:
            self.body["data"] = data


class Call:
    """One running call: what came with it, and what may wake it."""

    def __init__(self, server: FakeServer, number: object, tool: str, params: Result) -> None:
        self.server = server
        self.number = number
        self.tool = tool
        self.arguments: Result = params.get("arguments") or {}
        self.token = (params.get("_meta") or {}).get("progressToken")
        self.answer: Result | None = None
        self.cancelled = False
        self._woken = threading.Event()

    def cancel(self) -> None:
        """Stop waiting and answer nothing; the log says so."""
        self.server.log(f"cancelled {json.dumps(self.number)}")
        self.cancelled = True
        self._woken.set()

    def answered(self, message: Result) -> None:
        """Take the client's answer to a request of this call."""
        self.answer = message
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait and tell whether something woke the call before the time was over."""
        return self._woken.wait(seconds)


def definition(name: str, hints: str | None = None) -> Result:
    """Return what `tools/list` says of a tool; `hints` are keys of ANNOTATIONS joined by +."""
    properties = {key: {"type": kind} for key, kind in ARGUMENTS.get(name, {}).items()}
    tool: Result = {
        "name": name,
        "description": f"The tool {name} of the fake server.",
        "inputSchema": {"type": "object", "properties": properties},
    }
    chosen = hints.split("+") if hints else ["readOnly"] if name in READ_ONLY else []
    annotations = {hint: value for key in chosen for hint, value in ANNOTATIONS[key].items()}
    if annotations:
        tool["annotations"] = annotations
    return tool


def run_tool(server: FakeServer, call: Call) -> Result | None:
    """Run the named tool; return None if a thread will answer, or if there is no answer."""
    behaviour = BEHAVIOURS.get(call.tool, generic)
    if call.tool not in WAITING:
        return behaviour(call)
    key = json.dumps(call.number)
    server.running[key] = call

    def work() -> None:
        try:
            result = behaviour(call)
            if not call.cancelled:
                server.send({"id": call.number, "result": result})
        except OSError:
            pass  # Nobody reads any more.
        finally:
            server.running.pop(key, None)

    threading.Thread(target=work, daemon=True).start()
    return None


def text(value: str) -> Result:
    """Return a result of one text."""
    return {"content": [{"type": "text", "text": value}]}


def generic(call: Call) -> Result:
    """Return the arguments as JSON: what a tool of any other name does."""
    return text(json.dumps({"tool": call.tool, "arguments": call.arguments}))


def echo(call: Call) -> Result:
    """Return the text."""
    return text(str(call.arguments.get("text", "")))


def slow(call: Call) -> Result:
    """Take a while, unless cancelled."""
    seconds = float(call.arguments.get("seconds", 1.0))
    call.wait(seconds)
    return text(f"slept {seconds:g}")


def progress(call: Call) -> Result:
    """Report each step to the token that came with the call, if one came."""
    steps = int(call.arguments.get("steps", 3))
    for step in range(1, steps + 1):
        if call.wait(float(call.arguments.get("pause", 0.0))):
            break
        if call.token is not None:
            call.server.notify(
                "notifications/progress",
                {
                    "progressToken": call.token,
                    "progress": step,
                    "total": steps,
                    "message": f"step {step}",
                },
            )
    return text(f"{steps} steps")


def log(call: Call) -> Result:
    """Send a log message of the given level."""
    call.server.notify(
        "notifications/message",
        {
            "level": call.arguments.get("level", "info"),
            "logger": call.arguments.get("logger", "fake"),
            "data": call.arguments.get("data", "hello from the fake server"),
        },
    )
    return text("logged")


def ask(method: str, default: Result) -> Callable[[Call], Result]:
    """Return a behaviour that asks the client and gives its answer as JSON text."""

    def behaviour(call: Call) -> Result:
        call.server.ask(call, method, call.arguments.get("params", default))
        call.wait(LONGEST_WAIT)
        answer = call.answer or {"error": {"code": -32001, "message": "the client never answered"}}
        said = text(json.dumps({key: answer[key] for key in ("result", "error") if key in answer}))
        return {**said, "isError": True} if "error" in answer else said

    return behaviour


def fail(call: Call) -> Result:
    """Return a result that is an error."""
    return {**text(str(call.arguments.get("text", "the tool failed"))), "isError": True}


def rpc_error(call: Call) -> Result:
    """Answer with a JSON-RPC error that carries data."""
    raise RpcError(-32050, "a protocol error of the backend", {"tool": call.tool, "hint": "none"})


def url_first(call: Call) -> Result:
    """Want a URL to be opened, at every other call."""
    call.server.calls_of_url_first = getattr(call.server, "calls_of_url_first", 0) + 1
    if call.server.calls_of_url_first % 2:
        asked = {
            "mode": "url",
            "elicitationId": "e1",
            "url": "https://example.org/",
            "message": "Go",
        }
        raise RpcError(-32042, "open this first", {"elicitations": [asked]})
    return text("opened")


def bad_lines(call: Call) -> Result:
    """Write garbage and an answer to nothing before the real one."""
    call.server.write(b"\x00\xff garbage { not json\n\n")
    call.server.send({"id": "never-asked", "result": {"content": []}})
    return text("the real answer")


def change_tools(call: Call) -> Result:
    """Add a tool and say that the list changed."""
    name = str(call.arguments.get("name", f"added_{len(call.server.tools)}"))
    call.server.tools.append(name)
    call.server.notify("notifications/tools/list_changed")
    return text(name)


def update_resource(call: Call) -> Result:
    """Say that a resource was updated."""
    uri = str(call.arguments.get("uri", "fake://one"))
    call.server.notify("notifications/resources/updated", {"uri": uri})
    return text(uri)


def big(call: Call) -> Result:
    """Return a text of the wanted size."""
    return text("x" * int(call.arguments.get("bytes", 1000)))


def unknown_fields(call: Call) -> Result:
    """Return a result with fields that no specification knows, at every level."""
    del call
    item = {"type": "text", "text": "plain", "x-extra": {"deep": [1, None]}, "_meta": {"x-in": 1}}
    return {"content": [item], "x-extra": {"kept": True}, "_meta": {"x-extra": "kept"}}


def env(call: Call) -> Result:
    """Return an environment variable as JSON, null where it is not set."""
    return text(json.dumps(os.environ.get(str(call.arguments.get("name", "")))))


def counter(call: Call) -> Result:
    """Return how many calls this process has had."""
    return text(str(call.server.calls))


def exit_now(call: Call) -> Result:
    """Exit without an answer."""
    os._exit(int(call.arguments.get("code", 0)))


def stall(call: Call) -> Result:
    """Hold the whole process, so that nothing at all is read or answered meanwhile."""
    time.sleep(float(call.arguments.get("seconds", 1.0)))
    return text("back again")


QUESTION = {"role": "user", "content": {"type": "text", "text": "What is the capital of France?"}}
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

BEHAVIOURS: dict[str, Callable[[Call], Result]] = {
    "echo": echo,
    "slow": slow,
    "progress": progress,
    "log": log,
    "ask_sampling": ask("sampling/createMessage", {"messages": [QUESTION], "maxTokens": 50}),
    "ask_elicitation": ask(
        "elicitation/create", {"message": "What is your name?", "requestedSchema": FORM}
    ),
    "ask_roots": ask("roots/list", {}),
    "fail": fail,
    "rpc_error": rpc_error,
    "url_first": url_first,
    "bad_lines": bad_lines,
    "change_tools": change_tools,
    "update_resource": update_resource,
    "big": big,
    "unknown_fields": unknown_fields,
    "env": env,
    "counter": counter,
    "exit_now": exit_now,
    "stall": stall,
}
WAITING = frozenset({"slow", "progress", "ask_sampling", "ask_elicitation", "ask_roots"})
