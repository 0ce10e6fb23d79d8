"""The older transport: a stream to listen on, and an address to post to."""

from __future__ import annotations

import trio

from tests.front.http.support import Client, Served, call, serving, to_bytes, tool
from tests.support.patience import PATIENCE


async def listen(served: Served, path: str = "/sse") -> tuple[Client, str]:
    """Open the stream; return the client and the address to post to."""
    client = await served.connect()
    assert 200 == (await client.listen(path=path)).status
    event = await client.event()
    assert event is not None
    assert "endpoint" == event.event
    return client, event.data


async def test_answers_come_on_the_stream() -> None:
    """The first event is the URL to post to; posts get 202, answers come on the stream."""
    async with serving() as served:
        listener, address = await listen(served)
        poster = await served.connect()
        start = call("initialize", {"capabilities": {}}, request_id="i")
        assert 202 == (await poster.post(start, path=address)).status
        assert "i" == (await listener.message())["id"]
        message = tool("progress", {"steps": 2}, request_id=1, token="t")
        assert 202 == (await poster.post(message, path=address)).status

        assert 0 == (await listener.message())["params"]["progress"]
        assert 1 == (await listener.message())["params"]["progress"]
        assert {"steps": 2} == (await listener.message())["result"]


async def test_questions_and_cancellations_go_both_ways() -> None:
    """The server asks on the stream; a cancelled call gets no answer and the stream goes on."""
    async with serving() as served:
        listener, address = await listen(served, "/sse/calm")
        poster = await served.connect()
        await poster.post(tool("ask", request_id=1), path=address)
        question = await listener.message()
        await poster.post({"jsonrpc": "2.0", "id": question["id"], "result": {}}, path=address)
        assert {"answer": {}} == (await listener.message())["result"]
        await poster.post(tool("wait", request_id=2), path=address)
        await served.gateway_api.started.wait()
        cancel = {"method": "notifications/cancelled", "params": {"requestId": 2}}
        await poster.post({"jsonrpc": "2.0", **cancel}, path=address)
        await poster.post(tool("echo", request_id=3), path=address)

        assert 3 == (await listener.message())["id"]
        assert 1 == len(served.gateway_api.cancelled)


async def test_refuses_what_does_not_fit() -> None:
    """Unknown sessions, methods, bodies and servers get their status."""
    async with serving() as served:
        listener, address = await listen(served)
        client = await served.connect()

        assert 404 == (await client.post(tool("echo"), path="/messages?sessionId=forged")).status
        assert 404 == (await client.post(tool("echo"), path="/messages")).status
        assert 405 == (await client.request("GET", "/messages")).status
        assert 405 == (await client.request("POST", "/sse", b"{}")).status
        assert 406 == (await client.request("GET", "/sse", headers={"Accept": "a/b"})).status
        assert 404 == (await client.request("GET", "/sse/clam")).status
        assert 400 == (await client.request("POST", address, b"nonsense")).status
        assert 400 == (await client.request("POST", address, b'{"id":1}')).status
        assert (
            415
            == (await client.request("POST", address, b"{}", {"Content-Type": "text/plain"})).status
        )
        await client.post(tool("wait", request_id=1), path=address)
        assert 400 == (await client.post(tool("echo", request_id=1), path=address)).status
        assert 1 == len(served.app.sse)
        await listener.aclose()


async def test_a_session_ends_with_its_stream() -> None:
    """A client that closes the stream ends the session and what runs in it."""
    async with serving() as served:
        listener, address = await listen(served)
        poster = await served.connect()
        await poster.request("POST", address, to_bytes(tool("wait")))
        await served.gateway_api.started.wait()
        await listener.aclose()
        with trio.fail_after(PATIENCE):
            while not served.gateway_api.ended:
                await trio.lowlevel.checkpoint()

        assert 404 == (await poster.post(tool("echo"), path=address)).status
        assert 1 == len(served.gateway_api.cancelled)


async def test_the_stream_ends_when_its_calls_are_answered() -> None:
    """At the shutdown calls in flight are answered, then the stream ends properly."""
    async with serving(shutdown_grace=10 * PATIENCE) as served:
        listener, address = await listen(served)
        poster = await served.connect()
        await poster.post(tool("wait"), path=address)
        await served.gateway_api.started.wait()
        served.shutdown.set()
        await trio.testing.wait_all_tasks_blocked()
        served.gateway_api.go_on.set()

        assert {"waited": {}} == (await listener.message())["result"]
        assert await listener.event() is None
        with trio.fail_after(PATIENCE):
            await served.over.wait()
