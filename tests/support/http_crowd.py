"""Many clients of one gateway at once: sessions in waves, and readers that do not read."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from tests.support.patience import PATIENCE

from .lasting_gateway import LastingGateway
from .processes import open_descriptors
from .raw_http import EVENTS_FIRST, LATEST, Connection, McpClient, Message


@attrs.frozen
class Footprint:
    """Resources of a gateway: resident bytes, open descriptors, known sessions."""

    rss: int
    descriptors: int
    sessions: int

    def __str__(self) -> str:
        return f"{self.rss / 1e6:.1f} MB, {self.descriptors} descriptors, {self.sessions} sessions"


async def session_count(port: int) -> int:
    """Return how many sessions the gateway knows, without the one that asks."""
    async with McpClient(port) as client:
        await client.initialize()
        report = await client.tool("gateway_cost_report")
        count: int = report["structuredContent"]["aggregate"]["session_count"]
        await client.end()
        return count - 1


async def footprint(gateway: LastingGateway, *, settle: float = PATIENCE) -> Footprint:
    """Return what the gateway holds once no session of ours is left, or `settle` has passed.

    A session that asks is opened and ended for it, and its connection closed before the count.
    """
    with trio.move_on_after(settle):
        while await session_count(gateway.port):  # noqa: ASYNC110 - it is another process's
            await trio.sleep(0.2)
    sessions = await session_count(gateway.port)
    await steady(lambda: open_descriptors(gateway.pid))
    return Footprint(gateway.rss(), open_descriptors(gateway.pid), sessions)


async def steady(look: Callable[[], int], *, rest: float = 0.3, patience: float = 5.0) -> None:
    """Wait until a figure has not changed for a while."""
    with trio.move_on_after(patience):
        before = None
        while before != (before := look()):  # noqa: ASYNC110 - the kernel tells nobody
            await trio.sleep(rest)


# -- sessions ----------------------------------------------------------------------------------


async def http_session(port: int, path: str, *, number: int) -> None:
    """Open a session, make one request, and end it (by DELETE) or leave it, in turns."""
    async with McpClient(port, path) as client:
        await client.initialize()
        if number % 4 < 2:
            assert (await client.request("tools/list"))["tools"]
        elif path == "/mcp":
            result = await client.invoke("one", "echo", {"text": str(number)})
            assert str(number) == result["content"][0]["text"]
        else:
            result = await client.tool("echo", {"text": str(number)})
            assert str(number) == result["content"][0]["text"]
        if number % 2 == 0:
            status = await client.end()
            assert 204 == status, status


async def websocket_session(port: int, path: str, *, number: int) -> None:
    """Open a session over a WebSocket, make one request, and close it or just let it drop."""
    from trio_websocket import open_websocket

    # Were its queue full of notifications that nobody reads when the line drops, the library
    # would wait for ever.
    async with open_websocket(
        "127.0.0.1",
        port,
        path,
        use_ssl=False,
        subprotocols=["mcp"],
        message_queue_size=100,
    ) as socket:

        async def request(method: str, params: Message) -> Message:
            message = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
            await socket.send_message(json.dumps(message))
            while True:
                answer: Message = json.loads(await socket.get_message())
                if answer.get("id") == method:
                    result: Message = answer["result"]
                    return result

        about = {"name": "raw", "version": "1"}
        hello = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": about}
        await request("initialize", hello)
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await socket.send_message(json.dumps(ready))
        assert (await request("tools/list", {}))["tools"]
        if number % 2:
            await trio.aclose_forcefully(socket._stream)


async def waves(
    run: Callable[..., Awaitable[None]],
    port: int,
    path: str,
    count: int,
    *,
    at_once: int = 50,
    pause: float = 0.0,
    told: Callable[[int], None] | None = None,
) -> None:
    """Run so many sessions, `at_once` of them in each wave, and rest after each.

    So at any time about as many are left that have not expired yet.
    """
    for start in range(0, count, at_once):
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for number in range(start, min(start + at_once, count)):

                    async def one(number: int) -> None:
                        await run(port, path, number=number)

                    nursery.start_soon(one, number)
        await trio.sleep(pause)
        if told is not None:
            told(min(start + at_once, count))


# -- readers that do not read --------------------------------------------------------------------


@attrs.define(eq=False)
class SlowReader:
    """A client that asks for much and reads none of it."""

    client: McpClient
    connection: Connection
    request: Message | None = None
    """Its request, if it was sent by POST."""


SMALL_BUFFER = 4096


async def slow_poster(port: int, tool: str, arguments: Message) -> SlowReader:
    """Begin a call whose progress comes as a long stream, and read nothing of it."""
    client = McpClient(port)
    await client.initialize()
    await client.aclose()
    connection = await Connection.open(port, receive_buffer=SMALL_BUFFER)
    given = {"server": "one", "tool": tool, "arguments": arguments}
    params = {"name": "gateway_invoke", "arguments": given, "_meta": {"progressToken": "slow"}}
    request = client.compose("tools/call", params)
    body = json.dumps(request).encode()
    await connection.begin("POST", "/mcp", client.headers(EVENTS_FIRST), body)
    return SlowReader(client, connection, request)


async def slow_listener(port: int) -> SlowReader:
    """Open the stream of a session by GET, and read nothing of it but its head."""
    client = McpClient(port)
    await client.initialize()
    await client.aclose()
    connection = await Connection.open(port, receive_buffer=SMALL_BUFFER)
    headers = client.headers("text/event-stream")
    del headers["Content-Type"]
    await connection.begin("GET", "/mcp", headers)
    head = await connection.head()
    assert 200 == head.status, head
    return SlowReader(client, connection)


@asynccontextmanager
async def slow_readers(
    begin: Sequence[Callable[[], Awaitable[SlowReader]]],
) -> AsyncIterator[list[SlowReader]]:
    """Begin readers, a few at a time, and close them at the end."""
    readers: list[SlowReader] = []
    try:
        for start in range(0, len(begin), 10):
            async with trio.open_nursery() as nursery:
                for each in begin[start : start + 10]:

                    async def one(each: Callable[[], Awaitable[SlowReader]]) -> None:
                        readers.append(await each())

                    nursery.start_soon(one, each)
        yield readers
    finally:
        with trio.CancelScope(shield=True):
            for reader in readers:
                await reader.connection.aclose()


async def call_times(client: McpClient, count: int) -> list[float]:
    """Make calls one after the other and return the seconds that each took, sorted."""
    times = []
    for number in range(count):
        began = time.perf_counter()
        result = await client.invoke("two", "echo", {"text": str(number)})
        times.append(time.perf_counter() - began)
        assert str(number) == result["content"][0]["text"], result
    return sorted(times)


async def memory(gateway: LastingGateway, *, task_status: trio.TaskStatus[list[int]]) -> None:
    """Keep the highest resident size in a list of one; a task, until cancelled."""
    highest = [gateway.rss()]
    task_status.started(highest)
    while True:
        await trio.sleep(0.1)
        highest[0] = max(highest[0], gateway.rss())
