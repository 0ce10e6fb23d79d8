"""Ends of requests that are unusual: results that are not JSON, errors during a cancellation."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from mcpgw.protocol.batch import send_batch
from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.jsonrpc import encode
from mcpgw.protocol.peer import Params, Request
from tests.support.memory import MemoryChannel, channel_pair, echo, make_peer, running


class EncodingChannel(MemoryChannel):
    """A channel that encodes what it sends, as a wire does."""

    async def send(self, message: Any, *, together: bool = False, about: Any = None) -> None:
        encode(message)
        await super().send(message)


async def test_an_invalid_result_in_a_batch_spoils_only_its_own_response() -> None:
    """An infinite number becomes an error; the session and the other responses are unharmed."""

    async def serve(request: Request) -> Params:
        return {"number": float("inf") if request.id == 1 else 0}

    here, there = channel_pair()
    channel = EncodingChannel(there._outgoing, there._incoming)
    async with running(make_peer(channel, serve=serve, accepts_batches=True)):
        await here.send([{"jsonrpc": "2.0", "id": n, "method": "x"} for n in (1, 2)])
        with trio.fail_after(5):
            answers = {each["id"]: each for each in await here.receive()}

    assert INTERNAL_ERROR == answers[1]["error"]["code"]
    assert {"number": 0} == answers[2]["result"]


async def test_a_batch_for_a_client_that_reads_no_more() -> None:
    """The loss of the client is reported, not raised."""

    class Closed(MemoryChannel):
        async def send(self, message: Any, *, together: bool = False, about: Any = None) -> None:
            raise trio.BrokenResourceError

    here, _there = channel_pair()
    closed = Closed(here._outgoing, here._incoming)
    assert not await send_batch(closed, [{"jsonrpc": "2.0", "id": 1, "result": {}}])


async def test_an_error_during_a_cancellation_ends_only_its_request() -> None:
    """A handler whose clean-up fails while another part of it is cancelled ends no session."""

    async def serve(request: Request) -> Params:
        if request.method == "echo":
            return await echo(request)

        async def fail_at_the_end() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise RpcError(-1, "the clean-up failed")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_at_the_end)
            nursery.start_soon(trio.sleep_forever)
        return {}

    here, there = channel_pair()
    async with running(make_peer(there, serve=serve)):
        await here.send({"jsonrpc": "2.0", "id": 1, "method": "work"})
        await wait_all_tasks_blocked()
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 1}}
        await here.send({"jsonrpc": "2.0", **cancelled})
        await wait_all_tasks_blocked()
        await here.send({"jsonrpc": "2.0", "id": 2, "method": "echo"})
        with trio.fail_after(5):
            answer = await here.receive()

    assert (2, "echo") == (answer["id"], answer["result"]["method"])
