"""The way of one call, through scripted backends on a clock that jumps."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.backends.pool import BackendPool
from mcpgw.config.failsafe import (
    CircuitBreakerConfig,
    ConcurrencyConfig,
    FailsafeConfig,
    RateLimitConfig,
)
from mcpgw.config.governance import CacheConfig
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.pipeline.call import Call, CallFailed, Recovery, new_trace_id
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params, Request
from mcpgw.usage.recorder import Usage
from tests.support.scripted import Life, Script, scripted_pool

FREE = FailsafeConfig(rate_limit=RateLimitConfig(enabled=False))


async def answer(request: Request) -> Params:
    return {"content": [], "echo": request.params}


def call(tool: str = "read", server: str = "one") -> Call:
    return Call(server, "tools/call", tool, {"name": tool, "arguments": {}})


async def failure(pipeline: Pipeline, the_call: Call) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await pipeline.call(the_call)
    return caught.value


def names(pool: BackendPool) -> list[str]:
    backend = pool.get("one")
    assert backend is not None
    stages = Pipeline(pool, Usage()).backend_stages(backend)
    return [getattr(stage, "__name__", type(stage).__name__) for stage in stages]


async def test_the_order_and_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The stages of a backend are in order, without disabled ones."""
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}) as pool:
        assert [
            "kill_switch",
            "ErrorBudget",
            "deadline",
            "FindTool",
            "CheckArguments",
            "Cache",
            "rate_limit",
            "concurrency",
            "retry",
            "breaker",
            "live_definition",
        ] == (names(pool))
    bare = FailsafeConfig(
        circuit_breaker=CircuitBreakerConfig(enabled=False),
        rate_limit=RateLimitConfig(enabled=False),
        concurrency=ConcurrencyConfig(enabled=False),
    )
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}, failsafe=bare) as pool:
        assert [
            "kill_switch",
            "ErrorBudget",
            "deadline",
            "FindTool",
            "CheckArguments",
            "Cache",
            "retry",
            "live_definition",
        ] == names(pool)


