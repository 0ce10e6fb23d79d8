"""Reporting tools: statistics, costs, webhooks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from mcpgw.backends.server import BackendServer
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.tool import READS, MetaTool, answer, flag, text_argument
from mcpgw.pipeline.prices import MILLION
from mcpgw.pipeline.session_state import SessionState
from mcpgw.pipeline.stages.accounting import CACHED_TOKENS
from mcpgw.protocol.errors import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.usage.model import ToolKey, ToolUsage

TOP = 10
"""Tools in `top_tools` of the statistics."""


def tokens(definitions: list[dict[str, Any]]) -> int:
    """Return the approximate number of tokens of definitions: one per 4 characters of compact
    JSON. The exact number depends on the model's tokenizer."""
    text = json.dumps(definitions, ensure_ascii=False, separators=(",", ":"))
    return math.ceil(len(text) / 4) if definitions else 0


async def get_stats(tool_request: ToolRequest) -> Params:
    """Return counters of calls, the tokens saved by the meta-tools, and the breakers' states."""
    context, usage = tool_request.context, tool_request.context.usage
    price = tool_request.arguments.get("price_per_million", 15.0)
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < 1e9:
        raise RpcError(
            INVALID_PARAMS, f"'price_per_million' must be a number >= 0, not {price!r:.40}"
        )
    await usage.totals()
    behind = tokens(_definitions_without_gateway(context))
    shown = tokens(context.meta_tools.definitions(context, tool_request.session))
    saved = max(0, behind - shown)
    tools = usage.tools()
    calls = sum(each.calls for each in tools.values())
    hits = sum(each.cached for each in tools.values())
    ranked = sorted(tools.items(), key=lambda item: (-item[1].calls, item[0]))
    own = usage.since_start()
    cached = {
        name.removeprefix(CACHED_TOKENS): count
        for name, count in usage.counters().items()
        if name.startswith(CACHED_TOKENS)
    }
    payload: dict[str, Any] = {
        "invocations": calls,
        "failures": sum(each.failures for each in tools.values()),
        "cache_hits": hits,
        "cache_hit_rate": _percent(hits, calls),
        "searches": usage.counter("searches"),
        "tools_discovered": usage.counter("tools_found"),
        "tools_available": context.count_tools(),
        "this_run": {
            "invocations": sum(each.calls for each in own.tools.values()),
            "failures": sum(each.failures for each in own.tools.values()),
            "cache_hits": sum(each.cached for each in own.tools.values()),
        },
        "tokens": {
            "all_definitions": behind,
            "shown_definitions": shown,
            "saved_per_request": saved,
            "rule": "one token per 4 characters of compact JSON; built-in APIs are not counted",
        },
        "tokens_saved": saved * calls,
        "estimated_savings_usd": f"${saved * calls / MILLION * price:.2f}",
        "top_tools": [_top(key, each) for key, each in ranked[:TOP]],
        "total_cached_tokens": sum(cached.values()),
        "cached_tokens_by_server": [
            {"server": server, "cached_tokens": count} for server, count in sorted(cached.items())
        ],
        "server_safety": [_safety(context, backend) for backend in context.pool],
        "circuit_breakers": [
            {"server": backend.name, **backend.breaker.snapshot()} for backend in context.pool
        ],
    }
    if context.config.cost_governance.enabled:
        payload |= _governance(context)
    return answer(payload)


def _definitions_without_gateway(context: GatewayContext) -> list[dict[str, Any]]:
    """Return the definitions that clients would see without the gateway, so without those of its
    built-in capabilities."""
    capability_service = context.capability_service
    return [
        tool
        for backend in context.pool
        for name, tool in backend.tools.items()
        if capability_service is None or not capability_service.is_shipped(backend.name, name)
    ]


def _top(key: ToolKey, usage: ToolUsage) -> dict[str, Any]:
    entry: dict[str, Any] = {"server": key[0], "tool": key[1], "count": usage.calls}
    entry["failures"] = usage.failures
    if usage.errors:
        entry["errors"] = dict(usage.errors)
    for name, seconds in (("p50_ms", usage.p50), ("p95_ms", usage.p95)):
        if seconds is not None:
            entry[name] = round(1000 * seconds, 1)
    trend = usage.trend
    entry["last_24h"] = trend.recent
    entry["day_before"] = trend.before
    return entry


def _safety(context: GatewayContext, backend: BackendServer) -> dict[str, Any]:
    successes, failures = context.pipeline.errors.window(backend.name)
    return {
        "server": backend.name,
        "killed": backend.killed,
        "state": backend.state.value,
        "starts": backend.starts,
        "error_rate": _percent(failures, successes + failures),
        "window": {"successes": successes, "failures": failures},
    }


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f}%" if total else "0.0%"


def _governance(context: GatewayContext) -> dict[str, Any]:
    costs, today = context.config.cost_governance, context.usage.spent_today()
    by_tool: dict[str, float] = {}
    for (server, tool), micro in sorted(today.by_tool.items()):
        if micro:
            by_tool[f"{server}:{tool}"] = micro / MILLION
    return {
        "cost_governance": {
            "currency": costs.currency,
            "global_daily_spend_usd": today.total / MILLION,
            "global_daily_limit_usd": costs.budgets.daily,
            "tool_daily_spend": by_tool,
            "tool_daily_limits": dict(costs.budgets.per_tool),
            "key_daily_spend": {
                caller: micro / MILLION for caller, micro in today.by_caller.items() if caller
            },
        },
        "tool_costs": dict(costs.tool_costs),
    }


