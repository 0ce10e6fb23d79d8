"""A server on its own port, a gateway of simple peers behind it, and a small raw client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import h11
import trio

from mcpgw.front.http.app import HttpApp, make_app
from mcpgw.front.http.gateway_api import HealthReport, NoSuchTarget
from mcpgw.front.http.server import Address, serve
from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.mcp import CAPABILITIES_META, MODERN_VERSION, SUBSCRIPTION_META, VERSION_META
from mcpgw.protocol.peer import Params, Peer, Request
from mcpgw.transports.sse_codec import Event, EventParser

LATEST = "2025-11-25"
BOTH = "application/json, text/event-stream"


@attrs.define(eq=False)
class FakeGateway:
    """A gateway with a peer for each session; the tools' names say what they do."""

    __test__ = False

    nursery: trio.Nursery
    peers: list[Peer] = attrs.field(factory=list)
    principals: list[str] = attrs.field(factory=list)
    ended: int = 0
    notified: list[tuple[str, Params]] = attrs.field(factory=list)
    served: list[Request] = attrs.field(factory=list)
    cancelled: list[Params] = attrs.field(factory=list)
    go_on: trio.Event = attrs.field(factory=trio.Event)
    started: trio.Event = attrs.field(factory=trio.Event)
    tools: dict[str, Mapping[str, Any]] = attrs.field(factory=dict)
    report: HealthReport = attrs.field(factory=lambda: HealthReport(True, "1.2.3", 2, True))

    async def open(
        self, channel: Any, target: str | None, principal: str, *, stateless: bool = False
    ) -> None:
        if target not in (None, "calm"):
            raise NoSuchTarget(str(target), ("calm",))
        peer = Peer(
            channel,
            "client",
            serve=self._serve,
            immediate={} if stateless else {"initialize": self._initialize, "ping": lambda _: {}},
            notified=lambda method, params, _about: self.notified.append((method, params)),
            answer_malformed=True,
            end_grace=2.0,
        )
        self.peers.append(peer)
        self.principals.append(principal)
        await self.nursery.start(self._run, peer)

    async def _run(self, peer: Peer, *, task_status: Any) -> None:
        await peer.run(task_status=task_status)
        self.ended += 1

    def tool(self, target: str | None, name: str) -> Mapping[str, Any] | None:
        return self.tools.get(name)

    def loop(self, chain: str, target: str | None) -> str:
        return f"{target} leads back" if "s-" in chain else ""

    def health(self) -> HealthReport:
        return self.report

    def _initialize(self, params: Params) -> Params:
        if params.get("capabilities") is None:
            raise RpcError(INVALID_PARAMS, "'capabilities' is an object")
        version = params.get("protocolVersion", LATEST)
        self.peers[-1].accepts_batches = version == "2025-03-26"
        return {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "calm"}}

    async def _serve(self, request: Request) -> Params:
        self.served.append(request)
        name = request.params.get("name") if request.method == "tools/call" else request.method
        act = getattr(self, f"do_{str(name).replace('/', '_')}", None)
        if act is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {name}")
        try:
            return await act(request, request.params.get("arguments") or {})  # type: ignore[no-any-return]
        except trio.Cancelled:
            self.cancelled.append(request.params)
            raise

    async def do_echo(self, _request: Request, arguments: Params) -> Params:
        return {"said": arguments}

    async def do_wait(self, _request: Request, arguments: Params) -> Params:
        self.started.set()
        await self.go_on.wait()
        return {"waited": arguments}

    async def do_progress(self, request: Request, arguments: Params) -> Params:
        """Send progress, waiting for permission after each step if asked to, and answer."""
        for step in range(arguments["steps"]):
            request.send_progress({"progress": step})
            await trio.lowlevel.checkpoint()
        if arguments.get("wait"):
            self.started.set()
            await self.go_on.wait()
        return {"steps": arguments["steps"]}

    async def do_flood(self, request: Request, arguments: Params) -> Params:
        """Report much without rest, then wait."""
        text = "x" * arguments["size"]
        for step in range(arguments["times"]):
            request.send_progress({"progress": step, "message": text})
            await trio.lowlevel.checkpoint()
        self.started.set()
        await self.go_on.wait()
        return {}

    async def do_ask(self, request: Request, _arguments: Params) -> Params:
        answer = await request.peer.request(
            "sampling/createMessage", {"maxTokens": 1}, about=request.id
        )
        return {"answer": answer}

    async def do_infinite(self, _request: Request, _arguments: Params) -> Params:
        return {"number": float("inf")}

    async def do_fail(self, _request: Request, arguments: Params) -> Params:
        raise RpcError(arguments["code"], "as you wish", arguments.get("data"))

    async def do_subscriptions_listen(self, request: Request, _arguments: Params) -> Params:
        meta = {"_meta": {SUBSCRIPTION_META: request.id}}
        request.peer.notify("notifications/subscriptions/acknowledged", meta, about=request.id)
        self.started.set()
        await request.peer.ending.wait()
        return {"resultType": "complete", **meta}


