"""One MCP server over stdio whose behaviour, good or bad, is set by command-line flags.

A real blocking program: tests start it as a child and see what a gateway makes of it. The
tools and what they do by their names are in `fake_tools.py`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from fake_tools import Call, RpcError, definition, run_tool

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
CAPABILITIES = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "logging": {},
    "completions": {},
}
RESOURCES = [
    {"uri": "fake://one", "name": "one", "title": "One", "mimeType": "text/plain"},
    {"uri": "fake://two", "name": "two", "mimeType": "application/octet-stream"},
]
CONTENTS: dict[str, dict[str, str]] = {
    "fake://one": {"mimeType": "text/plain", "text": "the first resource"},
    "fake://two": {"mimeType": "application/octet-stream", "blob": "AAEC"},
}
TEMPLATES = [{"uriTemplate": "fake://item/{number}", "name": "item", "mimeType": "text/plain"}]
PROMPTS = [
    {
        "name": "greet",
        "description": "Greet somebody.",
        "arguments": [{"name": "name", "description": "Whom to greet.", "required": True}],
    }
]
FLOOD_BYTES_A_SECOND = 20_000_000


def parse_flags() -> argparse.Namespace:
    """Read the flags; each is one behaviour, and none means a well-behaved server."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--name", default="fake", help="name in serverInfo")
    add("--instructions", help="instructions in the answer to initialize")
    add("--tools", default="echo", metavar="A,B,C", help="names of the tools")
    add("--list-file", type=Path, help="JSON list of names or definitions, read at each list")
    add("--annotate", action="append", default=[], metavar="TOOL=HINT[+HINT]")
    add("--page-size", type=int, default=0, help="items a page of every list")
    add("--no-tools-first", type=int, default=0, help="the first N tool lists are empty")
    add("--no-capabilities", action="store_true", help="declare none")
    add("--protocol", metavar="VERSION", help="answer initialize with this version")
    add("--delay-start", type=float, default=0.0, metavar="SECONDS", help="before reading")
    add("--stderr", metavar="TEXT", help="print this to stderr at the start")
    add("--crash-at-start", type=int, metavar="CODE", help="exit before reading")
    add("--die-on", metavar="TOOL", help="die at a call of this tool, with exit code 137")
    add("--once", type=Path, metavar="MARK", help="crash or die only while MARK does not exist")
    add("--hang", action="store_true", help="read, but never answer")
    add("--flood", action="store_true", help="write non-JSON lines without end, 20 MB/s")
    add("--banner", action="store_true", help="write a banner line to stdout first")
    add("--ignore-eof", action="store_true", help="stay when stdin ends")
    add("--ignore-term", action="store_true", help="stay at SIGTERM")
    add("--grandchild", action="store_true", help="start a child that outlives stdin")
    add("--pidfile", type=Path, help="where the grandchild's pid is written")
    add("--pid-file", type=Path, help="where this pid is appended at the start")
    add("--log", type=Path, help="where each received message is appended as a JSON line")
    return parser.parse_args()


