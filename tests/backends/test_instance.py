"""Instances that are ended, stopped or lost at an awkward moment, on a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.backends import instance as instance_module
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Replaced
from mcpgw.config.schema import GatewayConfig
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.peer import Params, Request
from tests.support.scripted import FakeServices, Life, Script, scripted_pool


async def answer(_request: Request) -> Params:
    return {"content": []}


def slow(monkeypatch: pytest.MonkeyPatch, *, start: float = 0.0, end: float = 0.0) -> None:
    """Make processes take a time to start and to end."""
    quick = instance_module.open_endpoint

    @asynccontextmanager
    async def open_endpoint(*arguments: Any) -> AsyncIterator[Any]:
        await trio.sleep(start)
        async with quick(*arguments) as endpoint:
            try:
                yield endpoint
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(end)

    monkeypatch.setattr(instance_module, "open_endpoint", open_endpoint)


@pytest.mark.parametrize(
    "end", [lambda one: one.end_session("s"), BackendServer.kill], ids=["session ends", "kill"]
)
async def test_an_end_while_the_process_is_spawned(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    end: Callable[[BackendServer], object],
) -> None:
    """A process whose session ends, or that is killed, before it has begun never runs."""
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}, scope="session") as pool:
        slow(monkeypatch, start=1)
        one = pool.get("one")
        assert one is not None
        instance = one.instance("s")
        instance.want()
        await trio.sleep(0.5)
        end(one)
        await trio.sleep(5)
        assert (None, None) == (instance.pid, instance.connection)


async def test_sessions_of_a_server_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A removed server starts nothing for a late request, and sessions may end after it."""
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}, scope="session") as pool:
        one = pool.get("one")
        assert one is not None
        await one.instance("early").connected()
        pool.apply(GatewayConfig())
        await trio.sleep(30)
        with pytest.raises(Replaced):
            await one.instance("late").connected()
        one.end_session("early")
        one.end_session("late")


async def test_a_call_cut_off_by_a_removal_learns_of_it(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A call that outlasts the grace of a removed server does not wait for its own timeout."""

    async def hang(_request: Request) -> Params:
        await trio.sleep_forever()
        return {}

    async with scripted_pool(monkeypatch, {"one": Script([Life(hang)])}) as pool:
        slow(monkeypatch, end=1)
        one = pool.get("one")
        assert one is not None
        connection = await one.shared.connected()
        async with trio.open_nursery() as nursery:

            async def call() -> None:
                with pytest.raises(ConnectionLost):
                    await connection.request("tools/call", {})
                await one.shared.settled()

            nursery.start_soon(call)
            await wait_all_tasks_blocked()
            pool.apply(GatewayConfig())
            nursery.cancel_scope.deadline = trio.current_time() + 60
        assert not nursery.cancel_scope.cancelled_caught


async def test_lists_are_read_from_the_next_process_if_the_first_dies(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Whoever waits for the lists gets those of the process that lives long enough."""

    class DiesAtTheLists(Life):
        async def serve(self, request: Request) -> Params:
            if request.method == "tools/list":
                self.die()
                await trio.sleep_forever()
            return await Life.serve(self, request)

    script = Script([DiesAtTheLists(answer), Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        one = pool.get("one")
        assert one is not None
        with trio.fail_after(60):
            await one.learned()
        assert 2 == len(one.tools)


async def test_a_log_level_that_changes_while_one_is_sent(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The latest level reaches the server, even if it is slow to confirm the one before."""
    levels: list[str] = []
    wanted = "warning"

    class Logs(Life):
        async def serve(self, request: Request) -> Params:
            if request.method == "logging/setLevel":
                levels.append(request.params["level"])
                await trio.sleep(1)
                return {}
            result = await Life.serve(self, request)
            if request.method == "initialize":
                result["capabilities"]["logging"] = {}
            return result

    monkeypatch.setattr(FakeServices, "log_level", lambda _self, _instance: wanted)
    async with scripted_pool(monkeypatch, {"one": Script([Logs(answer)])}) as pool:
        one = pool.get("one")
        assert one is not None
        await one.shared.connected()
        await trio.sleep(0.5)
        wanted = "debug"
        one.update_log_level()
        await trio.sleep(5)
    assert ["warning", "debug"] == levels