async def cost_report(tool_request: ToolRequest) -> Params:
    """Return the costs of the session's calls, and the totals of all sessions and days."""
    context = tool_request.context
    session_id = text_argument(tool_request.arguments, "session_id", required=False)
    all_sessions = flag(tool_request.arguments, "include_all_sessions")
    with_keys = flag(tool_request.arguments, "include_all_keys")
    session: Any
    if all_sessions:
        session = [_session_costs(each) for each in context.sessions.states()]
    else:
        chosen = context.sessions.find_state(session_id) if session_id else tool_request.session
        session = None if chosen is None else _session_costs(chosen)
    await context.usage.totals()
    tools = context.usage.tools().values()
    callers = {row[3] for row in context.usage.spend(days=30) if row[3]}
    today = context.usage.spent_today()
    return answer(
        {
            "currency": context.config.cost_governance.currency,
            "session": session,
            "keys": _keys(context, callers) if with_keys else None,
            "aggregate": {
                "session_count": len(context.sessions.states()),
                "key_count": len(callers),
                "total_calls": sum(each.calls for each in tools),
                "total_tokens": sum(each.tokens for each in tools),
                "total_cost_usd": sum(each.cost_micro_usd for each in tools) / MILLION,
                "today_cost_usd": today.total / MILLION,
            },
        }
    )


def _session_costs(session: SessionState) -> dict[str, Any]:
    by_server: dict[str, list[int]] = {}
    for (server, _tool), cost in session.costs.items():
        sums = by_server.setdefault(server, [0, 0, 0])
        for place, value in enumerate((cost.calls, cost.tokens, cost.micro)):
            sums[place] += value
    return {
        "session_id": session.id,
        "api_key_name": session.caller or None,
        "started_at": int(session.started),
        "call_count": sum(sums[0] for sums in by_server.values()),
        "total_tokens": sum(sums[1] for sums in by_server.values()),
        "total_cost_usd": session.spent / MILLION,
        "by_backend": [
            {"backend": server, **_sums(*sums)} for server, sums in sorted(by_server.items())
        ],
        "by_tool": [
            {"tool_key": f"{server}:{tool}", **_sums(cost.calls, cost.tokens, cost.micro)}
            for (server, tool), cost in sorted(session.costs.items())
        ],
    }


def _sums(calls: int, count: int, micro: int) -> dict[str, Any]:
    return {"call_count": calls, "token_count": count, "cost_usd": micro / MILLION}


def _keys(context: GatewayContext, callers: Iterable[str]) -> list[dict[str, Any]]:
    """Return the spending of each caller in the last 1, 7 and 30 days (UTC), and its limit."""
    limits = context.config.cost_governance.budgets.per_key
    entries = []
    for caller in sorted(callers):
        entry: dict[str, Any] = {"api_key_name": caller}
        for name, days in (("window_24h", 1), ("window_7d", 7), ("window_30d", 30)):
            rows = context.usage.spend(days=days).items()
            own = [spend for row, spend in rows if row[3] == caller]
            entry[name] = {
                "tokens": sum(each.tokens for each in own),
                "cost_usd": sum(each.cost_micro_usd for each in own) / MILLION,
            }
        limit = limits.get(caller)
        entry["hard_limit_usd"] = limit
        spent = entry["window_24h"]["cost_usd"]
        entry["budget_status"] = "exceeded" if limit is not None and spent >= limit else "ok"
        entries.append(entry)
    return entries


async def webhook_status(tool_request: ToolRequest) -> Params:
    """Return the webhook endpoints and their counters.

    Raises:
      RpcError: webhooks are disabled.
    """
    if not tool_request.context.config.webhooks.enabled:
        raise RpcError(INTERNAL_ERROR, "Webhooks are disabled; set webhooks.enabled: true")
    webhook_service = tool_request.context.webhook_service
    assert webhook_service is not None, "the gateway creates it"
    status = await webhook_service.receiver.status()
    if webhook_service.problems:
        status["not_open"] = [
            {"endpoint": k, "reason": why} for k, why in webhook_service.problems.items()
        ]
    return answer(status)


def _webhooks(context: GatewayContext) -> bool:
    return context.config.webhooks.enabled


TOOLS = (
    MetaTool(
        name="gateway_get_stats",
        title="Get Gateway Statistics",
        describe=lambda _context: (
            "Statistics: calls, cache hits, tokens saved, slowest and most used tools, breakers."
        ),
        hints=READS,
        call=get_stats,
        properties={"price_per_million": {"type": "number", "default": 15}},
        result_keys=("invocations", "top_tools"),
    ),
    MetaTool(
        name="gateway_cost_report",
        title="Cost Report",
        describe=lambda _context: (
            "Costs of this session's calls by server and tool, and totals of all sessions."
        ),
        hints=READS,
        call=cost_report,
        properties={
            "session_id": {"type": "string"},
            "include_all_sessions": {"type": "boolean"},
            "include_all_keys": {"type": "boolean"},
        },
        result_keys=("session", "aggregate"),
    ),
    MetaTool(
        name="gateway_webhook_status",
        title="Webhook Status",
        describe=lambda _context: "List webhook endpoints with their delivery counts.",
        hints=READS,
        call=webhook_status,
        result_keys=("endpoints", "total_received"),
        listed=_webhooks,
    ),
)
