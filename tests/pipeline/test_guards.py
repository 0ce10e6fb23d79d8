"""Guards of calls: profiles, sandboxes, error budgets, cost budgets."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mcpgw.config.governance import (
    AlertConfig,
    BudgetsConfig,
    CostConfig,
    ErrorBudgetConfig,
    ErrorWindowConfig,
    RoutingProfileConfig,
    SandboxConfig,
    SandboxProfileConfig,
)
from mcpgw.config.schema import ToolConfig
from mcpgw.pipeline.call import CallFailed, Recovery
from mcpgw.pipeline.prices import count_tokens
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params
from tests.pipeline.helpers import bench


async def test_a_profile_limits_a_session(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Servers and tools outside the session's profile are refused; other sessions go on."""
    profiles = {
        "reader": RoutingProfileConfig(allow_tools=("read", "one:look*"), deny_tools=("*up",)),
        "elsewhere": RoutingProfileConfig(deny_backends=("o*",)),
    }
    async with bench(monkeypatch, routing_profiles=profiles) as it:
        reader, away = SessionState(profile="reader"), SessionState(profile="elsewhere")
        await it.call("read", session=reader)
        denied = await it.fails("lookup", session=reader)
        write = await it.fails("write", session=reader)
        server = await it.fails("read", session=away)
        await it.call("write")
        await it.call("write", session=SessionState(profile="unknown"))
    assert "Tool 'lookup' is not available in the 'reader' routing profile" in denied.message
    assert {Recovery.NOT_ALLOWED} == {each.recovery for each in (denied, write, server)}
    assert "Backend 'one' is not available in the 'elsewhere' routing profile" in server.message
    assert ["read", "write", "write"] == it.names


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"allowed_backends": ("tw*",)}, "backend not allowed in this session: one"),
        ({"denied_tools": ("wri*",)}, "tool denied in this session: write"),
        ({"denied_tools": ("one:write",)}, "tool denied in this session: write"),
        ({"max_payload_bytes": 10}, "payload too large: 25 bytes exceeds limit of 10"),
    ],
)
async def test_a_sandbox_refuses(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    limits: dict[str, Any],
    text: str,
) -> None:
    """Calls refused by the session's sandbox do not reach the server."""
    sandbox = SandboxConfig("tight", {"tight": SandboxProfileConfig(**limits)})
    async with bench(monkeypatch, sandbox=sandbox) as it:
        error = await it.fails("write", {"text": "0123456789012"})
    assert (Recovery.NOT_ALLOWED, True) == (error.recovery, text in error.message)
    assert [] == it.asked


