"""An MCP server over Streamable HTTP whose clients may come back for what they missed.

    python tests/support/storing_server.py --port N [--log FILE] [--retry MILLISECONDS] [--modern]

The official package does the talking, in the revisions of the handshake alone unless `--modern`
is given: the stateless one has no streams to come back for. `chatter {tag, steps, pause}`
reports each step and logs it; `echo {text}` returns the text. Each call is appended to the log
before it is answered.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPDeprecationWarning

Context = ServerRequestContext[Any]


class Events(EventStore):
    """The events of all streams in memory.

    The package replays a stream first and lets the client have what is new after that, so that
    what comes between is lost (2.3). Here the replay itself goes on to the answer.
    """

    def __init__(self) -> None:
        self._streams: dict[str, list[tuple[int, types.JSONRPCMessage | None]]] = defaultdict(list)
        self._stream_of: dict[int, str] = {}
        self._numbers = itertools.count(1)
        self._news = anyio.Event()

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        """Keep an event and return its id."""
        number = next(self._numbers)
        self._streams[stream_id].append((number, message))
        self._stream_of[number] = stream_id
        self._news.set()
        self._news = anyio.Event()
        return str(number)

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send what came and comes on the same stream after an event, to its answer."""
        last = int(last_event_id)
        stream = self._stream_of.get(last)
        while stream is not None:
            news = self._news
            for number, message in tuple(self._streams[stream]):
                if number > last and message is not None:
                    last = number
                    await send_callback(EventMessage(message, str(number)))
                    if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                        return None
            await news.wait()
        return None


def definition(name: str, **properties: str) -> types.Tool:
    """Return a tool, which does not say that it may be called again without harm."""
    kinds = {key: {"type": kind} for key, kind in properties.items()}
    return types.Tool(name=name, input_schema={"type": "object", "properties": kinds})


def make_server(log: Path | None) -> Server[Any]:
    """Return the server."""

    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                definition("chatter", tag="string", steps="integer", pause="number"),
                definition("echo", text="string"),
            ]
        )

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        arguments = params.arguments or {}
        said = str(arguments.get("tag", arguments.get("text", "")))
        if log is not None:
            with log.open("a") as file:
                file.write(f"{said}\n")
        for step in range(1, int(arguments.get("steps", 0)) + 1):
            await context.session.report_progress(step, message=said)
            await context.session.send_log_message(
                "info", {"tag": said, "step": step}, related_request_id=context.request_id
            )
            await anyio.sleep(float(arguments.get("pause", 0.0)))
        return types.CallToolResult(content=[types.TextContent(type="text", text=said)])

    return Server("storing", on_list_tools=list_tools, on_call_tool=call_tool)


def legacy(app: Any) -> Any:
    """Refuse revisions that a server of the handshake does not know, as those do."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
    from starlette.responses import JSONResponse

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers") or ())
        version = headers.get(b"mcp-protocol-version", b"").decode()
        if not version or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await app(scope, receive, send)
            return
        error = {"code": -32000, "message": f"Bad Request: unsupported version {version}"}
        answer = {"jsonrpc": "2.0", "id": "server-error", "error": error}
        await JSONResponse(answer, status_code=400)(scope, receive, send)

    return serve


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--retry", type=int, default=10, help="milliseconds")
    parser.add_argument("--modern", action="store_true", help="know the stateless revision too")
    flags = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server = make_server(flags.log)
    app: Any = server.streamable_http_app(event_store=Events(), retry_interval=flags.retry)
    config = uvicorn.Config(
        app if flags.modern else legacy(app),
        host="127.0.0.1",
        port=flags.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    anyio.run(uvicorn.Server(config).serve)


if __name__ == "__main__":
    main()