async def test_a_call_that_goes_through(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The answer is the backend's own, with a trace id, and the call is counted."""
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}) as pool:
        usage = Usage()
        result = await Pipeline(pool, usage).call(call())

    trace_id = result["trace_id"]
    assert re.fullmatch(r"gw-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        trace_id)  # fmt: skip
    assert {"gateway/trace_id": trace_id} == result["_meta"]
    meta = result["echo"].pop("_meta")
    assert {"name": "read", "arguments": {}} == result["echo"]
    assert {"gateway/trace_id": trace_id} == {k: v for k, v in meta.items() if k != "progressToken"}
    assert "progressToken" in meta  # a server that reports progress has more time
    counted = usage.tool("one", "read")
    assert counted is not None
    assert (1, 0) == (counted.calls, counted.failures)


async def test_unknown_names_get_the_nearest(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A wrong server or tool is refused with the names that may have been meant."""
    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}) as pool:
        pipeline = Pipeline(pool, Usage())
        server = await failure(pipeline, call(server="on"))
        tool = await failure(pipeline, call("reed"))

    assert (Recovery.TOOL_NOT_FOUND, ("one",)) == (server.recovery, server.related)
    assert (Recovery.TOOL_NOT_FOUND, ("read",)) == (tool.recovery, tool.related)
    assert "Did you mean: read?" in str(tool)


STRICT = {
    "name": "strict",
    "inputSchema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "depth": {"type": "integer"}},
        "required": ["path"],
        "additionalProperties": False,
    },
}
LOOSE = {"name": "loose", "inputSchema": {**STRICT["inputSchema"], "additionalProperties": True}}


@pytest.mark.parametrize(
    ("tool", "arguments", "guess"),
    [
        ("strict", {"path": "x", "dept": 1}, "depth"),
        ("strict", {"pth": "x"}, "path"),
        ("strict", {"path": "x", "zzz": 1}, None),
        ("loose", {"pth": "x"}, "path"),
    ],
)
async def test_a_misspelt_argument_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    tool: str,
    arguments: dict[str, Any],
    guess: str | None,
) -> None:
    """An argument that the tool does not have is refused with the one that was meant."""
    script = Script([Life(answer, tools=(STRICT, LOOSE))])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        the_call = call(tool)
        the_call.params["arguments"] = arguments
        error = await failure(Pipeline(pool, Usage()), the_call)

    assert Recovery.INVALID_PARAM is error.recovery
    assert () == error.related, "these are names of tools and servers"
    assert (f"did you mean '{guess}'?" in str(error)) is (guess is not None)
    assert "path*: string" in str(error)


async def test_arguments_that_a_schema_allows_go_through(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Unknown arguments are left to the backend if its schema allows others."""
    script = Script([Life(answer, tools=(STRICT, LOOSE))])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        the_call = call("loose")
        the_call.params["arguments"] = {"path": "x", "extra": 1}
        result = await Pipeline(pool, Usage()).call(the_call)

    assert {"path": "x", "extra": 1} == result["echo"]["arguments"]


async def test_a_call_has_its_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A silent tool fails after `timeout`, and that counts against the breaker."""

    async def silent(_request: Request) -> Params:
        await trio.sleep_forever()
        raise AssertionError

    async with scripted_pool(monkeypatch, {"one": Script([Life(silent)])}, timeout=9.0) as pool:
        pipeline = Pipeline(pool, Usage())
        began = trio.current_time()
        error = await failure(pipeline, call())
        backend = pool.get("one")
        assert backend is not None
        assert Recovery.BACKEND_TIMEOUT is error.recovery
        assert "did not answer 'read' within 9 s" in str(error)
        assert 9.0 == pytest.approx(trio.current_time() - began, abs=0.1)
        assert 1 == backend.breaker.snapshot()["current_failures"]


class TestRetry:
    async def lost_once(self, monkeypatch: pytest.MonkeyPatch, tool: str) -> tuple[Any, list[int]]:
        calls: list[int] = []
        first = Life()

        async def die(_request: Request) -> Params:
            calls.append(1)
            first.die()
            await trio.sleep_forever()
            raise AssertionError

        async def fine(_request: Request) -> Params:
            calls.append(2)
            return {"content": []}

        first.handle = die
        script = Script([first, Life(fine)])
        async with scripted_pool(monkeypatch, {"one": script}, failsafe=FREE) as pool:
            pipeline = Pipeline(pool, Usage())
            try:
                return await pipeline.call(call(tool)), calls
            except CallFailed as error:
                return error, calls

    async def test_a_read_only_tool_is_called_again(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """A read-only call is repeated after a crash, and the caller sees no failure."""
        result, calls = await self.lost_once(monkeypatch, "read")

        assert [1, 2] == calls
        assert [] == result["content"]

    async def test_any_other_tool_is_not(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """A call that may have taken effect is not repeated, and the error explains it."""
        error, calls = await self.lost_once(monkeypatch, "write")

        assert [1] == calls
        assert Recovery.BACKEND_ERROR is error.recovery
        assert "may have taken effect" in str(error)
        assert "exit status 3" in str(error)

    async def test_many_lost_calls_are_one_failure(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """A crash under many calls leaves the breaker closed."""
        first = Life()

        async def wait(_request: Request) -> Params:
            await trio.sleep_forever()
            raise AssertionError

        first.handle = wait
        script = Script([first, Life(answer)])
        async with scripted_pool(monkeypatch, {"one": script}, failsafe=FREE) as pool:
            pipeline = Pipeline(pool, Usage())
            results: list[Params] = []

            async def one() -> None:
                results.append(await pipeline.call(call()))

            async with trio.open_nursery() as nursery:
                for _ in range(200):
                    nursery.start_soon(one)
                await trio.sleep(1)
                first.die()
            assert 200 == len(results)
            assert 2 == len(script.started)


class TestBreaker:
    async def test_an_open_breaker_refuses_at_once_and_probes_later(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """After the threshold calls are refused without waiting; after the reset time one
        probe goes through, and its success lets the others follow."""
        silent = True

        async def serve(_request: Request) -> Params:
            if silent:
                await trio.sleep_forever()
            return {"content": []}

        failsafe = FailsafeConfig(
            circuit_breaker=CircuitBreakerConfig(failure_threshold=2, success_threshold=1)
        )
        script = Script([Life(serve)])
        async with scripted_pool(
            monkeypatch, {"one": script}, failsafe=failsafe, timeout=1.0
        ) as pool:
            pipeline = Pipeline(pool, Usage())
            for _ in range(2):
                assert Recovery.BACKEND_TIMEOUT is (await failure(pipeline, call())).recovery
            began = trio.current_time()
            refused = await failure(pipeline, call())
            assert Recovery.CIRCUIT_OPEN is refused.recovery
            assert "no answer within 1 s" in str(refused)
            assert began == trio.current_time()

            silent = False
            await trio.sleep(40)
            await pipeline.call(call())
            await pipeline.call(call())

    async def test_error_answers_are_answers(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """A JSON-RPC error of the backend never trips the breaker."""

        async def refuse(_request: Request) -> Params:
            raise RpcError(-32050, "no")

        async with scripted_pool(
            monkeypatch, {"one": Script([Life(refuse)])}, failsafe=FREE
        ) as pool:
            pipeline = Pipeline(pool, Usage())
            for _ in range(20):
                with pytest.raises(RpcError):
                    await pipeline.call(call())
            backend = pool.get("one")
            assert backend is not None
            assert "closed" == backend.breaker.snapshot()["state"]


class TestLimits:
    async def test_the_rate_is_kept(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """Calls beyond the burst wait for their turn."""
        failsafe = FailsafeConfig(rate_limit=RateLimitConfig(requests_per_second=10, burst_size=5))
        script = Script([Life(answer)])
        async with scripted_pool(monkeypatch, {"one": script}, failsafe=failsafe) as pool:
            pipeline = Pipeline(pool, Usage())
            await pipeline.call(call())
            await trio.sleep(10)
            began = trio.current_time()
            for _ in range(25):
                await pipeline.call(call())
            assert 2.0 == pytest.approx(trio.current_time() - began, abs=0.05)

    async def test_a_wait_longer_than_the_call_may_take_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """If no token is available in time, the call is refused at once with the wait."""
        failsafe = FailsafeConfig(rate_limit=RateLimitConfig(requests_per_second=0.1, burst_size=1))
        script = Script([Life(answer)])
        async with scripted_pool(
            monkeypatch, {"one": script}, failsafe=failsafe, timeout=5.0
        ) as pool:
            pipeline = Pipeline(pool, Usage())
            await pipeline.call(call())
            began = trio.current_time()
            error = await failure(pipeline, call())
            assert Recovery.RATE_LIMITED is error.recovery
            assert began == trio.current_time()

    async def test_so_many_at_once(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """No more calls are in flight than `max_in_flight` allows; all are answered."""
        under_way = most = 0

        async def serve(_request: Request) -> Params:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await trio.sleep(1)
            under_way -= 1
            return {"content": []}

        failsafe = FailsafeConfig(
            rate_limit=RateLimitConfig(enabled=False),
            concurrency=ConcurrencyConfig(max_in_flight=3),
        )
        script = Script([Life(serve)])
        async with scripted_pool(monkeypatch, {"one": script}, failsafe=failsafe) as pool:
            pipeline = Pipeline(pool, Usage())
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(pipeline.call, call())
            assert 3 == most


async def test_a_call_has_one_clock(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Waiting for one server after the other, which a reload replaces, takes no more time."""
    script = Script([Life(hangs=True) for _ in range(20)])
    async with scripted_pool(monkeypatch, {"one": script}, timeout=5.0) as pool:
        pipeline = Pipeline(pool, Usage())

        async def change() -> None:
            for number in range(10):
                await trio.sleep(1)
                settings = BackendConfig(name="one", command=("one", str(number)), timeout=5.0)
                pool.apply(GatewayConfig(backends={"one": settings}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            await wait_all_tasks_blocked()
            began = trio.current_time()
            error = await failure(pipeline, call())
            assert trio.current_time() - began == pytest.approx(5.0, abs=0.1)
            nursery.cancel_scope.cancel()
    assert Recovery.BACKEND_TIMEOUT is error.recovery


async def test_a_killed_server_takes_no_calls(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The kill switch refuses calls and starts nothing."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        backend.kill()
        await wait_all_tasks_blocked()
        error = await failure(Pipeline(pool, Usage()), call())

    assert Recovery.SERVER_DISABLED is error.recovery
    assert [] == script.started


def test_trace_ids_differ() -> None:
    """No two calls have the same id."""
    assert 1000 == len({new_trace_id() for _ in range(1000)})


async def test_a_server_that_was_changed_is_freed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """After a reload neither the pipeline nor its caches keep the old server and its lists."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        pipeline = Pipeline(pool, Usage())
        cached = CacheConfig(enabled="on")
        for timeout in (5.0, 6.0):
            settings = BackendConfig(name="one", command=("one", str(timeout)))
            config = GatewayConfig(backends={"one": settings}, cache=cached)
            pool.apply(config)
            pipeline.configure(config)
            await pipeline.call(call("read"))
            if timeout == 5.0:
                server = weakref.ref(pool.get("one"))
        await trio.sleep(60)
        gc.collect()
        assert server() is None
