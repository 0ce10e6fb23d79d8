"""Servers that stop answering: how often that counts, and how soon they are replaced."""

from __future__ import annotations

import contextlib

import attrs
import pytest
import trio
from trio.testing import MockClock

from mcpgw.config.failsafe import (
    CircuitBreakerConfig,
    FailsafeConfig,
    HealthCheckConfig,
    RateLimitConfig,
)
from mcpgw.config.governance import ErrorBudgetConfig, ErrorWindowConfig
from mcpgw.pipeline.call import CallFailed
from mcpgw.protocol.peer import Params
from tests.pipeline.helpers import bench, plain

WINDOW = ErrorBudgetConfig(
    tool=ErrorWindowConfig(min_samples=4, cooldown=60.0),
    server=ErrorWindowConfig(min_samples=8, cooldown=120.0),
)
SILENT = {"timeout": 2.0}
NO_BREAKER = FailsafeConfig(
    rate_limit=RateLimitConfig(enabled=False),
    circuit_breaker=CircuitBreakerConfig(enabled=False),
    health_check=HealthCheckConfig(interval=30.0, timeout=5.0),
)


async def test_calls_that_time_out_together_count_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A stall of the server has one cause, however many calls it delays."""

    async def answer(params: Params) -> Params:
        if trio.current_time() < stalled_until:
            await trio.sleep(4)
        return await plain(params)

    async with bench(
        monkeypatch, answer, error_budget=WINDOW, failsafe=NO_BREAKER, settings=SILENT
    ) as it:
        stalled_until = trio.current_time() + 3
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(it.fails, "read")
                await trio.sleep(0.1)
        assert [] == it.pipeline.errors.disabled()
        await trio.sleep(5)
        await it.call("read")


@pytest.mark.parametrize("pause", [0.5, 1.0, 3.0])
async def test_a_wedged_server_is_found_and_replaced_under_steady_calls(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, pause: float
) -> None:
    """A call's timeout has the server pinged at once, although other calls are in flight; what
    the dead process was disabled for does not concern its successor."""
    wedged = True

    async def answer(params: Params) -> Params:
        if wedged:
            await trio.sleep_forever()
        return await plain(params)

    async with bench(
        monkeypatch, answer, error_budget=WINDOW, failsafe=NO_BREAKER, settings=SILENT, lives=2
    ) as it:
        it.life.answers_ping = False
        answered: list[float] = []

        async def call() -> None:
            with contextlib.suppress(CallFailed):
                await it.call("read")
                answered.append(trio.current_time())

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            while not answered and trio.current_time() < began + 60:
                nursery.start_soon(call)
                await trio.sleep(pause)
                wedged = it.pipeline.pool.get("one").starts < 2
        assert answered[0] - began < 2 + 2 * 5 + 2 * pause + 1


async def test_a_busy_server_is_not_pinged(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A call in flight that has not timed out excuses a server that answers no ping."""

    async def answer(params: Params) -> Params:
        await trio.sleep(100)
        return await plain(params)

    failsafe = attrs.evolve(NO_BREAKER, health_check=HealthCheckConfig(interval=5.0, timeout=1.0))
    async with bench(monkeypatch, answer, failsafe=failsafe, settings={"timeout": 200.0}) as it:
        it.life.answers_ping = False
        await it.call("read")
        assert it.pipeline.pool.get("one").starts == 1
