"""Thin proxy, between a client and servers in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from mcpgw.gateway.proxy import HOLD, Proxy
from mcpgw.protocol.channel import Failed
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, INVALID_REQUEST, ConnectionLost
from tests.support.memory import MemoryChannel, channel_pair
from tests.support.patience import PATIENCE

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}

Says = Callable[["Server", dict[str, Any]], None]


@attrs.define(eq=False)
class Server:
    """A network channel to a server that handles each message with a function."""

    says: Says
    ending: str = ""
    expired: bool = False
    heard: list[dict[str, Any]] = attrs.field(factory=list)
    _sender: Any = None
    _receiver: Any = None

    def __attrs_post_init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[Any](100)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    async def receive(self) -> Any:
        return await self._receiver.receive()

    async def send(self, message: dict[str, Any], **_options: Any) -> None:
        if self.ending:
            raise trio.BrokenResourceError
        self.heard.append(message)
        self.says(self, message)

    async def aclose(self) -> None:
        self._sender.close()

    def answer(self, message: dict[str, Any], result: Any = None) -> None:
        """Answer a request."""
        self._sender.send_nowait({"jsonrpc": "2.0", "id": message["id"], "result": result or {}})

    def refuse(self, message: dict[str, Any], reason: str) -> None:
        """Answer a request with an error."""
        error = {"code": -32000, "message": reason}
        self._sender.send_nowait({"jsonrpc": "2.0", "id": message["id"], "error": error})

    def die(self, *unsent: dict[str, Any]) -> None:
        """End; the named requests had no effect."""
        self.ending = "connection refused"
        for message in unsent:
            if "id" in message:
                self._sender.send_nowait(
                    Failed(message["id"], ConnectionLost("server", sent=False))
                )
        self._sender.close()

    def forget(self, *unsent: dict[str, Any]) -> None:
        """Drop the session; the named requests had no effect."""
        self.expired, self.ending = True, "the server has forgotten the session"
        for message in unsent:
            lost = ConnectionLost("server", sent=False)
            self._sender.send_nowait(Failed(message["id"], lost))
        self._sender.close()


def obliging(server: Server, message: dict[str, Any]) -> None:
    """Answer everything."""
    if "id" in message:
        server.answer(message, {"of": message["method"]})


@attrs.define(eq=False)
class Bridged:
    """The channel of the client, and the servers that were opened."""

    client: MemoryChannel
    opened: list[Server]
    why: list[str]

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the next received one."""
        await self.client.send(message)
        answer: dict[str, Any] = await self.client.receive()
        return answer


@asynccontextmanager
async def bridged(*lives: Says) -> AsyncIterator[Bridged]:
    """Run a proxy; each new session uses the next function, finally the last one."""
    near, far = channel_pair()
    outcome = Bridged(near, [], [])

    async def open_server() -> Server:
        says = lives[min(len(outcome.opened), len(lives) - 1)]
        outcome.opened.append(Server(says))
        return outcome.opened[-1]

    async def run() -> None:
        outcome.why.append(await Proxy(far, open_server).run())

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield outcome
            near.end()


def forgetting(*, after: int, unsent: bool = True) -> Says:
    """Answer a number of requests, and drop the session at the next."""

    def says(server: Server, message: dict[str, Any]) -> None:
        if "id" not in message:
            return
        if sum("id" in each for each in server.heard) <= after:
            obliging(server, message)
        else:
            server.forget(*([message] if unsent else []))

    return says


async def test_a_lost_session_is_reopened(autojump_clock: Any) -> None:
    """The client's call goes to the new session, after its repeated `initialize`."""
    async with bridged(forgetting(after=1), obliging) as bridge:
        await bridge.ask(INITIALIZE)
        assert {"of": "tools/call"} == (await bridge.ask(CALL))["result"]
    assert ["initialize", "tools/call"] == [each["method"] for each in bridge.opened[1].heard]
    assert [""] == bridge.why


