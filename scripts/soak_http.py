"""The HTTP parts of the soak test: many sessions, and clients that do not read."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from tests.support.driver import echo_command, open_descriptors
from tests.support.http_crowd import (
    Footprint,
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
from tests.support.raw_http import McpClient

if TYPE_CHECKING:
    from collections.abc import Iterator

CHATTY = [
    sys.executable,
    str(Path(__file__).parent.parent / "tests" / "support" / "chatty_server.py"),
]
WARM_UP = 500
PAUSE = 0.15
"""Seconds between waves, so the warm-up has as many concurrent sessions as the rest."""
TOLERANCE = 0.1
"""Greatest relative change of memory since the warm-up."""
CLOSING = 60.0
"""Seconds within which the connections of clients that do not read must be closed."""


@contextmanager
def gateway_for(**sections: object) -> Iterator[LastingGateway]:
    """Run a gateway with a chatty server and a quick one, and no rate limit."""
    with tempfile.TemporaryDirectory() as folder:
        backends = {"one": CHATTY, "two": echo_command()}
        quick = {"rate_limit": {"enabled": False}}
        with lasting_gateway(backends, folder=Path(folder), failsafe=quick, **sections) as gateway:
            yield gateway


@attrs.frozen
class Kind:
    """A kind of session: how to run one, its path, and the number relative to `/mcp`."""

    name: str
    run: Callable[..., Awaitable[None]]
    path: str
    share: float


KINDS = (
    Kind("sessions at /mcp", http_session, "/mcp", 1.0),
    Kind("sessions at /mcp/one", http_session, "/mcp/one", 0.2),
    Kind("WebSockets at /ws", websocket_session, "/ws", 0.2),
    Kind("WebSockets at /ws/one", websocket_session, "/ws/one", 0.1),
)


async def sessions(count: int) -> bool:
    """Open and end `count` sessions of the first kind and fewer of the others; return whether
    memory and descriptors are as after the warm-up."""
    passed = True
    for kind in KINDS:
        # One gateway for each kind, so that leaks of one do not hide those of another.
        with gateway_for(streaming={"session_ttl": "1s"}) as gateway:
            passed &= await _one_kind(gateway, kind, int(count * kind.share))
    return passed


async def _one_kind(gateway: LastingGateway, kind: Kind, count: int) -> bool:
    await waves(kind.run, gateway.port, kind.path, WARM_UP, pause=PAUSE)
    before = await footprint(gateway)
    started, used, highest = time.perf_counter(), gateway.cpu(), 0

    def watch_memory(_done: int) -> None:
        nonlocal highest
        highest = max(highest, gateway.rss())

    await waves(kind.run, gateway.port, kind.path, count, pause=PAUSE, told=watch_memory)
    seconds, used = time.perf_counter() - started, gateway.cpu() - used
    after = await footprint(gateway)
    passed = _is_same(before, after)
    print(
        f"{count} {kind.name} in {seconds:.0f} s, {1000 * used / count:.2f} ms of processor time"
        f" each: {before} after {WARM_UP}; {after} at the end ({_change(before, after):+.1%}),"
        f" {highest / 1e6:.1f} MB at most. {'Unchanged' if passed else 'CHANGED'}.",
        flush=True,
    )
    return passed


def _change(before: Footprint, after: Footprint) -> float:
    return after.rss / before.rss - 1


def _is_same(before: Footprint, after: Footprint) -> bool:
    return (
        abs(_change(before, after)) <= TOLERANCE
        and after.descriptors <= before.descriptors + 2
        and after.sessions == 0
    )


@attrs.frozen
class Flood:
    """Messages sent to clients that do not read."""

    name: str
    steps: int
    size: int


FLOODS = (Flood("many small messages", 2500, 2_000), Flood("fewer large ones", 300, 60_000))


async def readers(count: int, most: float) -> bool:
    """Run `count` clients that do not read, beside one that makes calls; return whether they were
    disconnected, all calls succeeded, and memory stayed below `most` bytes."""
    passed = True
    for flood in FLOODS:
        with gateway_for() as gateway:
            passed &= await _one_flood(gateway, count, flood, most)
    return passed


async def _one_flood(gateway: LastingGateway, count: int, flood: Flood, most: float) -> bool:
    async with McpClient(gateway.port) as fast, trio.open_nursery() as nursery:
        await fast.initialize()
        for server in ("one", "two"):
            await fast.invoke(server, "echo", {"text": "hi"})
        await call_times(fast, 500)
        alone = await call_times(fast, 2000)
        quiet = gateway.rss()
        descriptors = open_descriptors(gateway.pid)
        highest = await nursery.start(memory, gateway)
        given = {"steps": flood.steps, "size": flood.size}
        posters = count - count // 4
        begin: list[Callable[[], Awaitable[SlowReader]]] = [
            *[partial(slow_poster, gateway.port, "chatter", given)] * posters,
            *[partial(slow_listener, gateway.port)] * (count - posters),
        ]
        async with slow_readers(begin):
            shout = {"times": flood.steps, "size": flood.size}
            await fast.invoke("one", "shout", shout)
            beside, closed = [], False
            with trio.move_on_after(CLOSING):
                while not closed:
                    beside += await call_times(fast, 200)
                    closed = open_descriptors(gateway.pid) <= descriptors
        nursery.cancel_scope.cancel()
    after = await _calls_after(gateway)
    bounded = highest[0] < most
    print(
        f"{count} clients that do not read ({flood.name}: {flood.steps} of {flood.size} bytes to"
        f" each): calls beside them {_times(beside)}, alone {_times(alone)}, after them"
        f" {_times(after)}; memory {quiet / 1e6:.0f} MB before, {highest[0] / 1e6:.0f} MB at"
        f" most{'' if bounded else ' (TOO MUCH)'}; {'all' if closed else 'NOT ALL'} were closed.",
        flush=True,
    )
    return closed and bounded


async def _calls_after(gateway: LastingGateway) -> list[float]:
    async with McpClient(gateway.port) as client:
        await client.initialize()
        return await call_times(client, 500)


def _times(times: list[float]) -> str:
    times = sorted(times)
    middle, late = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
    return f"p50 {middle:.2f} ms p99 {late:.2f} ms ({len(times)})"
