"""An MCP server with everything that the official conformance suite asks a server for.

    python tests/conformance/everything_server.py stdio | http --port N | sse --port N [--legacy]

It speaks both eras of the protocol, or with `--legacy` only the one that opens by `initialize`;
the official package does the talking, so that a failure behind the gateway is the gateway's.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import anyio
import attrs
from everything_asking import Call, InputNeeded
from everything_content import CHANGED_PROMPT, PROMPTS, RESOURCES, TEMPLATES, prompt, read
from everything_tools import TOOLS, Blocks, call_tool, tool
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.mcpserver import RequestStateBoundary, RequestStateSecurity
from mcp.server.session import ServerSession
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import SessionMessage
from mcp_types import (
    METHOD_NOT_FOUND,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    ErrorData,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    JSONRPCError,
    JSONRPCRequest,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types import Tool as Definition
from mcp_types.jsonrpc import JSONRPCMessage
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NAME = "everything"
VERSION_META = "io.modelcontextprotocol/protocolVersion"
WATCHED = "test://watched-resource"
EXTRA_TOOL = Definition(
    name="test_changed_tool",
    description="Comes and goes.",
    input_schema={"type": "object", "properties": {}},
)
RETRY_MILLISECONDS = 100
LIVE_AFTER_SECONDS = 0.2


class Everything(Server[Any]):
    """The server, with lists that change on demand."""

    def __init__(self, *, legacy: bool) -> None:
        self.bus = InMemorySubscriptionBus()
        self.legacy = legacy
        self.extra_tool = False
        self.extra_prompt = False
        self.subscribers: weakref.WeakSet[ServerSession] = weakref.WeakSet()
        super().__init__(
            NAME,
            version="1.0.0",
            instructions="Every feature of the protocol, for tests.",
            cache_hints={"tools/list": CacheHint(ttl_ms=1000, scope="public")},
            get_tool_input_schema=lambda name: TOOLS[name].schema if name in TOOLS else None,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
            on_subscribe_resource=self.subscribe,
            on_unsubscribe_resource=self.unsubscribe,
            on_subscriptions_listen=ListenHandler(self.bus),
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
            on_completion=self.complete,
        )
        self.add_request_handler("logging/setLevel", SetLevelRequestParams, self.set_level)
        security = RequestStateSecurity.ephemeral()
        self.middleware.append(RequestStateBoundary(security, default_audience=NAME))

    def create_initialization_options(self, *arguments: Any, **options: Any) -> Any:
        """Declare that all lists may change."""
        changing = NotificationOptions(True, True, True)
        return super().create_initialization_options(changing, **options)

    async def run(
        self, read_stream: Any, write_stream: Any, *arguments: Any, **options: Any
    ) -> None:
        """Serve one connection; a legacy server refuses what belongs to the modern era."""
        if not self.legacy:
            await super().run(read_stream, write_stream, *arguments, **options)
            return
        passed_on, kept = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with anyio.create_task_group() as group:
            group.start_soon(refuse_modern, read_stream, passed_on, write_stream)
            await super().run(kept, write_stream, *arguments, **options)
            group.cancel_scope.cancel()

    async def list_tools(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """Return the definitions, always in the same order."""
        tools = [found.definition(name) for name, found in TOOLS.items()]
        return ListToolsResult(tools=[*tools, EXTRA_TOOL] if self.extra_tool else tools)

    async def call_tool(
        self, context: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; those that change the server itself are here."""
        try:
            return await call_tool(Call(context, params), params)
        except InputNeeded as needed:
            return needed.result

    async def change_tools(self, session: ServerSession, *, is_modern: bool) -> None:
        """Add the extra tool or take it away, and announce it."""
        self.extra_tool = not self.extra_tool
        await self.bus.publish(ToolsListChanged())
        if not is_modern:
            await session.send_tool_list_changed()

    async def change_prompts(self, session: ServerSession, *, is_modern: bool) -> None:
        """Add the extra prompt or take it away, and announce it."""
        self.extra_prompt = not self.extra_prompt
        await self.bus.publish(PromptsListChanged())
        if not is_modern:
            await session.send_prompt_list_changed()

    async def change_resource(self) -> None:
        """Announce a change of the watched resource to all that want to know."""
        await self.bus.publish(ResourceUpdated(WATCHED))
        for session in list(self.subscribers):
            await session.send_resource_updated(WATCHED)

    async def list_resources(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """Return the resources."""
        return ListResourcesResult(resources=RESOURCES)

    async def list_templates(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """Return the templates."""
        return ListResourceTemplatesResult(resource_templates=TEMPLATES)

    async def read_resource(
        self, context: Context, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        """Return a resource."""
        return read(str(params.uri))

    async def subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        """Remember who watches."""
        self.subscribers.add(context.session)
        return EmptyResult()

    async def unsubscribe(self, context: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Forget who watched."""
        self.subscribers.discard(context.session)
        return EmptyResult()

    async def list_prompts(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        """Return the prompts."""
        prompts = [*PROMPTS, CHANGED_PROMPT] if self.extra_prompt else PROMPTS
        return ListPromptsResult(prompts=prompts)

    async def get_prompt(
        self, context: Context, params: GetPromptRequestParams
    ) -> GetPromptResult | InputRequiredResult:
        """Return a prompt."""
        try:
            return await prompt(params.name, params.arguments or {}, Call(context, params))
        except InputNeeded as needed:
            return needed.result

    async def complete(self, context: Context, params: CompleteRequestParams) -> CompleteResult:
        """Offer towns that begin with what has been typed."""
        towns = ["paris", "parma", "perth"]
        values = [town for town in towns if town.startswith(params.argument.value)]
        return CompleteResult(completion=Completion(values=values, total=len(values)))

    async def set_level(self, context: Context, params: SetLevelRequestParams) -> EmptyResult:
        """Take any level; the tools log at one level alone."""
        return EmptyResult()


def offer_changes(server: Everything) -> None:
    """Add the tools that change the server."""

    @tool()
    async def test_trigger_tool_change(call: Call, arguments: Any) -> Blocks:
        """Changes the list of tools and announces it."""
        await server.change_tools(call.context.session, is_modern=call.is_modern)
        return "The list of tools has changed."

    @tool()
    async def test_trigger_prompt_change(call: Call, arguments: Any) -> Blocks:
        """Changes the list of prompts and announces it."""
        await server.change_prompts(call.context.session, is_modern=call.is_modern)
        return "The list of prompts has changed."

    @tool()
    async def test_trigger_resource_change(call: Call, arguments: Any) -> Blocks:
        """Announces a change of the watched resource."""
        await server.change_resource()
        return "The watched resource has changed."


def _is_modern(message: JSONRPCMessage | Exception) -> bool:
    if not isinstance(message, JSONRPCRequest):
        return False
    meta = (message.params or {}).get("_meta") or {}
    return message.method == "server/discover" or VERSION_META in meta


async def refuse_modern(read_stream: Any, passed_on: Any, write_stream: Any) -> None:
    """Pass on what a legacy server knows; answer the rest as a server that never heard of it."""
    async with passed_on:
        async for item in read_stream:
            message = item.message if isinstance(item, SessionMessage) else item
            if not _is_modern(message):
                await passed_on.send(item)
                continue
            error = ErrorData(code=METHOD_NOT_FOUND, message="Method not found")
            answer = JSONRPCError(jsonrpc="2.0", id=message.id, error=error)
            await write_stream.send(SessionMessage(answer))


@attrs.frozen
class LegacyOnly:
    """An ASGI application before which versions unknown to a legacy server end with a 400."""

    app: Any

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it as such servers do."""
        headers = dict(scope.get("headers") or ())
        version = headers.get(b"mcp-protocol-version", b"").decode()
        if not version or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self.app(scope, receive, send)
            return
        from starlette.responses import JSONResponse

        error = {"code": -32000, "message": f"Bad Request: Unsupported protocol version: {version}"}
        answer = {"jsonrpc": "2.0", "id": "server-error", "error": error}
        await JSONResponse(answer, status_code=400)(scope, receive, send)


class Events(EventStore):
    """The events of all streams, for clients that come back.

    The official package loses what is stored after a replay and before the stream is live again;
    an event that would fall into that gap waits here until it is over.
    """

    def __init__(self) -> None:
        self._events: list[tuple[str, str, JSONRPCMessage | None]] = []
        self._numbers = itertools.count(1)
        self._live_at: dict[str, float] = {}

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep an event and return its id."""
        if message is not None:
            await anyio.sleep_until(self._live_at.get(stream_id, 0))
        number = str(next(self._numbers))
        self._events.append((stream_id, number, message))
        return number

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send what came on the same stream after an event; return the stream's id."""
        found = [stream for stream, number, _ in self._events if number == last_event_id]
        for stream, number, message in self._events if found else ():
            after = int(number) > int(last_event_id)
            if stream == found[0] and after and message is not None:
                await send_callback(EventMessage(message, number))
        if found:
            self._live_at[found[0]] = anyio.current_time() + LIVE_AFTER_SECONDS
        return found[0] if found else None


async def serve_stdio(server: Everything) -> None:
    """Serve one client over the pipes of the process."""
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


async def serve_app(app: Any, port: int) -> None:
    """Serve an ASGI application until the process is ended."""
    import uvicorn

    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    await uvicorn.Server(config).serve()


async def serve_http(server: Everything, port: int) -> None:
    """Serve Streamable HTTP at /mcp."""
    app: Any = server.streamable_http_app(event_store=Events(), retry_interval=RETRY_MILLISECONDS)
    await serve_app(LegacyOnly(app) if server.legacy else app, port)


async def serve_sse(server: Everything, port: int) -> None:
    """Serve the transport of 2024-11-05 at /sse."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def connect(request: Request) -> Response:
        streams = transport.connect_sse(request.scope, request.receive, request._send)
        async with streams as (read_stream, write_stream):
            options = server.create_initialization_options()
            await server.run(read_stream, write_stream, options)
        return Response()

    routes = [Route("/sse", connect), Mount("/messages/", app=transport.handle_post_message)]
    await serve_app(Starlette(routes=routes), port)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("transport", choices=("stdio", "http", "sse"))
    parser.add_argument("--port", type=int, default=3902)
    parser.add_argument("--legacy", action="store_true", help="know no modern requests")
    flags = parser.parse_args()
    # What newer revisions deprecate is still part of the older ones.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server = Everything(legacy=flags.legacy)
    offer_changes(server)
    serve = {
        "stdio": partial(serve_stdio, server),
        "http": partial(serve_http, server, flags.port),
        "sse": partial(serve_sse, server, flags.port),
    }
    anyio.run(serve[flags.transport])


if __name__ == "__main__":
    main()
