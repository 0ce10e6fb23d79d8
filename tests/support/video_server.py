"""A stand-in for a video service behind the gateway: create, poll, download."""

from __future__ import annotations

import base64
import json
import sys

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256))
polls = 0


def tool(name: str, argument: str) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
    }
    return {"name": name, "description": f"{name} of the stand-in.", "inputSchema": schema}


TOOLS = [
    tool("video_agent_create", "prompt"),
    tool("video_get", "video_id"),
    tool("video_download", "url"),
]


def call(name: str) -> dict[str, object]:
    global polls
    if name == "video_agent_create":
        return {"data": {"video_id": "v-123"}}
    if name == "video_get":
        polls += 1
        done = polls > 2
        url = "https://videos.invalid/v-123.mp4"
        return {
            "data": {"status": "completed", "video_url": url} if done else {"status": "waiting"}
        }
    return {"data": base64.b64encode(MP4).decode()}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    method = message["method"]
    if method == "initialize":
        result: object = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "video", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "tools/call":
        text = json.dumps(call(message["params"]["name"]), indent=2)
        result = {"content": [{"type": "text", "text": text}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
