"""What is kept of one client session between its calls."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Final

import attrs

from mcpgw.shaping.pages import ResultPages
from mcpgw.usage.model import ToolKey

START_STATE: Final = "default"
"""The workflow state in which every session begins."""
MAX_COSTED: Final = 1_000
"""Tools of one session whose costs are kept apart."""


@attrs.define(slots=True, eq=False)
class ToolCost:
    """What the calls of one tool came to in a session."""

    calls: int = 0
    tokens: int = 0
    micro: int = 0
    """Millionths of the currency."""


@attrs.define(slots=True, eq=False)
class SessionState:
    """A client session as the pipeline and the meta-tools see it.

    Args:
      id: tells sessions of a run apart; random.
      caller: who calls, for budgets and caches; empty where nobody had to say.
    """

    id: str = attrs.field(factory=lambda: f"session-{os.urandom(8).hex()}")
    caller: str = ""
    started: float = attrs.field(factory=time.time)
    """Unix seconds."""
    profile: str | None = None
    """The routing profile that the client chose; None for the default."""
    state: str = START_STATE
    """The workflow state."""
    last_tool: ToolKey | None = None
    calls: int = 0
    """Calls that count for the sandbox."""
    promoted: dict[ToolKey, None] = attrs.field(factory=dict)
    """Tools that stand in this session's `tools/list` since they were used, oldest first."""
    costs: dict[ToolKey, ToolCost] = attrs.field(factory=dict)
    pages: ResultPages = attrs.field(factory=ResultPages)
    _cache_key: str = ""

    def __repr__(self) -> str:
        return f"<SessionState {self.id} state={self.state!r} calls={self.calls}>"

    @property
    def prompt_cache_key(self) -> str:
        """A key by which a backend that calls a model may keep its prompt cache warm.

        The same for the whole session, so that all its calls meet the same cache, and a hash,
        so that it tells nothing.
        """
        if not self._cache_key:
            self._cache_key = hashlib.sha256(self.id.encode()).hexdigest()[:32]
        return self._cache_key

    def spend(self, tool: ToolKey, tokens: int, micro: int) -> None:
        """Add one call to the session's costs."""
        cost = self.costs.get(tool)
        if cost is None:
            if len(self.costs) >= MAX_COSTED:
                tool = ("", "")
            cost = self.costs.setdefault(tool, ToolCost())
        cost.calls += 1
        cost.tokens += tokens
        cost.micro += micro

    @property
    def spent(self) -> int:
        """What the session has spent, in millionths of the currency."""
        return sum(cost.micro for cost in self.costs.values())

    def promote(self, tool: ToolKey, most: int) -> bool:
        """Put a tool into the session's list; True where the list has changed."""
        if tool in self.promoted:
            del self.promoted[tool]
            self.promoted[tool] = None
            return False
        self.promoted[tool] = None
        while len(self.promoted) > most:
            del self.promoted[next(iter(self.promoted))]
        return True
