"""One end of a JSON-RPC conversation, driven through memory channels."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.protocol.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    ConnectionLost,
    RpcError,
)
from mcpgw.protocol.jsonrpc import Malformed
from mcpgw.protocol.peer import Params, Request
from tests.support.memory import channel_pair, echo, make_peer, running


def request(request_id: Any, method: str = "x", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


class TestRequests:
    async def test_answer_comes_back(self) -> None:
        """A request is answered by what the other side serves."""
        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=echo)
        async with running(client, server):
            answer = await client.request("tools/call", {"a": 1})

        assert {"method": "tools/call", "params": {"a": 1}} == answer

    async def test_error_comes_back_whole(self) -> None:
        """Code, message and data of an error reach the caller."""

        async def fail(_request: Request) -> Params:
            raise RpcError(-32050, "no", {"why": [1]})

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=fail)
        async with running(client, server):
            with pytest.raises(RpcError) as caught:
                await client.request("x")

        assert (-32050, "no", {"why": [1]}) == (
            caught.value.code,
            caught.value.message,
            caught.value.data,
        )

    async def test_a_slow_one_delays_nobody(self, autojump_clock: MockClock) -> None:
        """Answers come in the order in which they are ready."""

        async def serve(request: Request) -> Params:
            await trio.sleep(request.params["seconds"])
            return request.params

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=serve)
        order = []

        async def ask(seconds: float) -> None:
            order.append((await client.request("x", {"seconds": seconds}))["seconds"])

        async with running(client, server), trio.open_nursery() as nursery:
            for seconds in (3, 1, 2):
                nursery.start_soon(ask, seconds)

        assert [1, 2, 3] == order

    async def test_end_of_conversation_fails_what_waits(self) -> None:
        """A request whose answer can no longer come raises ConnectionLost, marked as sent."""
        here, there = channel_pair()
        client = make_peer(here, "backend")
        async with running(client) as nursery:

            async def ask() -> None:
                with pytest.raises(ConnectionLost) as caught:
                    await client.request("x")
                assert caught.value.sent

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            there.end()
            await wait_all_tasks_blocked()
            assert 0 == client.pending
            with pytest.raises(ConnectionLost) as caught:
                await client.request("x")
            assert not caught.value.sent

    async def test_late_and_unknown_answers_are_dropped(self) -> None:
        """An answer to nothing harms nothing, and a second answer to one request neither."""
        here, there = channel_pair()
        client = make_peer(here)
        async with running(client) as nursery:
            there.send_nowait({"jsonrpc": "2.0", "id": 99, "result": {}})
            there.send_nowait({"jsonrpc": "2.0", "id": "one", "result": {}})
            answers = []

            async def ask() -> None:
                answers.append(await client.request("x"))

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            there.send_nowait({"jsonrpc": "2.0", "id": 1, "result": {"n": 1}})
            there.send_nowait({"jsonrpc": "2.0", "id": 1, "result": {"n": 2}})
            await wait_all_tasks_blocked()

        assert [{"n": 1}] == answers

    async def test_a_result_that_is_no_object_is_an_error(self) -> None:
        """A result of the wrong type fails the call instead of passing on."""
        here, there = channel_pair()
        client = make_peer(here)
        async with running(client) as nursery:

            async def ask() -> None:
                with pytest.raises(RpcError):
                    await client.request("x")

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            there.send_nowait({"jsonrpc": "2.0", "id": 1, "result": [1]})
            await wait_all_tasks_blocked()


class TestCancellation:
    async def test_a_deadline_tells_the_other_side(self, autojump_clock: MockClock) -> None:
        """When the caller's time is up the other side gets one `notifications/cancelled`."""
        cancelled = []

        async def serve(request: Request) -> Params:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                cancelled.append(request.id)
                raise

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=serve)
        async with running(client, server):
            with trio.move_on_after(5):
                await client.request("x")
            await wait_all_tasks_blocked()
            assert [1] == cancelled
            assert [] == there.sent
            assert 0 == client.pending

        sent = [m for m in here.sent if m["method"] == "notifications/cancelled"]
        assert [1] == [m["params"]["requestId"] for m in sent]

    async def test_initialize_is_never_cancelled(self, autojump_clock: MockClock) -> None:
        """The handshake is given up in silence (MCP, cancellation)."""
        here, _there = channel_pair()
        client = make_peer(here)
        async with running(client):
            with trio.move_on_after(5):
                await client.request("initialize")

        assert ["initialize"] == [m["method"] for m in here.sent]

    async def test_an_answer_that_crosses_the_cancel_is_dropped(
        self, autojump_clock: MockClock
    ) -> None:
        """A late answer to a cancelled request harms nothing."""
        here, there = channel_pair()
        client = make_peer(here)
        async with running(client):
            with trio.move_on_after(1):
                await client.request("x")
            there.send_nowait({"jsonrpc": "2.0", "id": 1, "result": {}})
            await wait_all_tasks_blocked()

    async def test_cancel_of_what_is_unknown_or_odd_is_ignored(self) -> None:
        """A cancel for no request, with an id of the wrong kind or none, does nothing."""
        here, there = channel_pair()
        server = make_peer(here, serve=echo)
        async with running(server):
            for odd in (99, "1", None, [1], {"a": 1}, 1.5, True):
                params = {"requestId": odd}
                there.send_nowait(
                    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
                )
            there.send_nowait({"jsonrpc": "2.0", "method": "notifications/cancelled"})
            there.send_nowait(
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/progress",
                    "params": {"progressToken": ["unhashable"]},
                }
            )
            there.send_nowait(request(1))
            await wait_all_tasks_blocked()

        assert [1] == [m["id"] for m in here.sent]


