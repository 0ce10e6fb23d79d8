"""Tasks for a session end with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import trio

from mcpgw.front.session import Session
from mcpgw.gateway.gateway import Gateway
from mcpgw.protocol.memory import channel_pair
from tests.support.patience import PATIENCE


async def test_the_delivery_of_webhooks_ends_with_a_session_that_was_never_ready() -> None:
    """A client that leaves after `initialize` leaves no task behind."""

    async def deliver_to(_session: Session, ready: trio.Event) -> None:
        await ready.wait()
        delivered.append(1)

    delivered: list[int] = []
    gateway = cast("Any", SimpleNamespace(webhook_service=SimpleNamespace(deliver_to=deliver_to)))
    leaving, staying = (Session(channel_pair()[0], 1.0) for _ in range(2))
    leaving.peer.ending.set()
    staying.initialized.set()
    with trio.fail_after(PATIENCE):
        await Gateway._deliver_webhooks(gateway, leaving)
        assert [] == delivered
        await Gateway._deliver_webhooks(gateway, staying)
        assert [1] == delivered
