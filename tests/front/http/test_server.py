"""Listening and ending: addresses, orderly shutdown, nothing left behind."""

from __future__ import annotations

import gc

import pytest
import trio

from mcpgw.front.http.app import make_app
from mcpgw.front.http.event_buffer import EventBuffer
from mcpgw.front.http.server import CannotListen, PortTaken, serve
from mcpgw.front.http.session_channel import SessionChannel
from mcpgw.front.http.settings import HttpSettings
from tests.front.http.support import FakeGateway, call, serving, tool
from tests.support.patience import PATIENCE


class TestListening:
    async def test_takes_any_free_port_for_0(self) -> None:
        """Port 0 is replaced by the one that the system chose."""
        async with serving() as served:
            assert served.address.port > 0
            assert f"http://127.0.0.1:{served.address.port}" == str(served.address)

    async def test_says_that_a_port_is_taken(self) -> None:
        """A port in use is a clear error with advice."""
        async with serving() as served:
            app = make_app(served.gateway_api, HttpSettings())
            port = served.address.port
            with pytest.raises(PortTaken) as caught:
                await serve(app, host="127.0.0.1", port=port, settings=HttpSettings())

            assert str(port) in str(caught.value)
            assert "--port" in str(caught.value)

    async def test_says_that_an_address_is_not_ours(self) -> None:
        """An address of another machine is a clear error too."""
        async with trio.open_nursery() as nursery:
            app = make_app(FakeGateway(nursery), HttpSettings())
            with pytest.raises(CannotListen) as caught:
                await serve(app, host="203.0.113.7", port=0, settings=HttpSettings())

            assert "203.0.113.7" in str(caught.value)
            assert not isinstance(caught.value, PortTaken)


class TestShutdown:
    async def test_ends_streams_properly(self) -> None:
        """Standalone streams end with the last chunk, not with a broken connection."""
        async with serving(shutdown_grace=10 * PATIENCE) as served:
            client = await served.connect()
            await client.initialize()
            await client.listen()
            await client.event()
            served.shutdown.set()

            assert await client.event() is None
            with trio.fail_after(PATIENCE):
                await served.over.wait()
            assert 1 == served.gateway_api.ended

    async def test_lets_calls_in_flight_finish(self) -> None:
        """A call that is under way is answered, and its stream ends after it."""
        async with serving(shutdown_grace=10 * PATIENCE) as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("wait"))
            served.shutdown.set()
            await trio.testing.wait_all_tasks_blocked()
            served.gateway_api.go_on.set()

            assert {"waited": {}} == (await client.message())["result"]
            assert await client.event() is None
            with trio.fail_after(PATIENCE):
                await served.over.wait()

    async def test_ends_properly_what_takes_too_long(self) -> None:
        """After its grace a call is given up with an error, and its stream ends as it should."""
        async with serving(shutdown_grace=0.05) as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("wait"))
            assert "" == (await client.event()).data  # type: ignore[union-attr]
            served.shutdown.set()

            assert "cut off" in (await client.message())["error"]["message"]
            assert await client.event() is None
            with trio.fail_after(PATIENCE):
                await served.over.wait()

    async def test_refuses_new_requests(self) -> None:
        """Idle connections close, new ones are refused."""
        async with serving() as served:
            idle, busy = await served.connect(), await served.connect()
            assert 200 == (await idle.request("GET", "/health")).status
            await busy.initialize()
            await busy.start(tool("wait"))
            served.shutdown.set()

            assert b"" == bytes(await idle.stream.receive_some())
            with pytest.raises(OSError, match="failed"):
                await served.connect()
            served.gateway_api.go_on.set()
            assert {"waited": {}} == (await busy.message())["result"]


async def test_sessions_that_come_and_go_leave_nothing_behind() -> None:
    """After many sessions none of their objects and tasks is left."""
    async with serving() as served:
        for _ in range(30):
            client = await served.connect()
            await client.initialize()
            await client.post(tool("progress", {"steps": 2}, token=1))
            await client.start(tool("progress", {"steps": 1, "wait": True}, token=1))
            await client.message()
            await client.aclose()
            other = await served.connect()
            other.session = client.session
            assert 204 == (await other.request("DELETE")).status
            await other.aclose()
        served._clients.clear()
        with trio.fail_after(PATIENCE):
            while served.gateway_api.ended < 30:
                await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        served.gateway_api.peers.clear()
        served.gateway_api.served.clear()
        served.gateway_api.cancelled.clear()
        gc.collect()
        left = [
            each for each in gc.get_objects() if isinstance(each, (SessionChannel, EventBuffer))
        ]

        assert 0 == len(served.app.endpoint.sessions)
        assert [] == left


async def test_a_crash_of_an_application_ends_one_request() -> None:
    """An error in a handler gives 500 to its client and affects no other."""
    async with serving() as served:
        served.app.endpoint.stateless = None  # type: ignore[assignment]
        client = await served.connect()
        reply = await client.post(call("ping"), {"MCP-Protocol-Version": "2026-07-28"})

        assert 500 == reply.status
        again = await served.connect()
        assert 200 == (await again.request("GET", "/health")).status
