"""The operator's tools: statistics, kill switch, reload."""

from __future__ import annotations

import json
import math
from typing import Any

from mcpgw.backends.backend import Backend
from mcpgw.catalog.suggest import did_you_mean
from mcpgw.meta.surface import DESTROYS, READS, WRITES, MetaTool, Surface, answer, text_argument
from mcpgw.protocol.errors import INVALID_PARAMS, NOT_FOUND, RpcError
from mcpgw.protocol.peer import Params, Request


def tokens(definitions: list[dict[str, Any]]) -> int:
    """Return about how many tokens definitions cost a model: a token for 4 characters of
    compact JSON. The real figure depends on the model's tokenizer."""
    text = json.dumps(definitions, ensure_ascii=False, separators=(",", ":"))
    return math.ceil(len(text) / 4) if definitions else 0


async def get_stats(surface: Surface, arguments: Params, _request: Request | None) -> Params:
    """Return counters of calls, what the compact surface saves, and each breaker's state."""
    from mcpgw.meta import definitions

    price = arguments.get("price_per_million", 15.0)
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not price >= 0:
        raise RpcError(INVALID_PARAMS, f"'price_per_million' is a number >= 0, not {price!r:.40}")
    behind = tokens([tool for backend in surface.pool for tool in backend.tools.values()])
    shown = tokens(definitions(surface))
    saved = max(0, behind - shown)
    ranked = sorted(surface.stats.tools.items(), key=lambda item: (-item[1].calls, item[0]))
    payload: dict[str, Any] = {
        "invocations": surface.stats.calls,
        "failures": sum(stats.failures for _, stats in ranked),
        "searches": surface.stats.searches,
        "tools_discovered": surface.stats.tools_found,
        "tools_available": surface.count_tools(),
        "tokens": {
            "all_definitions": behind,
            "shown_definitions": shown,
            "saved_per_request": saved,
            "rule": "one token for 4 characters of compact JSON",
        },
        "estimated_savings_usd_per_1000_requests": round(saved * 1000 / 1e6 * price, 2),
        "top_tools": [
            {
                "server": server,
                "tool": tool,
                "count": stats.calls,
                "failures": stats.failures,
                "mean_ms": round(1000 * stats.seconds / stats.calls, 1),
            }
            for (server, tool), stats in ranked[:10]
        ],
        "server_safety": [_safety(surface, backend) for backend in surface.pool],
        "circuit_breakers": [
            {"server": backend.name, **backend.breaker.snapshot()} for backend in surface.pool
        ],
    }
    return answer(payload)


def _safety(surface: Surface, backend: Backend) -> dict[str, Any]:
    calls = failures = 0
    for (server, _tool), stats in surface.stats.tools.items():
        if server == backend.name:
            calls += stats.calls
            failures += stats.failures
    return {
        "server": backend.name,
        "killed": backend.killed,
        "state": backend.state.value,
        "starts": backend.starts,
        "calls": calls,
        "failures": failures,
        "error_rate": f"{100 * failures / calls:.1f}%" if calls else "0.0%",
    }


def _backend(surface: Surface, arguments: Params) -> Backend:
    name = text_argument(arguments, "server", "backend")
    backend = surface.pool.get(name)
    if backend is None:
        known = did_you_mean(name, surface.pool.names)
        raise RpcError(NOT_FOUND, f"Backend not found: {name}.{known}")
    return backend


async def kill_server(surface: Surface, arguments: Params, _request: Request | None) -> Params:
    """Stop a server and refuse its calls until it is revived."""
    backend = _backend(surface, arguments)
    newly = backend.kill()
    return answer(
        {
            "server": backend.name,
            "status": "disabled",
            "was_already_killed": not newly,
            "message": f"'{backend.name}' is stopped; its calls are refused until"
            " gateway_revive_server.",
        }
    )


async def revive_server(surface: Surface, arguments: Params, _request: Request | None) -> Params:
    """Let a server be used again: lift the kill switch, close its breaker, forget failures."""
    backend = _backend(surface, arguments)
    was_killed, was_open = backend.killed, backend.breaker_open
    backend.revive()
    return answer(
        {
            "server": backend.name,
            "status": "active",
            "was_killed": was_killed,
            "breaker_was_open": was_open,
            "message": f"'{backend.name}' may be used again; it starts at its next call.",
        }
    )


async def reload_config(surface: Surface, _arguments: Params, _request: Request | None) -> Params:
    """Load gateway.yaml again and apply what changed."""
    return answer(await surface.reload())


TOOLS = (
    MetaTool(
        name="gateway_get_stats",
        title="Get Gateway Statistics",
        describe=lambda _surface: (
            "Calls, failures, tokens saved by the compact surface, circuit breakers."
        ),
        hints=READS,
        call=get_stats,
        properties={"price_per_million": {"type": "number", "default": 15.0}},
    ),
    MetaTool(
        name="gateway_kill_server",
        title="Kill Server",
        describe=lambda _surface: (
            "Stop a server at once and refuse its calls until gateway_revive_server."
        ),
        hints=DESTROYS,
        call=kill_server,
        properties={"server": {"type": "string"}},
        required=("server",),
    ),
    MetaTool(
        name="gateway_revive_server",
        title="Revive Server",
        describe=lambda _surface: (
            "Enable a killed or failing server again and close its circuit breaker."
        ),
        hints=WRITES,
        call=revive_server,
        properties={"server": {"type": "string"}},
        required=("server",),
    ),
    MetaTool(
        name="gateway_reload_config",
        title="Reload Config",
        describe=lambda _surface: "Load gateway.yaml again now and say what changed.",
        hints=WRITES,
        call=reload_config,
    ),
)
