"""An MCP server with a detached child, which it ends itself, as servers that drive a browser do.

    python browser_server.py eof|term

The child leaves the server's session, so only the server can end it: when its stdin ends, or when
it gets SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def main(when: str) -> None:
    browser = subprocess.Popen(["sleep", "1000"], start_new_session=True)

    def end(*_: object) -> None:
        time.sleep(0.3)  # closing pages, removing a profile folder
        browser.kill()
        browser.wait()
        os._exit(0)

    if when == "term":
        signal.signal(signal.SIGTERM, end)
    tool = {"name": "browse", "inputSchema": {"type": "object"}}
    results = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "browser", "version": "1"},
        },
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": str(browser.pid)}]},
    }
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"]}
            print(json.dumps(answer | {"result": results.get(message["method"], {})}), flush=True)
    if when == "eof":
        end()
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
