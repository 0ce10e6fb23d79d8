"""State of one client session that is kept between its calls."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Final

import attrs

from mcpgw.shaping.pages import ResultPages
from mcpgw.usage.model import ToolKey

START_STATE: Final = "default"
"""The workflow state in which every session starts."""
MAX_COSTED: Final = 1_000
"""Tools of one session with separate costs; those of further tools are added up."""


@attrs.define(slots=True, eq=False)
class ToolCost:
    """Calls, tokens and cost of one tool in a session."""

    calls: int = 0
    tokens: int = 0
    micro: int = 0
    """Millionths of the currency."""


@attrs.define(slots=True, eq=False)
class SessionState:
    """A client session as the pipeline and the meta-tools see it.

    Args:
      id: random and unique.
      caller: the authenticated caller, for budgets and caches; empty without authentication.
    """

    id: str = attrs.field(factory=lambda: f"session-{os.urandom(8).hex()}")
    caller: str = ""
    started: float = attrs.field(factory=time.time)
    """Unix seconds."""
    profile: str | None = None
    """The routing profile chosen by the client, or None for the default."""
    state: str = START_STATE
    """The workflow state."""
    last_tool: ToolKey | None = None
    calls: int = 0
    """Calls that count towards the sandbox limit."""
    lasting: bool = True
    """False if it ends with this one request: the client has no session."""
    instance_id: str = attrs.field(default=attrs.Factory(lambda self: self.id, takes_self=True))
    """The `session` of the instances that serve it at servers with `scope: session`."""
    promoted: dict[ToolKey, None] = attrs.field(factory=dict)
    """Tools added to this session's `tools/list` when they were used, oldest first."""
    costs: dict[ToolKey, ToolCost] = attrs.field(factory=dict)
    listed_tools: object = None
    """The definitions that the client has listed; None if it has listed none."""
    pages: ResultPages = attrs.field(factory=ResultPages)
    _cache_key: str = ""

    def __repr__(self) -> str:
        return f"<SessionState {self.id} state={self.state!r} calls={self.calls}>"

    def of_one_request(self, profile: str | None = None) -> SessionState:
        """Return the state of one request that is sent without a session.

        It shares nothing with other requests but the instances of servers, and the pages of long
        results, which only a client that received their ids can read.
        """
        return SessionState(
            caller=self.caller,
            profile=profile,
            lasting=False,
            instance_id=self.instance_id,
            pages=self.pages,
        )

    @property
    def prompt_cache_key(self) -> str:
        """A key for the prompt cache of a backend that calls a model.

        It is the same for the whole session, so that all calls share the cache (without a session:
        for all requests of the caller), and a hash, so that it reveals nothing about the session.
        """
        if not self._cache_key:
            self._cache_key = hashlib.sha256(self.instance_id.encode()).hexdigest()[:32]
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
        """The cost of the session so far, in millionths of the currency."""
        return sum(cost.micro for cost in self.costs.values())

    def promote(self, tool: ToolKey, most: int) -> bool:
        """Add a tool to the session's list; return whether the list has changed."""
        if tool in self.promoted:
            del self.promoted[tool]
            self.promoted[tool] = None
            return False
        self.promoted[tool] = None
        while len(self.promoted) > most:
            del self.promoted[next(iter(self.promoted))]
        return True