@attrs.define(eq=False)
class Served:
    """A running server and its gateway."""

    app: HttpApp
    gateway_api: FakeGateway
    address: Address
    shutdown: trio.Event
    over: trio.Event
    _clients: list[Client] = attrs.field(factory=list)

    async def connect(self) -> Client:
        """Return a client with a connection of its own, which is closed at the end."""
        stream = await trio.open_tcp_stream(self.address.host, self.address.port)
        client = Client(stream, f"{self.address.host}:{self.address.port}")
        self._clients.append(client)
        return client

    async def aclose(self) -> None:
        """Close all clients."""
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Served]:
    """Serve while the block runs."""
    settings.setdefault("answer_wait", 0.02)
    http_settings = HttpSettings(**settings)
    async with trio.open_nursery() as nursery:
        gateway_api = FakeGateway(nursery)
        app = make_app(gateway_api, http_settings)
        shutdown, over = trio.Event(), trio.Event()

        async def run(*, task_status: Any) -> None:
            await serve(
                app,
                host="127.0.0.1",
                port=0,
                settings=http_settings,
                shutdown=shutdown,
                task_status=task_status,
            )
            over.set()

        address = await nursery.start(run)
        served = Served(app, gateway_api, address, shutdown, over)
        try:
            yield served
        finally:
            await served.aclose()
            nursery.cancel_scope.cancel()


@attrs.define
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """The code of the JSON-RPC error."""
        return int(self.json["error"]["code"])

    @property
    def events(self) -> list[Event]:
        """The body as events."""
        return EventParser().feed(self.body)


