"""HTTP/1.1 and MCP by hand, without anything of the gateway's own: for tests from outside.

`Connection` is one TCP connection, `McpClient` a session over one, and `ResumingClient` a
session whose answers are read over as many connections as it takes.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import attrs
import h11
import trio

Message = dict[str, Any]
LATEST = "2025-11-25"
BOTH = "application/json, text/event-stream"
EVENTS_FIRST = "text/event-stream, application/json"


class Cut(Exception):
    """The connection ended before the answer was whole."""


@attrs.define
class Answer:
    """A whole answer, or its head alone."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def is_stream(self) -> bool:
        """True if the body is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


@attrs.frozen
class Event:
    """An event of a stream; `data` is None where it had none at all."""

    id: str | None
    data: str | None
    retry: int | None


@attrs.define
class Events:
    """Cuts a stream into events, each known when its blank line came; lines end by LF or CRLF."""

    _rest: bytes = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        data = self._rest + data
        whole = data.removesuffix(b"\r")
        *blocks, rest = whole.replace(b"\r\n", b"\n").split(b"\n\n")
        self._rest = rest + data[len(whole) :]
        found = []
        for block in blocks:
            fields: dict[str, list[str]] = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
            fields.pop("", None)  # comments
            if fields:
                found.append(
                    Event(
                        fields["id"][-1] if "id" in fields else None,
                        "\n".join(fields["data"]) if "data" in fields else None,
                        int(fields["retry"][-1]) if "retry" in fields else None,
                    )
                )
        return found


@attrs.define(eq=False)
class Connection:
    """One TCP connection that speaks HTTP/1.1."""

    stream: trio.SocketStream
    host: str
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int | None = None) -> Connection:
        """Connect to this machine; `receive_buffer` makes the system take little unread.

        Raises:
          Cut: there is no listener, or the connection is closed at once.
        """
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await sock.connect(("127.0.0.1", port))
            return cls(trio.SocketStream(sock), f"127.0.0.1:{port}")
        except OSError as error:
            sock.close()
            raise Cut(str(error)) from None
        except BaseException:
            sock.close()
            raise

    async def aclose(self) -> None:
        """Close it without a word."""
        await trio.aclose_forcefully(self.stream)

    async def begin(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Send a request.

        Raises:
          Cut: the connection has ended.
        """
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        head = {"Host": self.host, **(headers or {})}
        if body or method == "POST":
            head["Content-Length"] = str(len(body))
        data = self._http.send(h11.Request(method=method, target=path, headers=list(head.items())))
        if body:
            data = (data or b"") + (self._http.send(h11.Data(data=body)) or b"")
        data = (data or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut(str(error)) from None

    async def head(self) -> Answer:
        """Return the head of the answer.

        Raises:
          Cut: the connection has ended.
        """
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise Cut(repr(event))
        headers = {name.decode(): value.decode() for name, value in event.headers}
        return Answer(event.status_code, headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it comes, to its proper end.

        Raises:
          Cut: the connection has ended before that.
        """
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Cut(repr(event))
            yield bytes(event.data)

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request and return the whole answer.

        Raises:
          Cut: the connection has ended before that.
        """
        await self.begin(method, path, headers, body)
        answer = await self.head()
        answer.body = b"".join([chunk async for chunk in self.chunks()])
        return answer

    async def _next(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(bytes(await self.stream.receive_some()))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut(str(error)) from None
        except h11.RemoteProtocolError as error:
            raise Cut(str(error)) from None
        return event


class Refused(Exception):
    """An unsuccessful answer; its arguments are the status and the body."""


@attrs.define(eq=False)
class McpClient:
    """A session of the handshake revisions over one connection, which it opens when needed."""

    port: int
    path: str = "/mcp"
    session: str | None = None
    notified: list[Message] = attrs.field(factory=list)
    """The notifications that came on the streams of its requests."""
    _connection: Connection | None = None
    _last: int = 0
    """The id of its last request."""

    async def __aenter__(self) -> McpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, not the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def connection(self, *, receive_buffer: int | None = None) -> Connection:
        """Return the connection; open one if there is none."""
        if self._connection is None:
            self._connection = await Connection.open(self.port, receive_buffer=receive_buffer)
        return self._connection

    def headers(self, accept: str = BOTH) -> dict[str, str]:
        """Return the headers of the session's requests."""
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if self.session is not None:
            headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": LATEST}
        return headers

    def compose(self, method: str, params: Message | None = None) -> Message:
        """Return a request with an id of its own."""
        self._last += 1
        return {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params or {}}

    async def post(self, message: Any, accept: str = BOTH) -> Answer:
        """POST a message and return the whole answer."""
        connection = await self.connection()
        body = json.dumps(message).encode()
        return await connection.request("POST", self.path, self.headers(accept), body)

    async def request(self, method: str, params: Message | None = None) -> Message:
        """Send a request and return its result.

        Raises:
          Refused: it was answered by an error, or not at all.
        """
        message = self.compose(method, params)
        answer = await self.post(message)
        if answer.status != 200:
            raise Refused(answer.status, answer.body)
        if answer.headers.get("mcp-session-id"):
            self.session = answer.headers["mcp-session-id"]
        told = (
            [json.loads(event.data) for event in Events().feed(answer.body) if event.data]
            if answer.is_stream
            else [answer.json]
        )
        for each in told:
            if "result" in each and each["id"] == message["id"]:
                result: Message = each["result"]
                return result
            if "error" in each:
                raise Refused(answer.status, each["error"])
            self.notified.append(each)
        raise Refused(answer.status, told)

    async def notify(self, method: str) -> None:
        """Send a notification."""
        answer = await self.post({"jsonrpc": "2.0", "method": method})
        if answer.status != 202:
            raise Refused(answer.status, answer.body)

    async def initialize(self) -> Message:
        """Begin the session."""
        about = {"name": "raw", "version": "1"}
        params = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": about}
        result = await self.request("initialize", params)
        await self.notify("notifications/initialized")
        return result

    async def tool(self, name: str, arguments: Message | None = None) -> Message:
        """Call a tool and return its result."""
        return await self.request("tools/call", {"name": name, "arguments": arguments or {}})

    async def invoke(self, server: str, tool: str, arguments: Message | None = None) -> Message:
        """Call a tool of a server through the gateway's own tool."""
        given = {"server": server, "tool": tool, "arguments": arguments or {}}
        return await self.tool("gateway_invoke", given)

    async def end(self) -> int:
        """End the session by DELETE and return the status."""
        connection = await self.connection()
        answer = await connection.request("DELETE", self.path, self.headers())
        self.session = None
        return answer.status


@attrs.define
class Told:
    """Messages that a request received over all its connections."""

    messages: list[Message] = attrs.field(factory=list)
    connections: int = 1
    last: str | None = None
    """The last event's id."""

    def answered(self, request: Message) -> bool:
        """Tell whether the answer has come."""
        return any(
            each.get("id") == request["id"] and "method" not in each for each in self.messages
        )


class Lost(Exception):
    """An answer was cut before its first event, so no client can resume it."""


@attrs.define(eq=False)
class ResumingClient(McpClient):
    """A client that comes back for the rest of a stream with Last-Event-ID.

    It keeps every event that it gets, so that one that comes twice is seen.
    """

    rest: float = 0.0
    """Seconds before it comes back."""

    async def call(self, request: Message, *, most: int = 2000) -> Told:
        """Send a request and return all that came of it.

        Raises:
          Lost: the connection ended before the first event came.
          Refused: the gateway would not give the rest.
        """
        try:
            connection = await Connection.open(self.port)
        except Cut as cut:
            raise Lost(str(cut)) from None
        try:
            body = json.dumps(request).encode()
            await connection.begin("POST", self.path, self.headers(EVENTS_FIRST), body)
        except Cut as cut:
            await connection.aclose()
            raise Lost(str(cut)) from None
        return await self.go_on(request, connection, most=most)

    async def go_on(self, request: Message, connection: Connection, *, most: int = 2000) -> Told:
        """Return all that comes of a request that was sent on a connection of its own.

        Raises:
          Lost, Refused: as `call` does.
        """
        told = Told()
        try:
            await self._read(connection, told)
        except Cut as cut:
            if told.last is None:
                raise Lost(str(cut)) from None
        finally:
            await connection.aclose()
        while not told.answered(request):
            if told.connections > most:
                raise Refused(0, f"not answered over {most} connections")
            await trio.sleep(self.rest)
            await self._resume(told)
        return told

    async def _resume(self, told: Told) -> None:
        told.connections += 1
        with suppress(Cut):
            connection = await Connection.open(self.port)
            try:
                headers = self.headers("text/event-stream")
                del headers["Content-Type"]
                assert told.last is not None
                await connection.begin("GET", self.path, {**headers, "Last-Event-ID": told.last})
                await self._read(connection, told)
            finally:
                await connection.aclose()

    async def _read(self, connection: Connection, told: Told) -> None:
        head = await connection.head()
        if head.status != 200 or not head.is_stream:
            head.body = b"".join([chunk async for chunk in connection.chunks()])
            raise Refused(head.status, head.body)
        events = Events()
        async for chunk in connection.chunks():
            for event in events.feed(chunk):
                if event.id is not None:
                    told.last = event.id
                if event.data:
                    told.messages.append(json.loads(event.data))


async def exchange(
    port: int, *parts: bytes, half_close: bool = True, quiet: float = math.inf
) -> bytes:
    """Send bytes on a new connection; return what comes back until the other side closes it.

    With `half_close` the sending direction is closed after the parts. After `quiet` seconds
    without data the connection is closed.
    """
    answer = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        try:
            for part in parts:
                await stream.send_all(part)
            if half_close:
                await stream.send_eof()
            while True:
                with trio.move_on_after(quiet):
                    chunk = await stream.receive_some()
                    if chunk:
                        answer += chunk
                        continue
                break
        except (trio.BrokenResourceError, OSError):
            pass  # it was closed while we wrote: what it had said before counts
    return answer
