"""Enforcement of the budgets in `cost_governance`."""

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
"""Server, tool, caller and session of a call in flight."""


@attrs.frozen
class _Budget:
    """One budget that a call draws on; amounts in millionths of the currency."""

    name: str
    limit: float
    spent: int


@attrs.define(eq=False)
class Spending:
    """Checks calls against every budget that they draw on.

    Spending by other gateways with the same state database is known as of the last
    synchronisation; calls in flight here count as spent.
    """

    config: CostConfig
    prices: Prices
    usage: Usage
    _in_flight: dict[Draw, int] = attrs.field(factory=dict)
    """The prices of the calls in flight."""
    _logged: dict[tuple[str, float], int] = attrs.field(factory=dict)
    """The day on which an alert was last logged, by budget and percentage."""
    _totals_missed: bool = False
    """True if the log says that the spending of others is not known."""

    async def know_totals(self) -> None:
        """Wait until the spending of earlier runs and other gateways is known, or log that it is
        not."""
        if await self.usage.totals():
            self._totals_missed = False
        elif not self._totals_missed:
            self._totals_missed = True
            log.warning("cost.totals_unknown", hint="budgets count only the calls of this gateway")

    def check(self, call: Call, price: int) -> list[tuple[AlertConfig, str]]:
        """Return the alerts triggered by a call of this price, each with a message.

        Raises:
          CallFailed: an alert blocks the call.
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
                    "Raise it in gateway.yaml under cost_governance.budgets; daily budgets are"
                    " reset at midnight UTC.",
                )
            text = f"{budget.name} is at {percent:.0f}% of ${budget.limit / MILLION:.2f}"
            if self._is_first_today(budget.name, alert):
                log.warning("cost.alert_triggered", action=alert.action, budget=text)
            found.append((alert, text))
        return found

    def reserve(self, call: Call, amount: int) -> None:
        """Count a call in flight as spent; a negative amount releases it."""
        draw = (call.server, call.name, call.session.caller, call.session.id)
        left = self._in_flight.get(draw, 0) + amount
        if left > 0:
            self._in_flight[draw] = left
        else:
            self._in_flight.pop(draw, None)

    def _is_first_today(self, budget: str, alert: AlertConfig) -> bool:
        """Return whether an alert of a budget was not yet logged today, and mark it as logged."""
        day = self.usage.spent_today().day
        if self._logged.get((budget, alert.at_percent)) == day:
            return False
        self._logged[budget, alert.at_percent] = day
        return True

    def _reserved(self, matches: Callable[[Draw], bool]) -> int:
        return sum(amount for draw, amount in self._in_flight.items() if matches(draw))

    def _budgets(self, call: Call) -> Iterator[_Budget]:
        budgets, today = self.config.budgets, self.usage.spent_today()
        server, tool, caller = call.server, call.name, call.session.caller
        qualified = f"{call.server}:{call.name}"
        key = qualified if qualified in budgets.per_tool else call.name
        if (limit := budgets.per_tool.get(key)) is not None:
            spent = today.by_tool.get((server, tool), 0)
            spent += self._reserved(lambda draw: draw[:2] == (server, tool))
            yield _Budget(f"Tool '{call.name}' daily budget", limit * MILLION, spent)
        if (limit := budgets.per_server.get(call.server)) is not None:
            of_server = (cost for key, cost in today.by_tool.items() if key[0] == call.server)
            spent = sum(of_server) + self._reserved(lambda draw: draw[0] == server)
            yield _Budget(f"Server '{call.server}' daily budget", limit * MILLION, spent)
        if budgets.daily is not None:
            spent = today.total + self._reserved(lambda _draw: True)
            yield _Budget("Global daily budget", budgets.daily * MILLION, spent)
        if (limit := budgets.per_key.get(call.session.caller)) is not None:
            spent = today.by_caller.get(caller, 0)
            spent += self._reserved(lambda draw: draw[2] == caller)
            yield _Budget(f"Key '{call.session.caller}' daily budget", limit * MILLION, spent)
        if budgets.per_session is not None:
            own = call.session.id
            spent = call.session.spent + self._reserved(lambda draw: draw[3] == own)
            yield _Budget("Session budget", budgets.per_session * MILLION, spent)

    def cheaper(self, call: Call, price: int) -> tuple[str, int] | None:
        """Return the cheapest alternative tool that costs less, with its price, or None."""
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
        """Return the price configured for a tool, or None; the default price does not count."""
        costs = self.config.tool_costs
        price = costs.get(tool, costs.get(tool.partition(":")[2]))
        return None if price is None else round(MILLION * price)
