"""Connections that are cut, on either side of the gateway: no answer is lost and none doubled."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.running import NO_RATE_LIMIT, until
from tests.support.cutting_proxy import NEVER, CutAt, CuttingProxy, cutting_proxy
from tests.support.driver import fake, logged, logged_methods
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.lasting_gateway import LastingGateway, lasting_gateway
from tests.support.patience import PATIENCE
from tests.support.processes import alive
from tests.support.raw_http import (
    EVENTS_FIRST,
    Connection,
    Lost,
    McpClient,
    Message,
    Refused,
    ResumingClient,
    Told,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

SUPPORT = Path(__file__).parents[1] / "support"
CHATTY = [sys.executable, str(SUPPORT / "chatty_server.py")]
NO_BREAKER = {**NO_RATE_LIMIT, "circuit_breaker": {"enabled": False}}
"""Connections cut on purpose must not open the breaker."""
BUFFER = 10_000
"""Messages of a stream that the gateway keeps here: more than any call below has."""


# -- in front of the gateway -----------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingGateway]:
    """One gateway for all cuts in front of it."""
    with lasting_gateway(
        {"one": CHATTY},
        folder=tmp_path_factory.mktemp("cut"),
        streaming={"buffer_size": BUFFER},
        failsafe=NO_RATE_LIMIT,
    ) as running:
        yield running


def chatter(client: McpClient, **arguments: object) -> Message:
    """Return a call that reports and logs each of its steps."""
    given = {"server": "one", "tool": "chatter", "arguments": {"logs": True, **arguments}}
    meta = {"progressToken": "token"}
    return client.compose(
        "tools/call", {"name": "gateway_invoke", "arguments": given, "_meta": meta}
    )


def said(messages: list[Message]) -> list[tuple[str, Any]]:
    """Return what each message says, in short."""
    found: list[tuple[str, Any]] = []
    for message in messages:
        match message:
            case {"method": "notifications/progress", "params": {"progress": step}}:
                found.append(("progress", step))
            case {"method": "notifications/message", "params": {"data": data}}:
                found.append(("log", data.get("number", data.get("step"))))
            case {"result": {"content": [{"text": text}, *_]}}:
                found.append(("answer", text))
            case _:
                found.append(("other", message))
    return found


def whole(steps: int, kinds: tuple[str, ...] = ("progress", "log")) -> list[tuple[str, Any]]:
    """Return what `chatter` says, each once and in order."""
    reports = [(kind, step) for step in range(1, steps + 1) for kind in kinds]
    return [*reports, ("answer", f"{steps} steps")]


async def call_through(
    port: int, cuts: list[CutAt], *, steps: int, after: int, **arguments: object
) -> tuple[Told, CuttingProxy]:
    """Call `chatter` through a proxy that cuts the n-th connection by the n-th of the cuts.

    The connection of the POST is cut `after` bytes of its answer at the earliest.
    """
    async with ResumingClient(port) as opener:
        await opener.initialize()
        session = opener.session

    def plan(number: int) -> CutAt:
        if number >= len(cuts):
            return NEVER
        cut = cuts[number]
        if number == 0:
            return CutAt(to_client=after + (cut.to_client or 0), reset=cut.reset)
        return cut

    with trio.fail_after(PATIENCE):
        async with cutting_proxy(port, plan) as proxy:
            client = ResumingClient(proxy.port, session=session)
            told = await client.call(chatter(client, steps=steps, **arguments))
    return told, proxy


@pytest.fixture(scope="module")
def head(gateway: LastingGateway) -> int:
    """The bytes of the answer's head and first event, before which no client can resume."""

    async def measure() -> int:
        async with McpClient(gateway.port) as client:
            await client.initialize()
            session = client.session
        connection = await Connection.open(gateway.port)
        try:
            client = McpClient(gateway.port, session=session)
            text = _request_bytes(client, chatter(client, steps=1, pause=0.5))
            await connection.stream.send_all(text)
            found = b""
            while b"retry: " not in found or not found.endswith(b"\n\n\r\n"):
                found += await connection.stream.receive_some()
            size = len(found)
            while b"1 steps" not in found:  # what a call logs is its own only where it is alone
                found += await connection.stream.receive_some()
            return size
        finally:
            await connection.aclose()

    return trio.run(measure)


