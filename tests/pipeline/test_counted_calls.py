"""Counts of calls: the server's own time, real tools, and windows of errors."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from mcpgw.config.governance import ErrorBudgetConfig, ErrorWindowConfig
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.error_budgets import ErrorBudgets
from mcpgw.pipeline.stages.accounting import UNKNOWN_NAMES, Accounting
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params
from tests.pipeline.helpers import bench


async def test_the_time_of_a_call_is_that_of_its_server(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The start of a server, queues, and earlier attempts do not count; so ranking is fair."""
    async with bench(monkeypatch) as b:
        await b.call("read")  # its lists are known now
        accounting = Accounting(b.pipeline.pool, b.pipeline.usage, b.pipeline.prices)

        async def proceed(call: Call) -> Params:
            await trio.sleep(60)
            for pause in (30, 0.02):
                call.sent, call.sent_at = True, trio.current_time()
                await trio.sleep(pause)
            if call.name == "write":
                raise CallFailed(Recovery.BACKEND_TIMEOUT, "late")
            return {"content": []}

        await accounting(Call("one", "tools/call", "lookup", {}), proceed)
        with pytest.raises(CallFailed):
            await accounting(Call("one", "tools/call", "write", {}), proceed)

        for name in ("lookup", "write"):
            usage = b.pipeline.usage.tool("one", name)
            assert usage is not None
            assert usage.p50 is not None
            assert usage.p50 < 0.1


@pytest.mark.parametrize(
    "outcome",
    [
        CallFailed(Recovery.BACKEND_UNREACHABLE, "down"),
        CallFailed(Recovery.CIRCUIT_OPEN, "open"),
        CallFailed(Recovery.TOOL_NOT_FOUND, "unknown"),
        CallFailed(Recovery.NOT_ALLOWED, "no"),
        RpcError(-32602, "Unknown tool"),
        {"isError": True, "content": [{"type": "text", "text": "Unknown tool"}]},
    ],
    ids=lambda outcome: type(outcome).__name__,
)
async def test_a_name_that_no_server_lists_has_no_statistics(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, outcome: Params | Exception
) -> None:
    """However such a call ends, and whatever the state of its server is."""
    async with bench(monkeypatch) as b:
        await b.call("read")
        accounting = Accounting(b.pipeline.pool, b.pipeline.usage, b.pipeline.prices)

        async def proceed(call: Call) -> Params:
            if isinstance(outcome, Exception):
                raise outcome
            return dict(outcome)

        for server, name in (("one", "raed"), ("eno", "read")):
            call = Call(server, "tools/call", name, {})
            if isinstance(outcome, Exception):
                with pytest.raises(type(outcome)):
                    await accounting(call, proceed)
            else:
                await accounting(call, proceed)

        assert {("one", "read")} == set(b.pipeline.usage.tools())
        assert 2 == b.pipeline.usage.counter(UNKNOWN_NAMES)


CALLS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans(), st.floats(0, 40)),
    max_size=80,
)


@given(CALLS)
def test_the_window_of_a_server_has_the_latest_calls_of_all_its_tools(
    calls: list[tuple[str, str, bool, float]],
) -> None:
    """It is kept with each call, and is what a look at all calls would give."""
    whole = ErrorWindowConfig(
        threshold=1.1, window=100.0, window_calls=10, min_samples=1, cooldown=5.0
    )
    now = 0.0
    budgets = ErrorBudgets(ErrorBudgetConfig(tool=whole, server=whole), clock=lambda: now)
    seen: list[tuple[str, float, bool]] = []
    for server, tool, failed, pause in calls:
        now += pause
        budgets.record(server, tool, failed=failed)
        seen.append((server, now, failed))
        for name in "ab":
            latest = [f for s, when, f in seen if s == name and when > now - 100.0][-10:]
            assert (len(latest) - sum(latest), sum(latest)) == budgets.window(name)


def test_a_failed_call_costs_the_same_with_many_tools() -> None:
    """Only the windows of its tool and of its server are touched."""
    budgets = ErrorBudgets(clock=lambda: 1.0)
    for number in range(2_000):
        budgets.record(f"s{number % 20}", f"t{number}", failed=number % 7 == 0)
    touched: list[object] = []

    class Counting(dict):  # type: ignore[type-arg]
        def items(self) -> object:  # type: ignore[override]
            touched.append(1)
            return super().items()

    budgets._windows = Counting(budgets._windows)
    budgets.record("s1", "t1", failed=True)
    budgets.window("s1")
    assert [] == touched
