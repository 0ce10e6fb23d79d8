"""Broken streams are resumed: nothing is lost or repeated."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.front.http.event_buffer import (
    COUNTED_FROM,
    EventBuffer,
    MemoryBudget,
    Streams,
    UnknownEvent,
    event_id,
)
from mcpgw.front.http.settings import HttpSettings
from tests.front.http.support import Client, Served, serving, tool

UNBOUNDED = MemoryBudget(2**63)


async def reconnect(served: Served, client: Client) -> Client:
    again = await served.connect()
    again.session, again.version = client.session, client.version
    return again


async def read_until_cut(client: Client, events: int) -> tuple[list[Any], str]:
    """Read so many events; return the messages and the id of the last event."""
    messages, last = [], ""
    for _ in range(events):
        event = await client.event()
        assert event is not None
        assert event.id is not None
        last = event.id
        if event.data:
            messages.append(event.data)
    return messages, last


class TestOfPosts:
    @pytest.mark.parametrize("read", range(1, 7))
    async def test_gives_what_followed_wherever_it_was_cut(self, read: int) -> None:
        """After a cut at any event the rest comes on a new connection, and then the end."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("progress", {"steps": 4, "wait": True}, token="t"))
            whole = read == 6
            if whole:
                served.gateway_api.go_on.set()
            messages, last = await read_until_cut(client, read)
            await client.aclose()
            served.gateway_api.go_on.set()
            again = await reconnect(served, client)
            assert 200 == (await again.listen(last)).status
            while (event := await again.event()) is not None:
                messages.append(event.data)

            assert 5 == len(messages)
            assert len(set(messages)) == len(messages)
            assert '"steps":4' in messages[-1]

    async def test_goes_on_live(self) -> None:
        """A resumed stream gives what comes later too."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("wait"))
            _, last = await read_until_cut(client, 1)
            await client.aclose()
            again = await reconnect(served, client)
            await again.listen(last)
            served.gateway_api.go_on.set()

            assert {"waited": {}} == (await again.message())["result"]
            assert await again.event() is None
            assert [] == served.gateway_api.cancelled

    async def test_takes_the_stream_from_the_connection_that_has_it(self) -> None:
        """A client that comes back before its old connection is known to be dead goes on."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("wait"))
            _, last = await read_until_cut(client, 1)
            again = await reconnect(served, client)
            await again.listen(last)
            assert await client.event() is None
            served.gateway_api.go_on.set()

            assert {"waited": {}} == (await again.message())["result"]

    async def test_gives_only_its_own_stream(self) -> None:
        """Events of another stream are not replayed."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            await client.start(tool("wait", {"n": 1}, request_id=1))
            _, last = await read_until_cut(client, 1)
            other = await reconnect(served, client)
            await other.start(tool("wait", {"n": 2}, request_id=2))
            served.gateway_api.go_on.set()
            assert {"waited": {"n": 2}} == (await other.message())["result"]
            await client.aclose()
            again = await reconnect(served, client)
            await again.listen(last)

            assert {"waited": {"n": 1}} == (await again.message())["result"]
            assert await again.event() is None


class TestOfTheStandaloneStream:
    async def test_gives_what_came_meanwhile(self) -> None:
        """Notifications between two connections are given by the second."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            listener = await reconnect(served, client)
            await listener.listen()
            _, last = await read_until_cut(listener, 1)
            peer = served.gateway_api.peers[0]
            peer.notify("notifications/a")
            assert "notifications/a" == (await listener.message())["method"]
            await listener.aclose()
            await trio.testing.wait_all_tasks_blocked()
            peer.notify("notifications/b")
            again = await reconnect(served, client)
            await again.listen(last)

            assert "notifications/a" == (await again.message())["method"]
            assert "notifications/b" == (await again.message())["method"]


@pytest.mark.parametrize(
    "last", ["", "x", "0-", "-1", "1-0", "0-99", "0--1", "٣-1", "9" * 30 + "-1", "0-1-1"]
)
async def test_an_unknown_event_is_refused(last: str) -> None:
    """An unknown event id gets 400."""
    async with serving() as served:
        client = await served.connect()
        await client.initialize()
        if last == "٣-1":
            last = "=?3-1"
        reply = await client.request("GET", headers={"Last-Event-ID": last})

        assert 400 == reply.status


class Reader:
    """A client as the buffer sees it: reads, loses its connection, reconnects."""

    def __init__(self, event_buffer: EventBuffer) -> None:
        self.event_buffer = event_buffer
        self.seen: list[bytes] = []
        self.last = 0
        self.ticket = 1

    def take(self, arrive: int) -> None:
        """Take what waits, of which only so many events arrive."""
        for number, line in self.event_buffer.take()[:arrive]:
            self.seen.append(line)
            self.last = number

    def cut(self) -> None:
        self.event_buffer.detach(self.ticket)

    def come_back(self) -> None:
        self.event_buffer.resume(self.last)
        self.ticket = self.event_buffer.attach()


