"""MCP over WebSocket: a frame is a message, a connection is a session."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
)

from tests.front.http.support import Served, call, serving, tool
from tests.support.patience import PATIENCE


@asynccontextmanager
async def connected(
    served: Served, path: str = "/ws", **options: Any
) -> AsyncIterator[WebSocketConnection]:
    url = f"ws://{served.address.host}:{served.address.port}{path}"
    async with open_websocket_url(url, **options) as socket:
        try:
            yield socket
        finally:
            # trio-websocket leaves the socket open where the server closed first.
            await socket._stream.aclose()


async def ask(socket: WebSocketConnection, message: Any) -> Any:
    await socket.send_message(message if isinstance(message, str) else json.dumps(message))
    return json.loads(await socket.get_message())


async def closed(socket: WebSocketConnection) -> int:
    """Return the code that the connection is closed with."""
    with pytest.raises(ConnectionClosed) as caught:
        await socket.get_message()
    assert caught.value.reason is not None
    return int(caught.value.reason.code)


async def test_frames_are_messages() -> None:
    """Requests are answered, notifications and questions come in their order."""
    async with serving() as served, connected(served, "/ws/calm") as socket:
        assert (
            "i"
            == (await ask(socket, call("initialize", {"capabilities": {}}, request_id="i")))["id"]
        )
        assert (
            0 == (await ask(socket, tool("progress", {"steps": 1}, token=1)))["params"]["progress"]
        )
        assert {"steps": 1} == json.loads(await socket.get_message())["result"]
        question = await ask(socket, tool("ask", request_id=2))
        answer = await ask(socket, {"jsonrpc": "2.0", "id": question["id"], "result": {"a": 1}})

        assert {"answer": {"a": 1}} == answer["result"]


async def test_the_subprotocol_is_taken_where_it_is_offered() -> None:
    """`mcp` is accepted among others; a client that offers none gets none."""
    async with serving() as served:
        async with connected(served, subprotocols=["other", "mcp"]) as socket:
            assert "mcp" == socket.subprotocol
        async with connected(served) as socket:
            assert socket.subprotocol is None
        async with connected(served, subprotocols=["other"]) as socket:
            assert socket.subprotocol is None


async def test_what_is_no_json_gets_an_error_and_the_connection_goes_on() -> None:
    """Nonsense is answered with -32700."""
    async with serving() as served, connected(served) as socket:
        assert -32700 == (await ask(socket, "nonsense"))["error"]["code"]
        assert -32600 == (await ask(socket, "[]"))["error"]["code"]
        assert {"said": {}} == (await ask(socket, tool("echo")))["result"]


async def test_binary_frames_are_read_as_text() -> None:
    """A binary frame holds a message or not, like any other; it closes nothing."""
    async with serving() as served, connected(served) as socket:
        await socket.send_message(b"\xff\xfe")
        assert -32700 == json.loads(await socket.get_message())["error"]["code"]
        await socket.send_message(json.dumps(tool("echo")).encode())
        assert {"said": {}} == json.loads(await socket.get_message())["result"]


@pytest.mark.parametrize("text", ["x" * 3000, "é" * 600])
async def test_large_frames_close_it(text: str) -> None:
    """A message over the limit in bytes closes the connection with 1009."""
    async with serving(max_body_size=1000) as served, connected(served) as socket:
        await socket.send_message(text)

        assert 1009 == await closed(socket)


@pytest.mark.parametrize(
    ("settings", "headers", "path", "status"),
    [
        ({}, {"Origin": "http://evil.example.com"}, "/ws", 403),
        ({"bearer_token": "t"}, {}, "/ws", 401),
        ({"bearer_token": "t"}, {"Authorization": "Bearer u"}, "/ws", 401),
        ({}, {}, "/ws/clam", 404),
        ({}, {}, "/other", 404),
        ({"max_sessions": 0}, {}, "/ws", 503),
    ],
)
async def test_strangers_are_refused_before_the_upgrade(
    settings: dict[str, Any], headers: dict[str, str], path: str, status: int
) -> None:
    """Origin, token and address are checked before anything is accepted."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with serving(**settings) as served:
        client = await served.connect()
        reply = await client.request("GET", path, headers={**upgrade, **headers})

        assert status == reply.status
        assert reply.json["error"]["message"]
        assert 0 == len(served.app.sockets)


async def test_the_token_lets_in() -> None:
    """With the token the connection is accepted, for its principal."""
    async with serving(bearer_token="t") as served:
        headers = [("Authorization", "Bearer t"), ("Origin", "http://localhost:1")]
        async with connected(served, extra_headers=headers) as socket:
            assert {"said": {}} == (await ask(socket, tool("echo")))["result"]
            assert ["bearer"] == served.gateway_api.principals


async def test_a_session_ends_with_its_connection() -> None:
    """A client that leaves ends the session; its calls end after their grace."""
    async with serving() as served:
        async with connected(served) as socket:
            await ask(socket, tool("echo"))
        with trio.fail_after(PATIENCE):
            while not served.gateway_api.ended:
                await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()

        assert 0 == len(served.app.sockets)


async def test_the_shutdown_waits_for_answers_and_says_so() -> None:
    """Calls in flight are answered, then the connection is closed with 1001."""
    async with serving(shutdown_grace=10 * PATIENCE) as served, connected(served) as socket:
        await socket.send_message(json.dumps(tool("wait")))
        await served.gateway_api.started.wait()
        served.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        served.gateway_api.go_on.set()

        assert {"waited": {}} == json.loads(await socket.get_message())["result"]
        assert 1001 == await closed(socket)
        with trio.fail_after(PATIENCE):
            await served.over.wait()
