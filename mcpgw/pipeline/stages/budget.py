"""Enforce the budgets of `cost_governance`."""

from __future__ import annotations

from typing import Any

import attrs

from mcpgw.pipeline.call import Call, Proceed
from mcpgw.pipeline.prices import MILLION
from mcpgw.pipeline.spending import Spending
from mcpgw.protocol.peer import Params


@attrs.frozen
class Budget:
    """The stage that enforces budgets."""

    spending: Spending

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Refuse a call that exceeds a budget; add warnings to the results of other calls.

        Tools without a price are not checked. The price of a call in flight counts as spent. The
        first call of a gateway waits until the spending of earlier runs is known.
        """
        spending = self.spending
        price = spending.prices.per_call(call.backend, call.name)
        if not price and spending.prices.per_million_tokens(call.server, call.name) is None:
            return await proceed(call)
        await spending.know_totals()
        alerts = spending.check(call, price)
        spending.reserve(call, price)
        try:
            result = await proceed(call)
        finally:
            spending.reserve(call, -price)
        extra: dict[str, Any] = {}
        warnings = [text for alert, text in alerts if alert.action == "notify"]
        if warnings:
            extra["_cost_warnings"] = warnings
        cheaper = spending.cheaper(call, price)
        if cheaper is not None:
            name, cost = cheaper
            extra["_cost_suggestion"] = {
                "message": f"'{name}' serves the same purpose and costs less per call.",
                "alternative": name,
                "savings_per_call": (price - cost) / MILLION,
                "alternative_cost": cost / MILLION,
            }
        return {**result, **extra} if extra else result