def _request_bytes(client: McpClient, message: Message) -> bytes:
    import json

    body = json.dumps(message).encode()
    lines = [f"{name}: {value}" for name, value in client.headers(EVENTS_FIRST).items()]
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CUTS = st.builds(
    CutAt,
    to_client=st.one_of(st.integers(0, 60), st.integers(0, 3000)),
    to_server=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 300)),
    reset=st.booleans(),
)


@given(
    cuts=st.lists(CUTS, min_size=1, max_size=25),
    steps=st.integers(0, 40),
    pause=st.sampled_from([0.0, 0.0, 0.001]),
    size=st.sampled_from([0, 0, 500]),
)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_each_message_comes_once_wherever_it_is_cut(
    gateway: LastingGateway, head: int, cuts: list[CutAt], steps: int, pause: float, size: int
) -> None:
    """A client that comes back gets every report, log message and the answer once, in order."""

    async def check() -> None:
        told, _ = await call_through(
            gateway.port, cuts, steps=steps, after=head, pause=pause, size=size
        )
        assert whole(steps) == said(told.messages)

    trio.run(check)
    assert gateway.is_alive


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_call_that_is_cut_again_and_again(
    gateway: LastingGateway, head: int, seed: int
) -> None:
    """2,000 messages of one call come once and in order over a hundred connections and more."""
    chance = random.Random(seed)
    cuts = [
        CutAt(to_client=chance.randrange(200, 6000), reset=chance.random() < 0.5)
        for _ in range(300)
    ]

    async def check() -> None:
        told, proxy = await call_through(gateway.port, cuts, steps=1000, after=head)
        assert whole(1000) == said(told.messages)
        assert told.connections > 50
        assert proxy.cuts > 50

    trio.run(check)


def test_many_clients_behind_one_cutting_line(gateway: LastingGateway) -> None:
    """Calls of many clients at once whose connections are all cut every moment are whole."""
    chance = random.Random(7)

    async def check() -> None:
        answered = 0

        async def one(port: int) -> None:
            nonlocal answered
            async with ResumingClient(gateway.port) as opener:
                await opener.initialize()
                session = opener.session
            client = ResumingClient(port, session=session, rest=0.01)
            for _ in range(3):
                try:
                    # Without logs: those of many calls at once belong to nobody in particular.
                    told = await client.call(chatter(client, steps=60, pause=0.005, logs=False))
                except Lost:
                    continue  # cut before the first event: nobody could do better
                answered += 1
                assert whole(60, ("progress",)) == said(told.messages)

        async with cutting_proxy(gateway.port) as proxy, trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as clients:
                    for _ in range(10):
                        clients.start_soon(one, proxy.port)

                    async def cut() -> None:
                        while True:
                            await trio.sleep(chance.uniform(0.02, 0.15))
                            proxy.cut_all()

                    nursery.start_soon(cut)
            nursery.cancel_scope.cancel()
        assert answered > 10
        assert proxy.cuts > 20

    trio.run(check)


def test_more_than_the_gateway_keeps(tmp_path: Path) -> None:
    """Of what is cut off beyond the buffer, the newest comes: nothing twice, nothing out of
    order, and always the answer."""
    chance = random.Random(5)
    cuts = [CutAt(to_client=chance.randrange(300, 3000)) for _ in range(30)]

    async def check(running: LastingGateway) -> None:
        told, _ = await call_through(running.port, cuts, steps=1500, after=1000)
        found = said(told.messages)
        expected = whole(1500)
        places = [expected.index(each) for each in found]
        assert sorted(set(places)) == places
        assert ("answer", "1500 steps") == found[-1]

    with lasting_gateway(
        {"one": CHATTY}, folder=tmp_path, streaming={"buffer_size": 20}, failsafe=NO_RATE_LIMIT
    ) as running:
        trio.run(check, running)


