"""Ranking signals of tools: health, success rate, speed, cost and use."""

from __future__ import annotations

from typing import Final

import attrs

from mcpgw.catalog.ranking import Signals
from mcpgw.meta.context import GatewayContext
from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.prices import MILLION
from mcpgw.pipeline.stages.accounting import TOOL_ERROR

ENOUGH: Final = 5
"""The fewest calls for which a tool's success rate and speed count."""
SLOW: Final = 1.0
"""Median duration of a call, in seconds, that halves the score for speed."""
FAULTS: Final = (
    Recovery.BACKEND_ERROR.code,
    Recovery.BACKEND_TIMEOUT.code,
    Recovery.BACKEND_UNREACHABLE.code,
    TOOL_ERROR,
)
"""Failures that count against a tool; invalid arguments and refused calls do not."""
HEALTH: Final = {"closed": 1.0, "half_open": 0.5, "open": 0.2}
"""Health of a server by the state of its circuit breaker."""


@attrs.define(eq=False)
class SignalReader:
    """Reads the signals for one search; the health of each server is computed once."""

    context: GatewayContext
    _health: dict[str, tuple[float, bool]] = attrs.field(factory=dict)

    def signals(self, server: str, tool: str) -> Signals:
        """Return the ranking signals of a tool."""
        health, disabled = self._server(server)
        capability_service = self.context.capability_service
        if capability_service is not None and server == capability_service.name:
            health = min(health, capability_service.readiness(tool))
        if not disabled and self.context.pipeline.errors.remaining(server, tool) > 0:
            disabled = True
        usage = self.context.usage.tool(server, tool)
        backend = self.context.pool.get(server)
        price = self.context.pipeline.prices.per_call(backend, tool) if backend else 0
        cost = 1.0 / (1.0 + 100.0 * price / MILLION) if price else 1.0
        if usage is None:
            return Signals(health=health, cost=cost, disabled=disabled)
        success = latency = 1.0
        faults = sum(usage.errors.get(code, 0) for code in FAULTS)
        judged = usage.calls - usage.failures + faults
        if judged >= ENOUGH:
            success = 1.0 - faults / judged
            median = usage.p50
            latency = 1.0 if median is None else 1.0 / (1.0 + median / SLOW)
        return Signals(
            health=health,
            success=success,
            latency=latency,
            cost=cost,
            uses=usage.calls - usage.failures,
            disabled=disabled,
        )

    def _server(self, name: str) -> tuple[float, bool]:
        found = self._health.get(name)
        if found is None:
            backend = self.context.pool.get(name)
            if backend is None:
                found = (1.0, False)
            else:
                health = HEALTH.get(backend.breaker.state.value, 1.0)
                if backend.failure is not None:
                    health = min(health, 0.2 if backend.failure.permanent else 0.6)
                found = (health, backend.killed)
            self._health[name] = found
        return found