async def test_a_sandbox_counts_calls_of_each_session(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Only answered calls count; calls in flight hold their place."""
    sandbox = SandboxConfig("default", {"default": SandboxProfileConfig(max_calls=2)})
    async with bench(monkeypatch, sandbox=sandbox) as it:
        await it.fails("no_such_tool")
        await it.call("read")
        await it.call("read")
        error = await it.fails("read")
        await it.call("read", session=SessionState())
    assert "session call limit exceeded: attempted 3, limit 2" in error.message
    assert 3 == len(it.asked)


async def test_a_sandbox_ends_with_its_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A session may call for so long after its beginning."""
    sandbox = SandboxConfig("default", {"default": SandboxProfileConfig(max_duration=30.0)})
    old = SessionState()
    old.started -= 31
    async with bench(monkeypatch, sandbox=sandbox) as it:
        error = await it.fails("read", session=old)
        await it.call("read")
    assert "session expired: elapsed 31s, limit 30s" in error.message


WINDOW = ErrorBudgetConfig(
    tool=ErrorWindowConfig(min_samples=4, cooldown=60.0),
    server=ErrorWindowConfig(min_samples=8, cooldown=120.0),
)


def failing(result: Params) -> Any:
    async def answer(_params: Params) -> Params:
        return result

    return answer


UNWELL = failing({"content": [{"type": "text", "text": "HTTP 503 from upstream"}], "isError": True})
REFUSES = failing({"content": [{"type": "text", "text": "no such file"}], "isError": True})


async def test_a_tool_that_mostly_fails_rests_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """After enough failures it is refused without a call; after its time it is tried again."""
    async with bench(monkeypatch, UNWELL, error_budget=WINDOW) as it:
        for _ in range(4):
            assert "BACKEND_ERROR" == (await it.call("read"))["recovery"]["error_code"]
        error = await it.fails("read")
        await it.call("write")
        (disabled,) = it.pipeline.errors.disabled()
        assert Recovery.TOOL_DISABLED is error.recovery
        assert ("one", "read", 1.0) == (disabled.server, disabled.tool, disabled.error_rate)
        assert 60.0 == pytest.approx(disabled.remaining, abs=1)
        await trio.sleep(61)
        assert [] == it.pipeline.errors.disabled()
        await it.call("read")
    assert 6 == len(it.asked)


async def test_a_server_that_mostly_fails_rests(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Failures of all its tools together count for the server; `forget` enables it at once."""
    async with bench(monkeypatch, UNWELL, error_budget=WINDOW) as it:
        for name in ("read", "write", "set", "lookup") * 2:
            await it.call(name)
        error = await it.fails("set")
        assert ("one", "") in [(each.server, each.tool) for each in it.pipeline.errors.disabled()]
        assert it.pipeline.errors.forget("one")
        await it.call("set")
    assert Recovery.TOOL_DISABLED is error.recovery


async def test_what_is_not_the_servers_fault_never_counts(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Wrong names, refusals and plain error answers disable nothing, however many."""
    async with bench(monkeypatch, REFUSES, error_budget=WINDOW) as it:
        for number in range(12):
            await it.fails(f"typo_{number}")
            result = await it.call("read")
            assert "recovery" not in result
        assert [] == it.pipeline.errors.disabled()
        assert 12 == it.pipeline.usage.counter("unknown_names")
        assert [("one", "read")] == list(it.pipeline.usage.tools())


async def test_wrong_parameters_are_no_fault_and_internal_errors_are(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """JSON-RPC error codes distinguish the two."""
    codes = iter([-32602] * 6 + [-32603] * 4)

    async def answer(_params: Params) -> Params:
        raise RpcError(next(codes), "no")

    async with bench(monkeypatch, answer, error_budget=WINDOW) as it:
        for _ in range(6):
            with pytest.raises(RpcError):
                await it.call("read")
        assert (0, 0) == it.pipeline.errors.window("one")
        for _ in range(4):
            with pytest.raises(RpcError):
                await it.call("read")
        await it.fails("read")


def money(**fields: Any) -> CostConfig:
    return CostConfig(enabled=True, **fields)


async def test_a_budget_blocks(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """On the way it logs and warns; a call that would reach the limit is refused."""
    costs = money(tool_costs={"read": 0.01}, budgets=BudgetsConfig(daily=0.05))
    async with bench(monkeypatch, cost_governance=costs) as it:
        results = [await it.call("read") for _ in range(4)]
        error = await it.fails("read")
        await it.call("write")
    assert [False, False, False, True] == ["_cost_warnings" in result for result in results]
    assert Recovery.BUDGET_EXCEEDED is error.recovery
    assert "Global daily budget exceeded: $0.0500 >= $0.05" in error.message
    assert 40_000 == it.pipeline.usage.spent_today().total
    assert 4 == it.names.count("read")


async def test_calls_in_flight_count_as_spent(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Ten calls at once cannot spend more than one after the other could."""

    async def slow(_params: Params) -> Params:
        await trio.sleep(1)
        return {"content": []}

    costs = money(default_cost=1.0, budgets=BudgetsConfig(daily=5.0))
    refused: list[CallFailed] = []

    async with bench(monkeypatch, slow, cost_governance=costs) as it:

        async def one() -> None:
            try:
                await it.call("read")
            except CallFailed as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
    assert (4, 6) == (len(it.asked), len(refused))
    assert 4_000_000 == it.pipeline.usage.spent_today().total


@pytest.mark.parametrize(
    ("budgets", "name"),
    [
        (BudgetsConfig(per_tool={"read": 0.02}), "Tool 'read'"),
        (BudgetsConfig(per_tool={"one:read": 0.02}), "Tool 'read'"),
        (BudgetsConfig(per_server={"one": 0.02}), "Server 'one'"),
        (BudgetsConfig(per_key={"ann": 0.02}), "Key 'ann'"),
        (BudgetsConfig(per_session=0.02), "Session budget"),
    ],
)
async def test_every_kind_of_budget(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    budgets: BudgetsConfig,
    name: str,
) -> None:
    """Tools, servers, callers and sessions may each have their own."""
    costs = money(server_costs={"one": 0.01}, budgets=budgets)
    ann = SessionState(caller="ann")
    async with bench(monkeypatch, cost_governance=costs) as it:
        await it.call("read", session=ann)
        error = await it.fails("read", session=ann)
    assert name in error.message


async def test_other_tools_in_flight_do_not_count_for_a_tools_budget(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The price of another tool's call in flight does not affect this tool's budget."""

    async def slow(_params: Params) -> Params:
        await trio.sleep(1)
        return {"content": []}

    costs = money(default_cost=1.0, budgets=BudgetsConfig(per_tool={"read": 2.0}))
    async with bench(monkeypatch, slow, cost_governance=costs) as it:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(it.call, "write")
            nursery.start_soon(it.call, "read")
        await it.fails("read")
    assert 1 == it.names.count("read")


async def test_which_price_counts(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The tool's own, then by tool, pattern, server, and the default last; tokens on top."""
    costs = money(
        tool_costs={"one:read": 0.2, "loo*": 0.3},
        server_costs={"one": 0.4},
        token_costs={"one": 10.0},
    )

    async def answer(_params: Params) -> Params:
        return {"content": [], "usage": {"input_tokens": 1000, "output_tokens": 500}}

    settings = {"tools": {"set": ToolConfig(cost_per_call=0.1)}}
    async with bench(monkeypatch, answer, settings=settings, cost_governance=costs) as it:
        for name in ("set", "read", "lookup", "write"):
            await it.call(name)
        spent = {tool: cost.micro for (_, tool), cost in it.session.costs.items()}
        tokens = {cost.tokens for cost in it.session.costs.values()}
    each = 15_000
    assert {
        "set": 100_000 + each,
        "read": 200_000 + each,
        "lookup": 300_000 + each,
        "write": 400_000 + each,
    } == spent
    assert {1500} == tokens


async def test_what_is_answered_from_the_cache_is_free(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The server was not called, so nothing was spent."""
    async with bench(monkeypatch, cost_governance=money(default_cost=1.0)) as it:
        await it.call("lookup")
        await it.call("lookup")
    assert 1_000_000 == it.session.spent


async def test_a_cheaper_tool_is_named(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """If the configuration lists alternatives, the result suggests the cheapest."""
    costs = money(
        tool_costs={"read": 0.05, "lookup": 0.01, "set": 0.02},
        alternatives={"reading": ("read", "lookup", "set", "unpriced")},
    )
    async with bench(monkeypatch, cost_governance=costs) as it:
        dear = await it.call("read")
        cheap = await it.call("lookup")
    assert ("lookup", 0.04, 0.01) == tuple(
        dear["_cost_suggestion"][key]
        for key in ("alternative", "savings_per_call", "alternative_cost")
    )
    assert "_cost_suggestion" not in cheap


async def test_alerts_are_ours_to_choose(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Without a rule that blocks nothing is refused."""
    costs = money(
        default_cost=1.0,
        budgets=BudgetsConfig(daily=1.0),
        alerts=(AlertConfig(at_percent=100, action="notify"),),
    )
    async with bench(monkeypatch, cost_governance=costs) as it:
        result = await it.call("write")
        again = await it.call("write")
    assert ["Global daily budget is at 100% of $1.00"] == result["_cost_warnings"]
    assert ["Global daily budget is at 200% of $1.00"] == again["_cost_warnings"]


@pytest.mark.parametrize(
    ("result", "count", "cached"),
    [
        ({"content": [{"type": "text", "text": "abcde"}]}, 2, 0),
        ({"content": []}, 0, 0),
        ({"usage": {"prompt_tokens": 7, "completion_tokens": 3,
                    "prompt_tokens_details": {"cached_tokens": 5}}}, 10, 5),
        ({"structuredContent": {"usage": {"input_tokens": 4, "output_tokens": 1,
                                          "cache_read_input_tokens": 2}}}, 5, 2),
        ({"_meta": {"usage": {"total_tokens": 9}}}, 9, 0),
        ({"usage": {"input_tokens": "many", "output_tokens": True}, "content": []}, 0, 0),
        ({"usage": [], "content": [7, {"text": 5}]}, 0, 0),
    ],
)  # fmt: skip
def test_tokens_of_an_answer(result: Params, count: int, cached: int) -> None:
    """Tokens reported in a result count if they are plausible; otherwise its length counts."""
    tokens = count_tokens(result)
    assert (count, cached) == (tokens.total, tokens.cached)


async def test_what_follows_is_predicted(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """From the third time on that a tool follows another, the answer names it."""
    async with bench(monkeypatch) as it:
        for _ in range(3):
            await it.call("read")
            result = await it.call("write")
        before = dict(result)
        result = await it.call("read")
    assert [{"tool": "one:read", "confidence": 1.0}] not in [before.get("predicted_next")]
    assert [{"tool": "one:write", "confidence": 1.0}] == result["predicted_next"]
