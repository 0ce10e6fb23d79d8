"""Answers that are given again, and calls that are done once."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from mcpgw.config.governance import CacheConfig, IdempotencyConfig
from mcpgw.config.schema import ToolConfig
from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params
from tests.pipeline.helpers import bench


@pytest.mark.parametrize(
    ("mode", "read", "lookup", "write"),
    [("auto", 2, 1, 2), ("on", 1, 1, 2), ("off", 2, 2, 2)],
)
async def test_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    mode: str,
    read: int,
    lookup: int,
    write: int,
) -> None:
    """By itself only what is read-only and idempotent is kept; `true` keeps all that reads."""
    async with bench(monkeypatch, cache=CacheConfig(enabled=mode)) as it:
        for name in ("read", "lookup", "write"):
            for _ in range(2):
                await it.call(name, {"a": 1})
    assert [read, lookup, write] == [it.names.count(n) for n in ("read", "lookup", "write")]


async def test_an_answer_from_the_cache_says_so(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It has the same content, its age, and a trace id of its own; it is counted as a hit."""
    async with bench(monkeypatch) as it:
        first = await it.call("lookup", {"a": 1})
        await trio.sleep(7)
        second = await it.call("lookup", {"a": 1})
        usage = it.pipeline.usage.tool("one", "lookup")
    assert first["content"] == second["content"]
    assert 7.0 == pytest.approx(second["_meta"]["gateway/cached_for_s"], abs=0.1)
    assert "gateway/cached_for_s" not in first["_meta"]
    assert first["trace_id"] != second["trace_id"]
    assert usage is not None
    assert (2, 1) == (usage.calls, usage.cached)


async def test_kept_answers_end(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Expiry, a write to the server, other arguments or another caller cause a new request."""
    async with bench(monkeypatch, cache=CacheConfig(enabled="on", default_ttl=10.0)) as it:
        await it.call("read", {"a": 1})
        await trio.sleep(11)
        await it.call("read", {"a": 1})
        await it.call("write")
        await it.call("read", {"a": 1})
        await it.call("read", {"a": 2})
        await it.call("read", {"a": 1}, session=SessionState(caller="other"))
        assert 5 == it.names.count("read")
        await it.call("read", {"a": 1}, full=True)
        assert 6 == it.names.count("read")


async def test_errors_are_never_kept(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """An answer with `isError` is asked for again."""

    async def failing(_params: Params) -> Params:
        return {"content": [{"type": "text", "text": "no"}], "isError": True}

    async with bench(monkeypatch, failing) as it:
        await it.call("lookup")
        await it.call("lookup")
    assert 2 == len(it.asked)


async def test_a_read_that_a_write_overtakes_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A result read before a write is not returned after it."""

    async def answer(params: Params) -> Params:
        await trio.sleep(2 if params["name"] == "lookup" else 1)
        return {"content": []}

    async with bench(monkeypatch, answer) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.call, "lookup")
            nursery.start_soon(it.call, "write")
        await it.call("lookup")
    assert 2 == it.names.count("lookup")


async def test_single_tools_have_their_own_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """`tools.NAME.cache_ttl` holds whatever the tool declares; 0s is never."""
    tools = {"w*": ToolConfig(cache_ttl=5.0), "lookup": ToolConfig(cache_ttl=0.0)}
    async with bench(monkeypatch, settings={"tools": tools}) as it:
        for name in ("write", "write", "lookup", "lookup"):
            await it.call(name)
    assert ["write", "lookup", "lookup"] == it.names


async def test_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """No more answers are kept than `max_entries`."""
    async with bench(monkeypatch, cache=CacheConfig(max_entries=3)) as it:
        for number in (1, 2, 3, 4, 4, 3, 2, 1):
            await it.call("lookup", {"n": number})
        assert 3 == len(it.pipeline.cache)
    assert [1, 2, 3, 4, 1] == [params["arguments"]["n"] for params in it.asked]


async def test_a_key_makes_a_call_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A second call with the key gets the first one's answer; without one it is a new call."""
    async with bench(monkeypatch, idempotency=IdempotencyConfig(keep=60.0)) as it:
        first = await it.call("write", {"a": 1}, idempotency_key="k")
        second = await it.call("write", {"a": 1}, idempotency_key="k")
        await it.call("write", {"a": 1})
        other = await it.fails("write", {"a": 2}, idempotency_key="k")
        await trio.sleep(61)
        await it.call("write", {"a": 1}, idempotency_key="k")
    assert first["content"] == second["content"]
    assert second["_meta"]["gateway/repeated_answer"] is True
    assert Recovery.INVALID_PARAM is other.recovery
    assert 3 == len(it.asked)


async def test_a_key_in_flight_is_refused(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """While the first call is in flight, a second one with its key is refused as a duplicate."""

    async def slow(_params: Params) -> Params:
        await trio.sleep(5)
        return {"content": []}

    async with bench(monkeypatch, slow) as it, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.call("write", idempotency_key="k"))
        await trio.sleep(1)
        error = await it.fails("write", idempotency_key="k")
        assert (Recovery.DUPLICATE_REQUEST, True) == (error.recovery, error.recovery.retry)
        await trio.sleep(5)
        await it.call("write", idempotency_key="k")
    assert 1 == len(it.asked)


async def test_a_key_after_an_error_answer_is_free(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """An error is an answer: the call had no effect and may be made again."""

    async def refusing(_params: Params) -> Params:
        raise RpcError(-32050, "no")

    async with bench(monkeypatch, refusing) as it:
        for _ in range(2):
            with pytest.raises(RpcError):
                await it.call("write", idempotency_key="k")
    assert 2 == len(it.asked)


async def test_a_key_whose_call_may_have_happened_stays_taken(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """After a timeout the outcome is unknown; the call is not repeated."""

    async def never(_params: Params) -> Params:
        await trio.sleep_forever()
        raise AssertionError

    async with bench(monkeypatch, never, settings={"timeout": 3.0}) as it:
        first = await it.fails("write", idempotency_key="k")
        second = await it.fails("write", idempotency_key="k")
        assert 1 == it.names.count("write")
        await it.fails("set", idempotency_key="safe")
        await it.fails("set", idempotency_key="safe")
        assert 2 == it.names.count("set")
    assert Recovery.BACKEND_TIMEOUT is first.recovery
    assert "not repeated" in second.message
