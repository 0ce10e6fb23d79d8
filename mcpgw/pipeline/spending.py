"""What may still be spent: the budgets of `cost_governance`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from mcpgw.config.governance import AlertConfig, CostConfig
from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.prices import MILLION, Prices
from mcpgw.usage.recorder import Usage

log = get_logger("mcpgw.cost")

Draw = tuple[str, str, str, str]
"""Server, tool, caller and session of a call under way."""


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
    _in_flight: dict[Draw, int] = attrs.field(factory=dict)
    """What calls under way will cost."""
    _logged: dict[tuple[str, float], int] = attrs.field(factory=dict)
    """The day on which an alert was last written to the log, by budget and percentage."""

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
            text = f"{budget.name} is at {percent:.0f}% of ${budget.limit / MILLION:.2f}"
            if self.is_news(budget.name, alert):
                log.warning("cost.alert", action=alert.action, budget=text)
            found.append((alert, text))
        return found

    def reserve(self, call: Call, amount: int) -> None:
        """Count a call under way as spent; a negative amount takes it back."""
        draw = (call.server, call.name, call.session.caller, call.session.id)
        left = self._in_flight.get(draw, 0) + amount
        if left > 0:
            self._in_flight[draw] = left
        else:
            self._in_flight.pop(draw, None)

    def is_news(self, budget: str, alert: AlertConfig) -> bool:
        """Tell, once a day, that an alert of a budget was reached."""
        day = self.usage.spent_today().day
        if self._logged.get((budget, alert.at_percent)) == day:
            return False
        self._logged[budget, alert.at_percent] = day
        return True

    def _waiting(self, fits: Callable[[Draw], bool]) -> int:
        return sum(amount for draw, amount in self._in_flight.items() if fits(draw))

    def _budgets(self, call: Call) -> Iterator[_Budget]:
        budgets, today = self.config.budgets, self.usage.spent_today()
        server, tool, caller = call.server, call.name, call.session.caller
        qualified = f"{call.server}:{call.name}"
        key = qualified if qualified in budgets.per_tool else call.name
        if (limit := budgets.per_tool.get(key)) is not None:
            spent = today.by_tool.get((server, tool), 0)
            spent += self._waiting(lambda draw: draw[:2] == (server, tool))
            yield _Budget(f"Tool '{call.name}' daily budget", limit * MILLION, spent)
        if (limit := budgets.per_server.get(call.server)) is not None:
            of_server = (cost for key, cost in today.by_tool.items() if key[0] == call.server)
            spent = sum(of_server) + self._waiting(lambda draw: draw[0] == server)
            yield _Budget(f"Server '{call.server}' daily budget", limit * MILLION, spent)
        if budgets.daily is not None:
            spent = today.total + self._waiting(lambda _draw: True)
            yield _Budget("Global daily budget", budgets.daily * MILLION, spent)
        if (limit := budgets.per_key.get(call.session.caller)) is not None:
            spent = today.by_caller.get(caller, 0)
            spent += self._waiting(lambda draw: draw[2] == caller)
            yield _Budget(f"Key '{call.session.caller}' daily budget", limit * MILLION, spent)
        if budgets.per_session is not None:
            own = call.session.id
            spent = call.session.spent + self._waiting(lambda draw: draw[3] == own)
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