@attrs.define(eq=False)
class Client:
    """One connection that speaks HTTP/1.1 by hand."""

    stream: trio.SocketStream
    host: str
    session: str | None = None
    version: str | None = LATEST
    _http: h11.Connection = attrs.field(factory=partial(h11.Connection, h11.CLIENT))
    _parser: EventParser = attrs.field(factory=EventParser)
    _events: list[Event] = attrs.field(factory=list)

    async def aclose(self) -> None:
        """Close the connection without a word."""
        await self.stream.aclose()

    # -- HTTP ------------------------------------------------------------------------------

    async def send(
        self,
        method: str,
        path: str = "/mcp",
        body: bytes = b"",
        headers: Mapping[str, str | None] | None = None,
    ) -> None:
        """Send a request; a header of None is left out."""
        merged: dict[str, str | None] = {"Host": self.host, "Accept": BOTH}
        if body or method == "POST":
            merged["Content-Type"] = "application/json"
            merged["Content-Length"] = str(len(body))
        if self.session is not None:
            merged["Mcp-Session-Id"] = self.session
            merged["MCP-Protocol-Version"] = self.version
        merged |= headers or {}
        head = [(name, value) for name, value in merged.items() if value is not None]
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        request = h11.Request(method=method, target=path, headers=head)
        data = self._http.send(request)
        await self.stream.send_all(
            (data or b"") + (self._http.send(h11.Data(data=body)) or b"" if body else b"")
        )
        end = self._http.send(h11.EndOfMessage())
        if end:
            await self.stream.send_all(end)

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            self._http.receive_data(bytes(data))
        return event

    async def head(self) -> Reply:
        """Return the answer's status and headers; its body is empty so far."""
        response = await self._next()
        while isinstance(response, h11.InformationalResponse):
            response = await self._next()
        assert isinstance(response, h11.Response), response
        headers = {name.decode(): value.decode() for name, value in response.headers}
        return Reply(response.status_code, headers, b"")

    async def reply(self) -> Reply:
        """Return the whole answer."""
        reply = await self.head()
        while isinstance(part := await self._next(), h11.Data):
            reply.body += part.data
        assert isinstance(part, h11.EndOfMessage), part
        return reply

    async def request(
        self,
        method: str,
        path: str = "/mcp",
        body: bytes = b"",
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Send a request and return the whole answer."""
        await self.send(method, path, body, headers)
        return await self.reply()

    async def event(self) -> Event | None:
        """Return the next event of a stream, None at its proper end."""
        while not self._events:
            part = await self._next()
            if isinstance(part, h11.EndOfMessage):
                return None
            assert isinstance(part, h11.Data), part
            self._events.extend(self._parser.feed(bytes(part.data)))
        return self._events.pop(0)

    async def message(self) -> Any:
        """Return the next message of a stream, None at its proper end."""
        while (event := await self.event()) is not None:
            if event.data:
                return json.loads(event.data)
        return None

    # -- MCP ---------------------------------------------------------------------------------

    async def initialize(self, path: str = "/mcp", version: str = LATEST) -> Reply:
        """Begin a session."""
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "raw"}}
        reply = await self.post(call("initialize", params, request_id="init"), path=path)
        self.session = reply.headers.get("mcp-session-id")
        self.version = version
        return reply

    async def post(
        self, message: Any, headers: Mapping[str, str | None] | None = None, path: str = "/mcp"
    ) -> Reply:
        """Post a message and return the whole answer."""
        return await self.request("POST", path, to_bytes(message), headers)

    async def start(self, message: Any, headers: Mapping[str, str | None] | None = None) -> Reply:
        """Post a message and return the head of the answer."""
        await self.send("POST", "/mcp", to_bytes(message), headers)
        return await self.head()

    async def listen(self, last: str | None = None, path: str = "/mcp") -> Reply:
        """Open a stream by GET, or open one again."""
        await self.send("GET", path, headers={"Last-Event-ID": last})
        return await self.head()


def to_bytes(message: Any) -> bytes:
    """Return a message as JSON."""
    return json.dumps(message).encode()


def call(method: str, params: Params | None = None, *, request_id: Any = 1) -> Params:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}


def tool(
    name: str, arguments: Params | None = None, *, request_id: Any = 1, token: Any = None
) -> Params:
    """Return a call of a tool."""
    params: Params = {"name": name, "arguments": arguments or {}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return call("tools/call", params, request_id=request_id)


def modern(message: Params, version: str = MODERN_VERSION) -> Params:
    """Return a request of the stateless era."""
    params = dict(message["params"])
    meta = {VERSION_META: version, CAPABILITIES_META: {}, **params.get("_meta", {})}
    return {**message, "params": {**params, "_meta": meta}}


def modern_headers(message: Params, **more: str | None) -> dict[str, str | None]:
    """Return the headers that such a request has to have."""
    params = message["params"]
    name = params.get("uri") if message["method"] == "resources/read" else params.get("name")
    headers: dict[str, str | None] = {
        "MCP-Protocol-Version": MODERN_VERSION,
        "Mcp-Method": message["method"],
        "Mcp-Name": name,
    }
    return headers | {key.replace("_", "-"): value for key, value in more.items()}


async def exchange(
    address: Address, data: bytes | Iterable[bytes], *, half_close: bool = True
) -> bytes:
    """Send raw bytes on a new connection; return all that comes back until it is closed."""
    parts = [data] if isinstance(data, bytes) else data
    answer = b""
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        try:
            for part in parts:
                await stream.send_all(part)
            if half_close:
                await stream.send_eof()
            async for chunk in stream:
                answer += chunk
        except (trio.BrokenResourceError, OSError):
            pass  # closed on us: what came so far counts
    return answer
