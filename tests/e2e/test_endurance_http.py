"""Many HTTP sessions and slow readers: nothing leaks, and no other client is delayed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.e2e.running import NO_RATE_LIMIT, until
from tests.support.census import (
    OF_CONNECTIONS,
    OF_SESSIONS,
    TASK,
    census,
    environment,
)
from tests.support.driver import echo_command, fake, open_descriptors
from tests.support.http_crowd import (
    SlowReader,
    call_times,
    footprint,
    http_session,
    memory,
    slow_listener,
    slow_poster,
    slow_readers,
    waves,
    websocket_session,
)
from tests.support.lasting_gateway import LastingGateway, lasting_gateway
from tests.support.patience import PATIENCE
from tests.support.raw_http import McpClient, ResumingClient

pytestmark = [pytest.mark.process, pytest.mark.slow]

CHATTY = [sys.executable, str(Path(__file__).parents[1] / "support" / "chatty_server.py")]
MEGABYTE = 1_000_000

Run = Callable[..., Awaitable[None]]


@pytest.mark.parametrize(
    ("run", "path", "count"),
    [
        (http_session, "/mcp", 400),
        (http_session, "/mcp/one", 200),
        (websocket_session, "/ws", 150),
        (websocket_session, "/ws/one", 100),
    ],
)
def test_many_sessions(run: Run, path: str, count: int, tmp_path: Path) -> None:
    """Sessions that were ended or left leave no object, task or descriptor, and little memory."""

    async def check(gateway: LastingGateway) -> None:
        await waves(run, gateway.port, path, 100)
        before = await footprint(gateway)
        counted = await census(gateway.pid, tmp_path)
        assert set(counted.left(OF_SESSIONS + OF_CONNECTIONS).values()) <= {1}, counted
        await waves(run, gateway.port, path, count)
        after = await footprint(gateway)
        again = await census(gateway.pid, tmp_path)

        assert 0 == after.sessions
        assert after.descriptors <= before.descriptors + 2
        assert after.rss - before.rss < 15 * MEGABYTE, (before, after)
        assert set(again.left(OF_SESSIONS + OF_CONNECTIONS).values()) <= {1}, again
        # Those of the start are not counted; one may be that of a timer just now.
        assert again.after.get(TASK, 0) <= counted.after.get(TASK, 0) + 2

    with lasting_gateway(
        {"one": fake()},
        folder=tmp_path,
        env=environment(tmp_path),
        streaming={"session_ttl": "1s"},
        failsafe=NO_RATE_LIMIT,
    ) as gateway:
        trio.run(check, gateway)


def test_the_memory_of_connections_is_free_at_once(tmp_path: Path) -> None:
    """The memory of a connection is freed without the garbage collector, which runs rarely."""

    async def check(gateway: LastingGateway) -> None:
        await waves(http_session, gateway.port, "/mcp", 100)
        await footprint(gateway)
        counted = await census(gateway.pid, tmp_path)
        assert {} == counted.waiting(OF_CONNECTIONS)

    with lasting_gateway(
        {"one": fake()},
        folder=tmp_path,
        env=environment(tmp_path),
        streaming={"session_ttl": "1s"},
        failsafe=NO_RATE_LIMIT,
    ) as gateway:
        trio.run(check, gateway)


POSTERS, LISTENERS = 6, 4
HELD = 16 * 1024 * 1024
"""Bytes that the gateway keeps for a reader before it closes the connection."""


def test_readers_that_do_not_read(tmp_path: Path) -> None:
    """They delay no other client and fill no memory; their connections are closed in the end,
    and a client that reconnects gets the answer."""
    flood = {"steps": 500, "size": 100_000}
    shout = {"times": 300, "size": 100_000}

    async def check(gateway: LastingGateway) -> None:
        async with McpClient(gateway.port) as fast, trio.open_nursery() as nursery:
            await fast.initialize()
            for server in ("one", "two", "loud"):
                await fast.invoke(server, "echo", {"text": "hi"})
            alone = gateway.rss()
            descriptors = open_descriptors(gateway.pid)
            highest = await nursery.start(memory, gateway)
            begin: list[Callable[[], Awaitable[SlowReader]]] = [
                *[partial(slow_poster, gateway.port, "chatter", flood)] * POSTERS,
                *[partial(slow_listener, gateway.port)] * LISTENERS,
            ]
            async with slow_readers(begin) as readers:
                # A server without calls in flight: its log messages go to all clients.
                await fast.invoke("loud", "shout", shout)
                assert 300 == len(await call_times(fast, 300))
                await until(
                    lambda: open_descriptors(gateway.pid) <= descriptors,
                    what="closed: the connections of those who do not read",
                    timeout=2 * PATIENCE,
                )
                assert 100 == len(await call_times(fast, 100))
                # 300 MB for those who post and 120 MB for those who listen were on their way.
                most = (POSTERS + LISTENERS) * HELD * 1.5
                assert highest[0] - alone < most
                await come_back(next(each for each in readers if each.request is not None))
            nursery.cancel_scope.cancel()

    with lasting_gateway(
        {"one": CHATTY, "two": echo_command(), "loud": CHATTY},
        folder=tmp_path,
        failsafe=NO_RATE_LIMIT,
    ) as gateway:
        trio.run(check, gateway)


async def come_back(reader: SlowReader) -> None:
    """Read what had come, then the rest on another connection: in order, and to the answer."""
    client = ResumingClient(reader.client.port, session=reader.client.session)
    assert reader.request is not None
    told = await client.go_on(reader.request, reader.connection)

    assert told.connections > 1
    *reports, answer = told.messages
    # Log messages come too if this call is the only one in flight.
    progress = [each for each in reports if each["method"] == "notifications/progress"]
    steps = [report["params"]["progress"] for report in progress]
    assert sorted(set(steps)) == steps
    assert "500 steps" == answer["result"]["content"][0]["text"]
