"""Routing of messages between many clients and one peer."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mcpgw.front.http.event_buffer import EventBuffer, MemoryBudget
from mcpgw.front.http.session_channel import MAX_WAITING, SessionChannel
from mcpgw.front.http.settings import HttpSettings
from mcpgw.protocol.jsonrpc import decode
from mcpgw.protocol.mcp import SUBSCRIPTION_META
from tests.front.http.support import call


def make_buffer() -> EventBuffer:
    settings = HttpSettings()
    return EventBuffer(settings, MemoryBudget(settings.unread_total_bytes))


def taken(event_buffer: EventBuffer) -> list[Any]:
    """Return the unread messages of a buffer."""
    return [decode(line) for _, line in event_buffer.take()]


def note(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params or {}}


class TestRouting:
    async def test_sends_each_message_on_one_stream(self) -> None:
        """Answers and messages about a request go to its buffer, the rest to the standalone one."""
        standalone, first, second = (make_buffer() for _ in range(3))
        session_channel = SessionChannel(standalone)
        await session_channel.post(call("a", request_id=1), first)
        await session_channel.post(call("b", request_id="1"), second)
        assert session_channel.send_nowait(note("about"), about=1)
        assert session_channel.send_nowait(note("about nothing"))
        assert session_channel.send_nowait(note("about the past"), about=99)
        await session_channel.send(call("question", request_id=5), about="1")
        await session_channel.send({"jsonrpc": "2.0", "id": 1, "result": {}})
        await session_channel.send(note("late"), about=1)

        assert ["about", None] == [message.get("method") for message in taken(first)]
        assert ["question"] == [message["method"] for message in taken(second)]
        methods = [message["method"] for message in taken(standalone)]
        assert ["about nothing", "about the past", "late"] == methods
        assert first.ended
        assert not second.ended

    async def test_drops_an_answer_that_nobody_waits_for(self) -> None:
        """An answer after its request was cancelled goes nowhere."""
        standalone, event_buffer = make_buffer(), make_buffer()
        session_channel = SessionChannel(standalone)
        await session_channel.post(call("a", request_id=1), event_buffer)
        await session_channel.inject(note("notifications/cancelled", {"requestId": 1}))
        await session_channel.send({"jsonrpc": "2.0", "id": 1, "result": {}})

        assert event_buffer.ended
        assert [] == taken(event_buffer)
        assert [] == taken(standalone)

    async def test_makes_those_wait_who_bring_too_much(self) -> None:
        """A peer that does not read is not buried in messages."""
        session_channel = SessionChannel(make_buffer())
        arrived = 0

        async def bring() -> None:
            nonlocal arrived
            await session_channel.inject(note("n"))
            arrived += 1

        async with trio.open_nursery() as nursery:
            for _ in range(MAX_WAITING + 5):
                nursery.start_soon(bring)
            await trio.testing.wait_all_tasks_blocked()
            assert MAX_WAITING == arrived
            for _ in range(5):
                await session_channel.receive()
            await trio.testing.wait_all_tasks_blocked()

            assert MAX_WAITING + 5 == arrived

    async def test_ends_everything_when_nobody_serves_it(self) -> None:
        """`end` ends the open answers; a reader finds the end."""
        standalone, event_buffer = make_buffer(), make_buffer()
        session_channel = SessionChannel(standalone)
        await session_channel.post(call("a"), event_buffer)
        session_channel.end()

        assert event_buffer.ended
        assert standalone.ended
        assert session_channel.is_dead
        assert "a" == (await session_channel.receive())["method"]  # type: ignore[call-overload, index]
        with pytest.raises(trio.EndOfChannel):
            await session_channel.receive()


class TestManyClients:
    async def test_have_ids_of_their_own_inside(self) -> None:
        """Equal ids of two clients differ inside, and each gets its own back with its type."""
        session_channel = SessionChannel(rewrite_ids=True)
        event_buffers = {key: make_buffer() for key in ("int", "str", "other")}
        ids: dict[str, Any] = {"int": 1, "str": "1", "other": 1}
        inner = {}
        for key, event_buffer in event_buffers.items():
            request = call("x", {"_meta": {"progressToken": 1}}, request_id=ids[key])
            await session_channel.post(request, event_buffer)
            received: Any = await session_channel.receive()
            inner[key] = received["id"]
            assert 1 == received["params"]["_meta"]["progressToken"]
            assert ids[key] == request["id"]
        assert 3 == len(set(inner.values()))
        for key in ("other", "str", "int"):
            await session_channel.send({"jsonrpc": "2.0", "id": inner[key], "result": {"key": key}})

        for key, event_buffer in event_buffers.items():
            expected = [{"jsonrpc": "2.0", "id": ids[key], "result": {"key": key}}]
            assert expected == taken(event_buffer)
            assert type(ids[key]) is type(event_buffer.request_id)

    async def test_see_their_own_ids_in_subscriptions_and_cancellations(self) -> None:
        """If a message contains the request's id, its client sees its own id."""
        session_channel = SessionChannel(rewrite_ids=True)
        event_buffer = make_buffer()
        await session_channel.post(call("subscriptions/listen", request_id="mine"), event_buffer)
        inner: Any = (await session_channel.receive())["id"]  # type: ignore[call-overload, index]
        meta = {"_meta": {SUBSCRIPTION_META: inner, "kept": 1}}
        session_channel.send_nowait(note("notifications/tools/list_changed", meta), about=inner)
        session_channel.send_nowait(
            note("notifications/cancelled", {"requestId": inner}), about=inner
        )
        await session_channel.send({"jsonrpc": "2.0", "id": inner, "result": meta})
        changed, cancelled, answer = taken(event_buffer)

        assert {SUBSCRIPTION_META: "mine", "kept": 1} == changed["params"]["_meta"]
        assert "mine" == cancelled["params"]["requestId"]
        assert {SUBSCRIPTION_META: "mine", "kept": 1} == answer["result"]["_meta"]
        assert "mine" == answer["id"]
        assert meta["_meta"][SUBSCRIPTION_META] == inner

    async def test_are_asked_nothing(self) -> None:
        """The stateless era has no requests to a client; messages about no request are dropped."""
        session_channel = SessionChannel(rewrite_ids=True)
        await session_channel.post(call("x"), make_buffer())
        inner: Any = (await session_channel.receive())["id"]  # type: ignore[call-overload, index]

        assert not session_channel.send_nowait(note("n"))
        with pytest.raises(trio.BrokenResourceError):
            await session_channel.send(call("sampling/createMessage"), about=inner)

    async def test_cancel_by_leaving(self) -> None:
        """A client that leaves cancels its request by the id inside, once."""
        session_channel = SessionChannel(rewrite_ids=True)
        event_buffer = make_buffer()
        await session_channel.post(call("x", request_id="mine"), event_buffer)
        inner: Any = (await session_channel.receive())["id"]  # type: ignore[call-overload, index]
        session_channel.abandon(event_buffer)
        session_channel.abandon(event_buffer)
        cancel: Any = await session_channel.receive()
        session_channel.close()

        assert ("notifications/cancelled", inner) == (
            cancel["method"],
            cancel["params"]["requestId"],
        )
        with pytest.raises(trio.EndOfChannel):
            await session_channel.receive()
        assert not session_channel.is_busy


async def test_what_is_no_json_stays_inside() -> None:
    """A notification that JSON cannot represent is dropped, and `send_nowait` returns False."""
    session_channel = SessionChannel(make_buffer())

    assert not session_channel.send_nowait(note("n", {"x": float("nan")}))
