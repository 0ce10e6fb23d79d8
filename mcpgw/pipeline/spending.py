"""What may still be spent: the budgets of `cost_governance`."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mcpgw.config.governance import AlertConfig, CostConfig
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.prices import MILLION, Prices
from mcpgw.state.usage import Usage


@attrs.frozen
class _Budget:
    """One budget that a call draws on; amounts in millionths."""

    name: str
    limit: float
    spent: int


@attrs.define(eq=False)
class Spending:
    """Checks a call against every budget that it draws on.

    What other gateways of the same person spent is known as of the last exchange with the
    state database; what is in flight here counts as spent.
    """

    config: CostConfig
    prices: Prices
    usage: Usage
    _in_flight: dict[str, int] = attrs.field(factory=dict)
    """What calls under way will cost, by session id."""

    def check(self, call: Call, price: int) -> list[tuple[AlertConfig, str]]:
        """Return the alerts that a call of this price sets off, the budget's name with each.

        Raises:
          CallFailed: an alert blocks it.
        """
        found: list[tuple[AlertConfig, str]] = []
        for budget in self._budgets(call):
            projected = budget.spent + price
            percent = 100 * projected / budget.limit if budget.limit > 0 else 100.0
            reached = [alert for alert in self.config.alerts if percent >= alert.at_percent]
            if not reached:
                continue
            alert = max(reached, key=lambda each: each.at_percent)
            if alert.action == "block":
                raise CallFailed(
                    Recovery.BUDGET_EXCEEDED,
                    f"{budget.name} exceeded: ${projected / MILLION:.4f} >="
                    f" ${budget.limit * alert.at_percent / 100 / MILLION:.2f}.",
                    "Budgets stand under cost_governance.budgets in gateway.yaml; daily ones begin"
                    " anew at midnight UTC.",
                )
            found.append(
                (alert, f"{budget.name} is at {percent:.0f}% of ${budget.limit / MILLION:.2f}")
            )
        return found

    def reserve(self, call: Call, amount: int) -> None:
        """Count a call under way as spent; a negative amount takes it back."""
        left = self._in_flight.get(call.session.id, 0) + amount
        if left > 0:
            self._in_flight[call.session.id] = left
        else:
            self._in_flight.pop(call.session.id, None)

    def _budgets(self, call: Call) -> Iterator[_Budget]:
        budgets, today = self.config.budgets, self.usage.spent_today()
        waiting = sum(self._in_flight.values())
        qualified = f"{call.server}:{call.name}"
        key = qualified if qualified in budgets.per_tool else call.name
        if (limit := budgets.per_tool.get(key)) is not None:
            spent = today.by_tool.get((call.server, call.name), 0) + waiting
            yield _Budget(f"Tool '{call.name}' daily budget", limit * MILLION, spent)
        if (limit := budgets.per_server.get(call.server)) is not None:
            of_server = (cost for key, cost in today.by_tool.items() if key[0] == call.server)
            spent = sum(of_server) + waiting
            yield _Budget(f"Server '{call.server}' daily budget", limit * MILLION, spent)
        if budgets.daily is not None:
            spent = today.total + waiting
            yield _Budget("Global daily budget", budgets.daily * MILLION, spent)
        if (limit := budgets.per_key.get(call.session.caller)) is not None:
            spent = today.by_caller.get(call.session.caller, 0) + waiting
            yield _Budget(f"Key '{call.session.caller}' daily budget", limit * MILLION, spent)
        if budgets.per_session is not None:
            spent = call.session.spent + self._in_flight.get(call.session.id, 0)
            yield _Budget("Session budget", budgets.per_session * MILLION, spent)

    def cheaper(self, call: Call, price: int) -> tuple[str, int] | None:
        """Return a tool of the same use that costs less, and its price."""
        names = (call.name, f"{call.server}:{call.name}")
        best: tuple[str, int] | None = None
        for tools in self.config.alternatives.values():
            if not any(name in tools for name in names):
                continue
            for tool in tools:
                cost = self._known_price(tool)
                if tool not in names and cost is not None and cost < price:
                    best = min(best or (tool, cost), (tool, cost), key=lambda pair: pair[1])
        return best

    def _known_price(self, tool: str) -> int | None:
        """Return the price that stands in the file for a tool; a default is not known."""
        costs = self.config.tool_costs
        price = costs.get(tool, costs.get(tool.partition(":")[2]))
        return None if price is None else round(MILLION * price)