async def test_a_long_life_may_lose_many_sessions(autojump_clock: Any) -> None:
    """The client notices none of them."""
    losses = 9
    async with bridged(forgetting(after=1), *[forgetting(after=2)] * losses) as bridge:
        await bridge.ask(INITIALIZE)
        for number in range(losses):
            assert "result" in await bridge.ask({**CALL, "id": number + 1})
    assert losses <= len(bridge.opened)
    assert [""] == bridge.why


async def test_a_call_that_may_have_had_an_effect_is_answered(autojump_clock: Any) -> None:
    """It is not repeated, and its client gets an error."""
    async with bridged(forgetting(after=1, unsent=False), obliging) as bridge:
        await bridge.ask(INITIALIZE)
        answer = await bridge.ask(CALL)
        assert BACKEND_UNAVAILABLE == answer["error"]["code"]
        assert "dropped the session" in answer["error"]["message"]
        assert "result" in await bridge.ask({**CALL, "id": 2})
    assert [2] == [
        each["id"] for each in bridge.opened[1].heard if each["method"] == CALL["method"]
    ]


async def test_a_refused_new_session(autojump_clock: Any) -> None:
    """A waiting call is answered in time, with the server's reason for the refusal; the proxy goes
    on trying, and a later call succeeds."""

    def refusing(server: Server, message: dict[str, Any]) -> None:
        if trio.current_time() < refused_until:
            server.refuse(message, "no more sessions today")
        else:
            obliging(server, message)

    refused_until = trio.current_time() + 2 * HOLD
    async with bridged(forgetting(after=1), refusing) as bridge:
        await bridge.ask(INITIALIZE)
        began = trio.current_time()
        answer = await bridge.ask(CALL)
        assert "no more sessions today" in answer["error"]["message"]
        assert HOLD <= trio.current_time() - began < HOLD + 5
        await trio.sleep(HOLD)
        assert "result" in await bridge.ask({**CALL, "id": 2})
    assert [""] == bridge.why


async def test_a_server_that_is_away_for_a_while(autojump_clock: Any) -> None:
    """Requests made meanwhile are held; a request in flight is answered at once with an error."""

    def dying(server: Server, message: dict[str, Any]) -> None:
        if message["method"] == "tools/call":
            server.die()
        else:
            obliging(server, message)

    def away(server: Server, message: dict[str, Any]) -> None:
        if trio.current_time() < away_until:
            server.die(message)
        else:
            obliging(server, message)

    away_until = trio.current_time() + 10
    async with bridged(dying, away) as bridge:
        await bridge.ask(INITIALIZE)
        began = trio.current_time()
        answer = await bridge.ask(CALL)
        assert "may have had an effect" in answer["error"]["message"]
        assert trio.current_time() == began
        await bridge.client.send({**CALL, "id": 2})
        await bridge.client.send({**CALL, "id": 3})
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 3}}
        await bridge.client.send({"jsonrpc": "2.0", **cancelled})
        answer = await bridge.ask({**CALL, "id": 4})
        answers = [answer, await bridge.client.receive()]
        assert [2, 4] == [each["id"] for each in answers]
        assert all("result" in each for each in answers)
        assert trio.current_time() - began < 13
    calls = [each["id"] for each in bridge.opened[-1].heard if each["method"] == "tools/call"]
    assert [2, 4] == calls
    assert [""] == bridge.why


async def test_a_server_that_never_answered_ends_it(autojump_clock: Any) -> None:
    """There is nothing to wait for if the address is wrong from the start."""

    def dead(server: Server, message: dict[str, Any]) -> None:
        server.die(message)

    async with bridged(dead) as bridge:
        answer = await bridge.ask(INITIALIZE)
        assert "refused" in answer["error"]["message"]
    assert ["connection refused"] == bridge.why


@pytest.mark.parametrize("bad", [[], {}, True, 1.5])
async def test_an_invalid_id(bad: Any, autojump_clock: Any) -> None:
    """It is refused, and later messages are still forwarded."""
    async with bridged(obliging) as bridge:
        answer = await bridge.ask({**CALL, "id": bad})
        assert INVALID_REQUEST == answer["error"]["code"]
        assert "result" in await bridge.ask(CALL)