class TestProgress:
    async def test_progress_comes_under_the_askers_token(self) -> None:
        """The token on the wire is ours; the caller's own token is returned to it, in order."""

        async def serve(request: Request) -> Params:
            for step in (1, 2):
                request.send_progress({"progress": step, "total": 2})
            return {}

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=serve)
        seen: list[Params] = []
        async with running(client, server):
            params = {"_meta": {"progressToken": "mine", "keep": 1}}
            await client.request("x", params, on_progress=seen.append)

        assert [1, 2] == [report["progress"] for report in seen]
        assert {"progressToken": 1, "keep": 1} == here.sent[0]["params"]["_meta"]
        assert {"_meta": {"progressToken": "mine", "keep": 1}} == params

    async def test_no_progress_without_a_token_or_after_the_answer(self) -> None:
        """Progress is sent only with a token, and never after the response."""
        kept: list[Request] = []

        async def serve(request: Request) -> Params:
            kept.append(request)
            request.send_progress({"progress": 1})
            return {}

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=serve)
        async with running(client, server):
            await client.request("x")
            await client.request("x", on_progress=lambda _params: None)
            sent = len(there.sent)
            kept[1].send_progress({"progress": 2})
            assert sent == len(there.sent)


class TestFaults:
    @pytest.mark.parametrize(
        ("message", "code", "request_id"),
        [
            (Malformed(-32700, "not JSON"), -32700, None),
            ([request(1)], INVALID_REQUEST, None),
            ([], INVALID_REQUEST, None),
            ({"jsonrpc": "2.0", "id": 4}, INVALID_REQUEST, 4),
            ({"id": 5, "method": "x"}, INVALID_REQUEST, 5),
            ({"jsonrpc": "2.0", "id": [1], "method": "x"}, INVALID_REQUEST, None),
            ({"jsonrpc": "2.0", "id": 6, "method": "x", "params": 3}, INVALID_PARAMS, 6),
            (request(7, "nothing/here"), METHOD_NOT_FOUND, 7),
        ],
    )
    async def test_each_gets_its_error_and_the_session_goes_on(
        self, message: Any, code: int, request_id: Any
    ) -> None:
        """A faulty line is answered by its code, and the next request is served."""
        here, there = channel_pair()
        server = make_peer(here, answer_malformed=True)
        async with running(server):
            there.send_nowait(message)
            there.send_nowait(request("next", "ping"))
            await wait_all_tasks_blocked()

        by_id = {m.get("id"): m for m in here.sent}
        assert {} == by_id["next"]["result"]
        assert code == by_id[request_id]["error"]["code"]
        assert 2 == len(here.sent)

    async def test_an_id_in_flight_is_refused_and_the_first_still_answered(self) -> None:
        """A repeated id is an invalid request; the call that has it goes on."""
        gate = trio.Event()

        async def serve(_request: Request) -> Params:
            await gate.wait()
            return {"first": True}

        here, there = channel_pair()
        server = make_peer(here, serve=serve)
        async with running(server):
            there.send_nowait(request(1))
            there.send_nowait(request(1))
            there.send_nowait(request("1", "ping"))
            await wait_all_tasks_blocked()
            gate.set()
            await wait_all_tasks_blocked()

        errors = [m["error"]["code"] for m in here.sent if "error" in m]
        assert [INVALID_REQUEST] == errors
        assert [{}, {"first": True}] == [m["result"] for m in here.sent if "result" in m]

    async def test_a_crash_is_one_requests_matter(self, capsys: Any) -> None:
        """An exception in a handler answers its request with an internal error."""

        async def serve(request: Request) -> Params:
            if request.params.get("boom"):
                raise ZeroDivisionError
            return {}

        here, there = channel_pair()
        client, server = make_peer(here), make_peer(there, serve=serve)
        async with running(client, server):
            with pytest.raises(RpcError) as caught:
                await client.request("x", {"boom": True})
            assert {} == await client.request("x")

        assert INTERNAL_ERROR == caught.value.code
        assert "request.crashed" in capsys.readouterr().err

    async def test_a_batch_where_the_revision_has_them(self) -> None:
        """A batch is answered by one array of its requests' answers (MCP 2025-03-26)."""
        here, there = channel_pair()
        server = make_peer(here, serve=echo, accepts_batches=True)
        async with running(server):
            there.send_nowait(
                [
                    request(1, "ping"),
                    {"jsonrpc": "2.0", "method": "notifications/x"},
                    request(2, "y"),
                    7,
                    request(3, "initialize"),
                ]
            )
            await wait_all_tasks_blocked()

        [batch] = here.sent
        results = {m["id"]: m["result"] for m in batch if "result" in m}
        assert {1: {}, 2: {"method": "y", "params": {}}} == results
        errors = {m.get("id"): m["error"]["code"] for m in batch if "error" in m}
        assert {None: INVALID_REQUEST, 3: INVALID_REQUEST} == errors

    async def test_a_backends_garbage_is_not_answered(self) -> None:
        """A backend's other output is ignored, but an oversized response fails its request."""
        here, there = channel_pair()
        client = make_peer(here)
        async with running(client) as nursery:
            there.send_nowait(Malformed(-32700, "banner"))

            async def ask() -> None:
                with pytest.raises(RpcError, match="too large"):
                    await client.request("x")

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            there.send_nowait(Malformed(-32600, "too large", 1, answers=True))
            await wait_all_tasks_blocked()

        assert ["x"] == [m["method"] for m in here.sent]


