"""An MCP server that sends nonsense before, between and after its valid messages.

    python hostile_server.py stdio SEED [modern]
    python hostile_server.py http PORT SEED [modern]
    python hostile_server.py ws PORT SEED [modern]

The nonsense is the same for the same seed. Every request is answered correctly all the same.
"""

from __future__ import annotations

import json
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODERN = "2026-07-28"
METHODS = (
    "notifications/progress", "notifications/message", "notifications/cancelled",
    "notifications/tools/list_changed", "notifications/resources/list_changed",
    "notifications/prompts/list_changed", "notifications/resources/updated",
    "notifications/elicitation/complete", "notifications/tasks/status", "notifications/tasks",
    "notifications/initialized", "notifications/subscriptions/acknowledged",
    "sampling/createMessage", "elicitation/create", "roots/list", "ping", "initialize",
    "tools/call", "server/discover", "", "x",
)  # fmt: skip
NAMES = (
    "progressToken", "progress", "total", "message", "requestId", "reason", "uri", "level", "data",
    "logger", "_meta", "url", "mode", "elicitationId", "taskId", "status", "messages", "error",
    "code", "result", "content", "tools", "nextCursor", "requestedSchema", "id", "method", "params",
)  # fmt: skip
NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 5000, "0.1e-400", "1E400", "-0")
PLACE = "@number@"
ITEMS = 12


