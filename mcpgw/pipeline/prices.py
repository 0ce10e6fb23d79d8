"""Prices of calls and tokens, by tool and server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import attrs

from mcpgw.backends.server import BackendServer
from mcpgw.config.governance import CostConfig
from mcpgw.config.patterns import matches
from mcpgw.pipeline.call import Call

MILLION = 1_000_000
MOST_KNOWN = 20_000
"""Prices that are cached."""


class Tokens(NamedTuple):
    """The tokens of one result; `cached` of them came from a model's prompt cache."""

    total: int = 0
    cached: int = 0


@attrs.define(eq=False)
class Prices:
    """The registry of prices. All amounts are in whole millionths of the currency."""

    config: CostConfig = attrs.field(factory=CostConfig)
    _known: dict[tuple[BackendServer, str], tuple[int, float | None]] = attrs.field(factory=dict)
    """Cached prices of a call and of a million tokens."""

    def per_call(self, backend: BackendServer, tool: str) -> int:
        """Return the price of a call: that of the tool, or else of its server, or the default."""
        return self._look_up(backend, tool)[0]

    def _look_up(self, backend: BackendServer, tool: str) -> tuple[int, float | None]:
        found = self._known.get((backend, tool))
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            rate = self.per_million_tokens(backend.name, tool)
            found = self._known[backend, tool] = (self._per_call(backend, tool), rate)
        return found

    def _per_call(self, backend: BackendServer, tool: str) -> int:
        own = backend.config.tool(tool).cost_per_call
        if own is None:
            own = _price(self.config.tool_costs, f"{backend.name}:{tool}", tool)
        if own is None:
            own = _price(self.config.server_costs, backend.name)
        return round(MILLION * (self.config.default_cost if own is None else own))

    def per_million_tokens(self, server: str, tool: str) -> float | None:
        """Return the price of a million tokens, in the currency, or None if they are free."""
        return _price(self.config.token_costs, f"{server}:{tool}", server)

    def of(self, call: Call, tokens: Tokens) -> int:
        """Return the cost of a finished call."""
        if call.cached or call.backend is None:
            return 0
        price, rate = self._look_up(call.backend, call.name)
        return price if rate is None else price + round(rate * tokens.total)


def _price(prices: Mapping[str, float], *names: str) -> float | None:
    """Return the price of the first name listed, or of the first pattern that matches any."""
    for name in names:
        if (price := prices.get(name)) is not None:
            return price
    for pattern, price in prices.items():
        if "*" in pattern and any(matches(pattern, name) for name in names):
            return price
    return None


def count_tokens(result: Mapping[str, Any]) -> Tokens:
    """Return the tokens reported in a result, or one token for 4 characters of text.

    Reads `usage` in the form of OpenAI (`prompt_tokens`, `completion_tokens`) or Anthropic
    (`input_tokens`, `output_tokens`), at the top level, in `structuredContent` or in `_meta`.
    """
    for place in (result, result.get("structuredContent"), result.get("_meta")):
        usage = place.get("usage") if isinstance(place, dict) else None
        if isinstance(usage, dict) and (found := _reported(usage)) is not None:
            return found
    length = 0
    for block in result.get("content") or ():
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, str):
            length += len(text)
    return Tokens((length + 3) // 4)


def _reported(usage: Mapping[str, Any]) -> Tokens | None:
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    counts = [value for name in names if _is_count(value := usage.get(name))]
    total = usage.get("total_tokens")
    if not counts:
        counts = [total] if _is_count(total) else []
    if not counts:
        return None
    details = usage.get("prompt_tokens_details")
    cached = usage.get("cache_read_input_tokens")
    if cached is None and isinstance(details, Mapping):
        cached = details.get("cached_tokens")
    return Tokens(sum(counts), cached if _is_count(cached) else 0)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12