def test_requests_that_never_arrived_whole(tmp_path: Path) -> None:
    """A request that is cut on its way to the gateway has no effect, and is sent again."""
    log = tmp_path / "log"

    async def check(running: LastingGateway) -> None:
        async with McpClient(running.port) as client:
            await client.initialize()
            await client.invoke("one", "echo", {"text": "first"})
            session = client.session
        before = len(logged(log))
        async with cutting_proxy(running.port) as proxy:
            client = ResumingClient(proxy.port, session=session)
            given = {"server": "one", "tool": "echo", "arguments": {"text": "once"}}
            message = client.compose("tools/call", {"name": "gateway_invoke", "arguments": given})
            size = len(_request_bytes(client, message))
            for sent in (1, 20, 100, size - 200, size - 100, size - 20):
                proxy.plan = lambda _number, sent=sent: CutAt(to_server=sent)  # type: ignore[misc]
                with pytest.raises(Lost):
                    await client.call(message)
            assert before == len(logged(log))
            proxy.plan = lambda _number: NEVER
            told = await client.call(message)
            assert [("answer", "once")] == said(told.messages)
        assert before + 1 == len(logged(log))

    with lasting_gateway(
        {"one": fake("--log", log)}, folder=tmp_path, failsafe=NO_RATE_LIMIT
    ) as running:
        trio.run(check, running)


# -- between the gateway and a server ----------------------------------------------------------


@asynccontextmanager
async def storing_server(folder: Path, *flags: str) -> AsyncIterator[int]:
    """Run an official server over HTTP that keeps its events; give its port."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = int(chosen.getsockname()[1])
    words = [sys.executable, str(SUPPORT / "storing_server.py"), "--port", str(port)]
    process = await trio.lowlevel.open_process(
        [*words, "--log", str(folder / "calls"), *flags], stdin=-3, stdout=-3
    )
    try:
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
                    break
                except OSError:
                    await trio.sleep(0.05)
        yield port
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def calls(folder: Path) -> list[str]:
    """Return the tags of the calls that the server had."""
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


@asynccontextmanager
async def behind_a_proxy(
    folder: Path, *, modern: bool = False
) -> AsyncIterator[tuple[HttpGateway, CuttingProxy, McpClient]]:
    """Run a gateway whose one server is behind a proxy; give a client that has called it."""
    flags = ["--modern"] if modern else []
    async with storing_server(folder, *flags) as port, cutting_proxy(port) as proxy:
        backend = {"http_url": f"http://127.0.0.1:{proxy.port}/mcp"}
        if modern:
            backend["protocol_version"] = "2026-07-28"
        async with (
            http_gateway({"one": backend}, folder=folder, failsafe=NO_BREAKER) as running,
            McpClient(running.port) as client,
        ):
            await client.initialize()
            result = await client.invoke("one", "echo", {"text": "first"})
            assert "first" == result["content"][0]["text"], result
            yield running, proxy, client


async def cut_while_it_runs(
    proxy: CuttingProxy, begun: Callable[[], bool], chance: random.Random
) -> None:
    """Cut a call's connections a few times, once it has begun; a task.

    Before its first event has come the client cannot resume it.
    """
    await until(begun, what="begun")
    await trio.sleep(0.1)
    for _ in range(5):
        proxy.cut_all()
        await trio.sleep(chance.uniform(0.0, 0.08))


async def test_answers_of_a_server_that_are_cut(tmp_path: Path) -> None:
    """A call that the server has begun goes on over cuts: all that it says comes once."""
    chance = random.Random(3)
    async with behind_a_proxy(tmp_path) as (running, proxy, client):
        for number in range(6):
            tag = f"call {number}"
            session = ResumingClient(running.port, session=client.session, last=100 + number)
            async with trio.open_nursery() as nursery:
                begun = partial(_in, tag, tmp_path)
                nursery.start_soon(cut_while_it_runs, proxy, begun, chance)
                with trio.fail_after(PATIENCE):
                    told = await session.call(chatter(session, tag=tag, steps=25, pause=0.02))
                nursery.cancel_scope.cancel()
            expected = [*whole(25)[:-1], ("answer", tag)]
            assert expected == said(told.messages), running.log[-2000:]
        assert 7 == len(calls(tmp_path))
        assert proxy.cuts > 10


def _in(tag: str, folder: Path) -> bool:
    return tag in calls(folder)


async def test_the_request_for_the_rest_is_cut_too(tmp_path: Path) -> None:
    """A call goes on although the next connections after the cut bring not even a head."""
    async with behind_a_proxy(tmp_path) as (running, proxy, client):
        session = ResumingClient(running.port, session=client.session, last=100)
        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                await until(lambda: "it" in calls(tmp_path), what="begun")
                await trio.sleep(0.1)
                first = proxy.connections
                proxy.plan = lambda number: CutAt(to_client=0) if number < first + 3 else NEVER
                proxy.cut_all()

            nursery.start_soon(cut)
            with trio.fail_after(PATIENCE):
                told = await session.call(chatter(session, tag="it", steps=25, pause=0.02))
        assert [*whole(25)[:-1], ("answer", "it")] == said(told.messages), running.log[-2000:]


async def test_a_gateway_behind_a_gateway(tmp_path: Path) -> None:
    """The same holds if the server is another gateway's endpoint of one server."""
    chance = random.Random(4)
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    log = tmp_path / "log"
    async with (
        http_gateway(
            {"one": [*CHATTY, "--log", str(log)]}, folder=inner, failsafe=NO_RATE_LIMIT
        ) as behind,
        cutting_proxy(behind.port) as proxy,
        http_gateway(
            {"one": {"http_url": f"http://127.0.0.1:{proxy.port}/mcp/one"}},
            folder=outer,
            failsafe=NO_RATE_LIMIT,
        ) as running,
        McpClient(running.port) as client,
    ):
        await client.initialize()
        await client.invoke("one", "echo", {"text": "first"})
        for number in range(4):
            session = ResumingClient(running.port, session=client.session, last=100 + number)
            before = len(logged(log))
            async with trio.open_nursery() as nursery:
                begun = partial(_longer_than, before, log)
                nursery.start_soon(cut_while_it_runs, proxy, begun, chance)
                with trio.fail_after(PATIENCE):
                    told = await session.call(chatter(session, steps=40, pause=0.02))
                nursery.cancel_scope.cancel()
            assert whole(40) == said(told.messages), running.log[-2000:]
        assert 5 == logged_methods(log).count("tools/call")


