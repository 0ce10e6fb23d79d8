"""A scripted Streamable HTTP server, and a client channel to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from mcpgw.transports.http_client import HttpChannel
from mcpgw.transports.network import Network
from tests.support.patience import PATIENCE

Message = dict[str, Any]
HELLO: Message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
READY: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL: Message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@attrs.define
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@attrs.define(eq=False)
class Answer:
    """A handler's response; `chunks` are sent one by one, `cut` breaks the connection."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = attrs.field(factory=dict)
    chunks: list[bytes] | None = None
    cut: bool = False
    hold: bool = False


Handler = Callable[[Asked], Awaitable[Answer]]


def result(message: Message, **fields: Any) -> Message:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": message["id"], "result": fields}


def event(message: Message | None, number: int | None = None, retry: int | None = None) -> bytes:
    """Return a message as an event."""
    lines = [f"id: {number}"] if number is not None else []
    lines += [f"retry: {retry}"] if retry is not None else []
    lines.append(f"data: {json.dumps(message) if message is not None else ''}")
    return ("\n".join(lines) + "\n\n").encode()


@attrs.define(eq=False)
class Server:
    """A server on a port of its own; `handler` answers, `asked` is what came."""

    handler: Handler
    port: int = 0
    asked: list[Asked] = attrs.field(factory=list)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def heard(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.asked) < count:
            await self._news.park()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        buffer = b""
        async with stream:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = await stream.receive_some()
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (li.partition(":") for li in lines)}
                size = int(headers.get("content-length", 0))
                while len(buffer) < size:
                    buffer += await stream.receive_some()
                body, buffer = buffer[:size], buffer[size:]
                method, path, _ = first.split()
                asked = Asked(method, path, headers, json.loads(body) if body else None)
                self.asked.append(asked)
                self._news.unpark_all()
                try:
                    answer = await self.handler(asked)
                except trio.BrokenResourceError:
                    return
                if not await self._send(stream, answer):
                    return

    async def _send(self, stream: trio.SocketStream, answer: Answer) -> bool:
        lines = [f"HTTP/1.1 {answer.status} Reason"]
        headers = dict(answer.headers)
        body = b""
        if answer.chunks is not None:
            headers |= {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        else:
            body = answer.body if isinstance(answer.body, bytes) else b""
            if isinstance(answer.body, (dict, list)):
                body = json.dumps(answer.body).encode()
                headers.setdefault("content-type", "application/json")
            headers["content-length"] = str(len(body))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        for chunk in answer.chunks or ():
            await stream.send_all(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if answer.hold:
            await stream.receive_some()
            return False
        if answer.cut:
            return False
        if answer.chunks is not None:
            await stream.send_all(b"0\r\n\r\n")
        return True


@asynccontextmanager
async def talking(handler: Handler, **options: Any) -> AsyncIterator[tuple[Server, HttpChannel]]:
    """Run a server and a channel to it."""
    server = Server(handler)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server.serve, 0)
        server.port = listeners[0].socket.getsockname()[1]
        channel = HttpChannel(
            name="one", url=options.pop("url", server.url), network=Network({}), **options
        )
        await nursery.start(channel.run)
        with trio.fail_after(PATIENCE):
            yield server, channel
        nursery.cancel_scope.cancel()


async def greeting(asked: Asked) -> Answer:
    """Begin a session, have no stream of our own, and answer calls."""
    if asked.method != "POST":
        return Answer(405)
    if asked.body.get("method") == "initialize":
        answer = result(asked.body, protocolVersion="2025-11-25", capabilities={})
        return Answer(body=answer, headers={"Mcp-Session-Id": "s-1"})
    if "id" not in asked.body:
        return Answer(202)
    return Answer(body=result(asked.body, ok=True))


async def greet(channel: HttpChannel) -> None:
    """Shake hands."""
    await channel.send(HELLO)
    assert 1 == (await channel.receive())["id"]  # type: ignore[index, call-overload]
    await channel.send(READY)
