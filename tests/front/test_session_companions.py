"""Tasks that accompany a session end with it."""

from __future__ import annotations

import trio

from mcpgw.front.session import Session
from tests.support.memory import channel_pair


async def test_a_companion_ends_with_its_session() -> None:
    """Even if the client left before the session was initialized."""
    ended = 0

    async def wait_for_ever() -> None:
        nonlocal ended
        try:
            await session.initialized.wait()
        finally:
            ended += 1

    with trio.fail_after(10):
        for _ in range(20):
            ours, client = channel_pair()
            session = Session(ours, 1.0)
            session.accompany(wait_for_ever)
            async with trio.open_nursery() as nursery:
                await nursery.start(session.run)
                assert 1 == len(nursery.child_tasks)
                client.end()
    assert 20 == ended