@given(
    st.lists(
        st.one_of(st.just("put"), st.just("cut"), st.just("back"), st.integers(0, 5)), max_size=60
    )
)
@settings(max_examples=300)
def test_any_order_of_cuts_gives_each_message_once(steps: list[str | int]) -> None:
    """However writes, reads, cuts and returns are mixed, all messages come once, in order."""

    async def check() -> None:
        reader = Reader(EventBuffer(HttpSettings(), UNBOUNDED, 1))
        sent: list[bytes] = []
        connected = True
        for step in steps:
            if step == "put":
                sent.append(b"%d" % len(sent))
                reader.event_buffer.put(sent[-1])
            elif step == "cut":
                reader.cut()
                connected = False
            elif step == "back" or not connected:
                reader.come_back()
                connected = True
            else:
                reader.take(int(step))
                # What did not arrive is lost with the connection.
                reader.cut()
                reader.come_back()
        reader.come_back()
        reader.take(1000)

        assert sent == reader.seen

    trio.run(check)


class TestBounds:
    async def test_a_reader_that_is_behind_loses_its_place(self) -> None:
        """Over the bound a resumable stream drops its reader, and keeps the newest."""
        event_buffer = EventBuffer(
            HttpSettings(unread_messages=10, replay_messages=5), UNBOUNDED, 1
        )
        for number in range(11):
            assert event_buffer.put(b"%d" % number)

        assert not event_buffer.is_current(1)
        event_buffer.attach()
        assert [b"6", b"7", b"8", b"9", b"10"] == [line for _, line in event_buffer.take()]

    async def test_one_that_cannot_return_loses_all(self) -> None:
        """Over the bound a stream that cannot be resumed is over, and holds nothing."""
        event_buffer = EventBuffer(HttpSettings(unread_bytes=100), UNBOUNDED)
        event_buffer.put(b"x" * 60)
        assert not event_buffer.put(b"x" * 60)

        assert event_buffer.ended
        assert 0 == event_buffer.held_bytes

    async def test_many_slow_readers_give_way_together(self) -> None:
        """Those that hold the most lose their place; one that reads keeps it, and its events."""
        settings, memory_budget = HttpSettings(), MemoryBudget(1_000_000)
        slow = [EventBuffer(settings, memory_budget, number) for number in range(10)]
        quick = EventBuffer(settings, memory_budget, 10)
        for count in range(100):
            for event_buffer in slow:
                event_buffer.put(b"x" * 60_000)
            assert quick.put(b"y" * 100)
            assert [(count + 1, b"y" * 100)] == quick.take()
            held = sum(event_buffer.held_bytes for event_buffer in slow)
            assert held <= 1_000_000 + len(slow) * COUNTED_FROM

        assert not any(event_buffer.read for event_buffer in slow)
        assert quick.read
        assert 99 == quick.resume(1) + len(quick.take())

    async def test_tells_how_many_are_lost(self) -> None:
        """Events beyond what is kept cannot be had again, and the front can say so."""
        event_buffer = EventBuffer(HttpSettings(replay_messages=3), UNBOUNDED, 1)
        for _ in range(10):
            event_buffer.put(b"x")
        event_buffer.take()

        assert 5 == event_buffer.resume(2)
        assert [8, 9, 10] == [number for number, _ in event_buffer.take()]
        assert 0 == event_buffer.resume(10)

    async def test_the_answer_is_kept_whatever_its_size(self) -> None:
        """The newest message is never dropped."""
        event_buffer = EventBuffer(HttpSettings(replay_bytes=10), UNBOUNDED, 1, read=False)
        event_buffer.put(b"x" * 8)
        event_buffer.finish(b"y" * 100)
        event_buffer.attach()

        assert [(2, b"y" * 100)] == event_buffer.take()
        event_buffer.resume(1)
        assert [(2, b"y" * 100)] == event_buffer.take()

    async def test_streams_are_forgotten_in_time(self, mock_clock: trio.testing.MockClock) -> None:
        """Ended streams are kept for their age, and only so many of them."""
        streams = Streams(HttpSettings(replay_streams=3, replay_age=60.0), UNBOUNDED)
        for _ in range(10):
            event_buffer = streams.open()
            streams.keep(event_buffer)
            event_buffer.finish(b"{}")
            event_buffer.detach(1)
        streams.purge()
        assert 1 + 3 == len(streams)
        with pytest.raises(UnknownEvent):
            streams.find(event_id(1, 0))
        assert 10 == streams.find(event_id(10, 0))[0].number
        mock_clock.jump(61.0)
        streams.purge()

        assert 1 == len(streams)
