"""The leanest MCP server over stdio: what a benchmark measures beside it is not this program.

It reads what is there, decodes all whole lines at once, and writes all answers in one go.
`ECHO_TOOLS=N` in the environment adds N generated tools to `tools/list`.
"""

from __future__ import annotations

import json
import os
import sys
from json.encoder import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def tools() -> list[dict[str, Any]]:
    """Return the definitions: echo, echo_write, and the generated ones."""
    made = [
        {
            "name": f"generated_{number:05}",
            "description": f"Generated tool {number} of the echo server; returns its text.",
            "inputSchema": TEXT,
        }
        for number in range(int(os.environ.get("ECHO_TOOLS", "0")))
    ]
    return [
        {
            "name": "echo",
            "description": "Return the text.",
            "inputSchema": TEXT,
            "annotations": {"readOnlyHint": True},
        },
        {"name": "echo_write", "description": "Return the text.", "inputSchema": TEXT},
        *made,
    ]


TOOLS = tools()
NAMES = frozenset(str(tool["name"]) for tool in TOOLS)


def answer(message: Any) -> str:
    """Return the line that answers a message, or nothing for a notification."""
    if not isinstance(message, dict):
        return fault("null", -32600, "not one JSON-RPC message")
    if "id" not in message or "method" not in message:
        return ""
    number, method = json.dumps(message["id"]), message["method"]
    params = message.get("params") or {}
    if method == "tools/call":
        if params.get("name") not in NAMES:
            return fault(number, -32602, f"unknown tool {params.get('name')!r}")
        text = (params.get("arguments") or {}).get("text", "")
        return reply(number, {"content": [{"type": "text", "text": str(text)}]})
    if method == "initialize":
        wanted = params.get("protocolVersion")
        return reply(
            number,
            {
                "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            },
        )
    if method == "tools/list":
        return reply(number, {"tools": TOOLS})
    if method == "ping":
        return reply(number, {})
    return fault(number, -32601, f"unknown method {method!r}")


def reply(number: str, result: object) -> str:
    """Return the line of a result; `number` is the id as JSON."""
    return f'{{"jsonrpc":"2.0","id":{number},"result":{json.dumps(result)}}}\n'


def fault(number: str, code: int, text: str) -> str:
    """Return the line of an error; `number` is the id as JSON."""
    return f'{{"jsonrpc":"2.0","id":{number},"error":{{"code":{code},"message":{quote(text)}}}}}\n'


def answer_all(messages: list[Any]) -> str:
    """Answer messages, the common echo call by a shortcut."""
    lines = []
    for message in messages:
        try:
            params = message["params"]
            number = message["id"]
            text = params["arguments"]["text"]
            if message["method"] == "tools/call" and params["name"] in NAMES:
                if type(number) is not int:
                    number = quote(number)
                lines.append(
                    f'{{"jsonrpc":"2.0","id":{number},"result":{{"content":'
                    f'[{{"type":"text","text":{quote(text)}}}]}}}}\n'
                )
                continue
        except (KeyError, TypeError):
            pass
        lines.append(answer(message))
    return "".join(lines)


def answer_lines(block: bytes) -> str:
    """Answer a block of whole lines."""
    try:
        # A newline inside of a JSON string is always escaped, so commas make one array of all.
        return answer_all(json.loads(b"[" + block.rstrip().replace(b"\n", b",") + b"]"))
    except ValueError:
        pass
    lines = []
    for line in block.split(b"\n"):
        if line.strip():
            try:
                lines.append(answer(json.loads(line)))
            except ValueError:
                lines.append(fault("null", -32700, "not JSON"))
    return "".join(lines)


def main() -> None:
    """Serve until stdin ends."""
    parts: list[bytes] = []
    while chunk := os.read(0, 262_144):
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            parts.append(chunk)
            continue
        out = memoryview(answer_lines(b"".join((*parts, head))).encode())
        while out:
            out = out[os.write(1, out) :]
        parts = [tail]


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