class FakeServer:
    """One session on stdin and stdout, after the flags."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.tools: list[dict[str, Any] | str] = [name for name in flags.tools.split(",") if name]
        self.lists = 0
        self.calls = 0
        self.client_capabilities: dict[str, Any] = {}
        self.running: dict[str, Call] = {}
        self._asked: dict[str, Call] = {}
        self._writing = threading.Lock()
        self._logging = threading.Lock()

    def run(self) -> None:
        """Serve until stdin ends."""
        for line in sys.stdin.buffer:
            try:
                message = json.loads(line)
            except ValueError:
                self.log(json.dumps({"not_json": line.decode(errors="replace")}))
                continue
            self.log(json.dumps(message))
            if not self.flags.hang:
                self.take(message)

    def log(self, line: str) -> None:
        """Append a line to the log file, if there is one, before anything is answered."""
        if self.flags.log is not None:
            with self._logging, self.flags.log.open("a") as file:
                file.write(f"{line}\n")

    def write(self, data: bytes) -> None:
        """Write bytes to stdout, one writer at a time."""
        with self._writing:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification."""
        self.send({"method": method, **({} if params is None else {"params": params})})

    def ask(self, call: Call, method: str, params: dict[str, Any]) -> None:
        """Send a request whose answer wakes the call."""
        number = f"fake-{os.getpid()}-{len(self._asked) + 1}"
        self._asked[number] = call
        self.send({"id": number, "method": method, "params": params})

    def take(self, message: dict[str, Any]) -> None:
        """Handle one message."""
        method, params = message.get("method"), message.get("params") or {}
        if method is None:
            call = self._asked.get(str(message.get("id")))
            if call is not None:
                call.answered(message)
        elif "id" not in message:
            if method == "notifications/cancelled":
                self._cancel(params.get("requestId"))
        else:
            try:
                result = self._answer(message["id"], method, params)
            except RpcError as error:
                self.send({"id": message["id"], "error": error.body})
            else:
                if result is not None:
                    self.send({"id": message["id"], "result": result})

    def _cancel(self, number: object) -> None:
        call = self.running.get(json.dumps(number))
        if call is not None:
            call.cancel()

    def _answer(self, number: object, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        match method:
            case "initialize":
                return self._initialize(params)
            case "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe":
                return {}
            case "tools/list":
                return self._page("tools", self._listed_tools(), params)
            case "tools/call":
                return self._call(number, params)
            case "resources/list":
                return self._page("resources", RESOURCES, params)
            case "resources/templates/list":
                return self._page("resourceTemplates", TEMPLATES, params)
            case "resources/read":
                return self._read(str(params.get("uri")))
            case "prompts/list":
                return self._page("prompts", PROMPTS, params)
            case "prompts/get":
                return self._prompt(params)
            case "completion/complete":
                typed = params.get("argument", {}).get("value", "")
                return {"completion": {"values": [f"{typed}-1", f"{typed}-2"], "total": 2}}
        raise RpcError(-32601, f"unknown method {method}")

    def _initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        wanted = params.get("protocolVersion")
        self.client_capabilities = params.get("capabilities") or {}
        about = {"instructions": self.flags.instructions} if self.flags.instructions else {}
        return {
            "protocolVersion": self.flags.protocol
            or (wanted if wanted in VERSIONS else VERSIONS[0]),
            "capabilities": {} if self.flags.no_capabilities else CAPABILITIES,
            "serverInfo": {"name": self.flags.name, "version": "1.0"},
            **about,
        }

    def _listed_tools(self) -> list[dict[str, Any]]:
        self.lists += 1
        if self.lists <= self.flags.no_tools_first:
            return []
        return [self._define(tool) for tool in self._known()]

    def _known(self) -> list[dict[str, Any] | str]:
        if self.flags.list_file is not None:
            listed: list[dict[str, Any] | str] = json.loads(self.flags.list_file.read_text())
            return listed
        return self.tools

    def _define(self, tool: dict[str, Any] | str) -> dict[str, Any]:
        if isinstance(tool, dict):
            return {"inputSchema": {"type": "object"}, **tool}
        overrides = dict(entry.split("=", 1) for entry in self.flags.annotate)
        return definition(tool, overrides.get(tool))

    def _page(
        self, key: str, items: list[dict[str, Any]], params: dict[str, Any]
    ) -> dict[str, Any]:
        size, cursor = self.flags.page_size, params.get("cursor")
        if cursor is None:
            start = 0
        else:
            try:
                start = int(
                    base64.b64decode(cursor, validate=True).decode().removeprefix(f"{key}@")
                )
            except (binascii.Error, ValueError, TypeError):
                raise RpcError(-32602, f"bad cursor {cursor!r}") from None
        end = start + size if size else len(items)
        page: dict[str, Any] = {key: items[start:end]}
        if end < len(items):
            page["nextCursor"] = base64.b64encode(f"{key}@{end}".encode()).decode()
        return page

    def _read(self, uri: str) -> dict[str, Any]:
        if uri.startswith("fake://item/"):
            return {"contents": [{"uri": uri, "text": f"item {uri.rpartition('/')[2]}"}]}
        if uri not in CONTENTS:
            raise RpcError(-32002, f"no resource {uri}", {"uri": uri})
        return {"contents": [{"uri": uri, **CONTENTS[uri]}]}

    def _prompt(self, params: dict[str, Any]) -> dict[str, Any]:
        name = (params.get("arguments") or {}).get("name")
        if params.get("name") != "greet" or name is None:
            raise RpcError(-32602, "the only prompt is greet, with the argument name")
        text = {"type": "text", "text": f"Say hello to {name}."}
        return {"description": "A greeting.", "messages": [{"role": "user", "content": text}]}

    def _call(self, number: object, params: dict[str, Any]) -> dict[str, Any] | None:
        name = params.get("name")
        if name == self.flags.die_on and first_time(self.flags.once):
            os._exit(137)
        if not any(name == (t if isinstance(t, str) else t.get("name")) for t in self._known()):
            raise RpcError(-32602, f"unknown tool {name!r}")
        self.calls += 1
        return run_tool(self, Call(self, number, str(name), params))


def first_time(mark: Path | None) -> bool:
    """Tell whether a fault is due: always without a mark, else once, leaving the mark."""
    if mark is None:
        return True
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def start_grandchild(pidfile: Path | None) -> None:
    """Start a child that holds our stdout open and does not care whether stdin ends."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    if pidfile is not None:
        pidfile.write_text(f"{child.pid}\n")


def flood(server: FakeServer) -> None:
    """Write non-JSON lines at a bounded rate until the pipe is closed."""
    block = b"this is no JSON, only noise of a chatty program\n" * 1365
    try:
        while True:
            server.write(block)
            time.sleep(len(block) / FLOOD_BYTES_A_SECOND)
    except OSError:
        os._exit(1)


def main() -> NoReturn:
    """Behave as the flags say."""
    flags = parse_flags()
    if flags.pid_file is not None:
        with flags.pid_file.open("a") as file:
            file.write(f"{os.getpid()}\n")
    if flags.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if flags.stderr is not None:
        print(flags.stderr, file=sys.stderr, flush=True)
    if flags.crash_at_start is not None and first_time(flags.once):
        os._exit(flags.crash_at_start)
    if flags.grandchild:
        start_grandchild(flags.pidfile)
    time.sleep(flags.delay_start)
    server = FakeServer(flags)
    if flags.banner:
        server.write(b"Fake server 1.0 - ready to serve you!\n")
    if flags.flood:
        threading.Thread(target=flood, args=(server,), daemon=True).start()
    try:
        server.run()
    except BrokenPipeError:
        os._exit(0)
    while flags.ignore_eof:
        time.sleep(3600)
    # Threads that still work on a call must not hold the exit back.
    os._exit(0)


if __name__ == "__main__":
    main()