class TestEnd:
    async def test_requests_in_flight_finish_within_the_grace(
        self, autojump_clock: MockClock
    ) -> None:
        """After the end of input a quick call is still answered; a slow one is given up."""

        async def serve(request: Request) -> Params:
            await trio.sleep(request.params["seconds"])
            return request.params

        here, there = channel_pair()
        server = make_peer(here, serve=serve, end_grace=5.0)
        there.send_nowait(request(1, seconds=2))
        there.send_nowait(request(2, seconds=60))
        there.end()
        began = trio.current_time()
        await server.run()

        assert [1, 2] == [m["id"] for m in here.sent]
        assert "cut off" in here.sent[1]["error"]["message"]
        assert trio.current_time() - began == pytest.approx(5.0, abs=0.1)

    async def test_finish_ends_a_conversation_that_is_still_open(
        self, autojump_clock: MockClock
    ) -> None:
        """`finish` reads no more and gives requests in flight its own grace."""
        here, there = channel_pair()

        async def serve(_request: Request) -> Params:
            await trio.sleep_forever()
            raise AssertionError

        server = make_peer(here, serve=serve, end_grace=30.0)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            there.send_nowait(request(1))
            await wait_all_tasks_blocked()
            began = trio.current_time()
            server.finish(1.0)

        assert trio.current_time() - began == pytest.approx(1.0, abs=0.1)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0, 5), st.sampled_from(["ok", "error", "silent"])),
        max_size=20,
    ),
    st.floats(0, 6),
)
def test_every_request_ends_exactly_once(
    calls: list[tuple[float, float, str]], end_at: float
) -> None:
    """Whatever the timing of answers, cancels and the end, each request ends once and no slot
    stays behind."""

    async def main() -> None:
        here, there = channel_pair()
        client = make_peer(here)
        outcomes: dict[int, str] = {}

        async def serve(request: Request) -> Params:
            _wait, takes, kind = calls[request.params["n"]]
            await trio.sleep(takes)
            if kind == "error":
                raise RpcError(-1, "no")
            if kind == "silent":
                await trio.sleep_forever()
            return {}

        server = make_peer(there, serve=serve)

        async def ask(n: int, patience: float) -> None:
            assert n not in outcomes
            with trio.move_on_after(patience) as scope:
                try:
                    await client.request("x", {"n": n})
                    outcomes[n] = "ok"
                except RpcError:
                    outcomes[n] = "error"
                except ConnectionLost:
                    outcomes[n] = "lost"
            if scope.cancelled_caught:
                outcomes[n] = "cancelled"

        async with running(client, server), trio.open_nursery() as nursery:
            for n, (patience, _takes, _kind) in enumerate(calls):
                nursery.start_soon(ask, n, patience)
            await trio.sleep(end_at)
            there.end()
        assert set(range(len(calls))) == set(outcomes)
        assert 0 == client.pending

    trio.run(main, clock=MockClock(autojump_threshold=0))