def _longer_than(count: int, log: Path) -> bool:
    return len(logged(log)) > count


@pytest.mark.parametrize("modern", [False, True])
async def test_a_server_that_is_cut_at_any_time(*, modern: bool, tmp_path: Path) -> None:
    """However the line is cut, no call runs twice, and each ends by its own answer or an error."""
    chance = random.Random(11)
    outcomes: dict[str, str] = {}
    async with behind_a_proxy(tmp_path, modern=modern) as (running, proxy, _):

        async def one(number: int) -> None:
            tag = f"call {number}"
            async with McpClient(running.port) as client:
                await client.initialize()
                given = {"tag": tag, "steps": 5, "pause": 0.01}
                try:
                    result = await client.invoke("one", "chatter", given)
                except Refused as refused:
                    outcomes[tag] = f"error: {refused}"
                    return
                text = result["content"][0]["text"]
                outcomes[tag] = f"error: {text}" if result.get("isError") else text

        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                while True:
                    await trio.sleep(chance.uniform(0.05, 0.4))
                    proxy.cut_all()

            nursery.start_soon(cut)
            with trio.fail_after(2 * PATIENCE):
                for start in range(0, 60, 10):
                    async with trio.open_nursery() as clients:
                        for number in range(start, start + 10):
                            clients.start_soon(one, number)
            nursery.cancel_scope.cancel()
        assert 60 == len(outcomes)
        wrong = {
            tag: text
            for tag, text in outcomes.items()
            if text != tag and not text.startswith("error: ")
        }
        assert {} == wrong
        done = calls(tmp_path)
        assert sorted(set(done)) == sorted(done)
        answered = [tag for tag, text in outcomes.items() if text == tag]
        assert set(answered) <= set(done)
        assert len(answered) >= 20, outcomes
        assert alive(running.process.pid)
        # The line holds again: so does the next call.
        async with McpClient(running.port) as client:
            await client.initialize()
            with trio.fail_after(PATIENCE):
                while True:
                    result = await client.invoke("one", "echo", {"text": "after"})
                    if not result.get("isError"):
                        break
                    await trio.sleep(0.2)
            assert "after" == result["content"][0]["text"]
