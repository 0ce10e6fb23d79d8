"""Resource subscriptions of several clients that come and go."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mcpgw.front import resource_subscriptions
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.protocol.errors import RpcError

INSTANCE: Any = SimpleNamespace(name="one", session="")
NOTHING: Any = None
URI = "x://a"


class Server:
    """A server that takes its time, and keeps what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> None:
        self.asked: list[str] = []
        self.refuses = False
        self.chance = random.Random(seed)
        monkeypatch.setattr(resource_subscriptions, "_find", self.find)
        monkeypatch.setattr(resource_subscriptions, "_ask", self.ask)

    async def find(self, _context: Any, _session: Any, uri: Any) -> tuple[Any, str]:
        await trio.lowlevel.checkpoint()
        return INSTANCE, uri

    async def ask(self, *arguments: Any) -> None:
        await trio.sleep(self.chance.random())
        if self.refuses:
            raise RpcError(-32002, "no such resource")
        self.asked.append(arguments[-2].removeprefix("resources/"))


@pytest.mark.parametrize("seed", range(20))
async def test_the_server_is_subscribed_exactly_while_a_client_is(
    seed: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Requests of one client overlap those of others, and never leave the wrong state."""
    server = Server(monkeypatch, seed)
    subscriptions = ResourceSubscriptions()
    chance = random.Random(seed)

    async def client(subscriber: Any, *, stays: bool) -> None:
        for _ in range(5):
            await trio.sleep(chance.random() * 2)
            await subscriptions.subscribe(NOTHING, NOTHING, NOTHING, subscriber, URI)
            await trio.sleep(chance.random() * 2)
            await subscriptions.unsubscribe(NOTHING, NOTHING, NOTHING, subscriber, URI)
        if stays:
            await subscriptions.subscribe(NOTHING, NOTHING, NOTHING, subscriber, URI)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(
                lambda number=number: client(object(), stays=bool(seed % 2 and number == 0))
            )
    assert server.asked[-1] == ("subscribe" if seed % 2 else "unsubscribe")
    assert all(one != other for one, other in zip(server.asked, server.asked[1:], strict=False))
    assert bool(seed % 2) == (URI in list(subscriptions.of(INSTANCE)))


async def test_a_refused_subscription_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.refuses = True
    subscriptions = ResourceSubscriptions()
    with pytest.raises(RpcError):
        await subscriptions.subscribe(NOTHING, NOTHING, NOTHING, object(), URI)  # type: ignore[arg-type]
    assert [] == list(subscriptions.of(INSTANCE))


async def test_unsubscribing_without_a_subscription_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(monkeypatch)
    await ResourceSubscriptions().unsubscribe(NOTHING, NOTHING, NOTHING, object(), URI)  # type: ignore[arg-type]
    assert [] == server.asked