class Nonsense:
    """Lines that look like messages, more or less."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        choose = self.random.choice
        kind = self.random.randrange(10 if depth < 4 else 7)
        if kind < 4:
            odd = [None, True, False, 0, 1, -1, 1.5, 2.0, 10**30, "", "1", "2", "\0", "\ud800", "é"]
            return choose([*odd, PLACE, "x" * 300])
        if kind < 7:
            return choose(["info", "error", "file:///x", "javascript:x", "accept", "\x1b[2J", 3, 4])
        if kind == 7:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {choose(NAMES): self.value(depth + 1) for _ in range(self.random.randrange(5))}

    def message(self) -> str:
        pick = self.random.randrange(8)
        message: dict[str, Any] = {"jsonrpc": self.random.choice(["2.0"] * 6 + ["1.0", None, 2])}
        if pick < 4:
            message["method"] = self.random.choice(METHODS)
            if pick > 1:
                message["params"] = self.value()
            if pick == 3:
                message["id"] = self.value()
        elif pick < 6:
            # Not an id of a request in flight: such a response would be the answer.
            message["id"] = self.random.choice([10**9, "abc", [1], {}, 1.5, True, -1, None])
            message[self.random.choice(["result", "error"])] = self.value()
            if message["id"] is None:
                message["error"] = 0  # an error object could be meant as the answer
        else:
            message = self.value() if pick == 6 else {"params": self.value()}
        text = json.dumps(message)
        while f'"{PLACE}"' in text:
            text = text.replace(f'"{PLACE}"', self.random.choice(NUMBERS), 1)
        return text

    def line(self) -> bytes:
        """Return a line without its end."""
        pick = self.random.randrange(8)
        line = self.message().encode("utf-8", "surrogatepass")
        if pick == 0:
            line = self.random.randbytes(self.random.randrange(1, 60))
        elif pick == 1:
            line = b"[" * self.random.choice([10, 2000, 60_000])
        elif pick == 2:
            line = b"[" + line + b"," + self.message().encode() + b"]"
        elif pick == 3:
            line = b"\xef\xbb\xbf" + line
        return line.replace(b"\n", b" ").replace(b"\r", b" ")

    def lines(self) -> list[bytes]:
        return [self.line() for _ in range(self.random.randrange(ITEMS))]


def result(message: dict[str, Any], *, modern: bool) -> dict[str, Any]:
    """Return the correct answer to a request."""
    tool = {"name": "echo", "inputSchema": {"type": "object"}}
    about = {"capabilities": {"tools": {"listChanged": True}, "logging": {}}}
    info = {"name": "hostile", "version": "1"}
    found: dict[str, Any] = {}
    match message["method"]:
        case "initialize":
            found = {"protocolVersion": "2025-11-25", "serverInfo": info, **about}
        case "server/discover":
            meta = {"io.modelcontextprotocol/serverInfo": info}
            found = {"supportedVersions": [MODERN], "_meta": meta, **about}
        case "tools/list":
            found = {"tools": [tool]}
        case "tools/call":
            found = {"content": [{"type": "text", "text": "fine"}]}
    return {"resultType": "complete", **found} if modern else found


def answer(line: bytes, *, modern: bool) -> bytes | None:
    """Return the response to a request; None for anything else."""
    message = json.loads(line)
    if "method" not in message or "id" not in message:
        return None
    response: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    if modern and message["method"] == "initialize":
        response["error"] = {"code": -32601, "message": "no handshake"}
    else:
        response["result"] = result(message, modern=modern)
    return json.dumps(response).encode()


def serve_stdio(nonsense: Nonsense, *, modern: bool) -> None:
    def write(lines: list[bytes]) -> None:
        sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
        sys.stdout.buffer.flush()

    for line in sys.stdin.buffer:
        if (response := answer(line, modern=modern)) is not None:
            write([*nonsense.lines(), response, *nonsense.lines()])


class Handler(BaseHTTPRequestHandler):
    """Streamable HTTP: nonsense as events of POST's streams, and of the standalone one."""

    protocol_version = "HTTP/1.1"
    nonsense: Nonsense
    modern: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        response = answer(body, modern=self.modern)
        if response is None:
            self.reply(202, b"", "")
        elif self.nonsense.random.random() < 0.2:
            self.reply(200, b"\xef\xbb\xbf" + response, "application/json")
        else:
            before, after = self.nonsense.lines(), self.nonsense.lines()
            self.reply(200, events([*before, response, *after]), "text/event-stream")

    def do_GET(self) -> None:
        if self.nonsense.random.random() < 0.5:
            self.reply(405, b"", "")
        else:
            self.reply(200, events(self.nonsense.lines()), "text/event-stream")

    def do_DELETE(self) -> None:
        self.reply(200, b"", "")

    def reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if not self.modern:
            self.send_header("Mcp-Session-Id", "s1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def events(lines: list[bytes]) -> bytes:
    odd = (b"retry: 99999999999999999999\n\n", b"event: x\ndata: y\n\n", b": c\n\n", b"id: \0\n\n")
    parts = []
    for line in lines:
        parts += [b"data: " + line + b"\n\n", *([odd[len(line) % 4]] if len(line) % 3 else [])]
    return b"".join(parts)


def serve_websocket(port: int, nonsense: Nonsense, *, modern: bool) -> None:
    """One message a frame; the nonsense is in binary frames too."""
    import trio
    import trio_websocket

    async def talk(request: Any) -> None:
        connection = await request.accept()
        try:
            while True:
                line = await connection.get_message()
                if (response := answer(line.encode(), modern=modern)) is None:
                    continue
                for each in [*nonsense.lines(), response, *nonsense.lines()]:
                    try:
                        await connection.send_message(each.decode())
                    except UnicodeDecodeError:
                        await connection.send_message(each)
        except trio_websocket.ConnectionClosed:
            return

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                trio_websocket.serve_websocket, talk, "127.0.0.1", port, None
            )
            print(server.port, flush=True)

    trio.run(serve)


def main(words: list[str]) -> None:
    modern = words[-1] == "modern"
    if words[0] == "stdio":
        serve_stdio(Nonsense(int(words[1])), modern=modern)
        return
    if words[0] == "ws":
        serve_websocket(int(words[1]), Nonsense(int(words[2])), modern=modern)
        return
    Handler.nonsense, Handler.modern = Nonsense(int(words[2])), modern
    server = ThreadingHTTPServer(("127.0.0.1", int(words[1])), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
