"""Error budgets: tools and servers with a high error rate are disabled temporarily."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from mcpgw.config.governance import ErrorBudgetConfig, ErrorWindowConfig
from mcpgw.usage.model import ToolKey


@attrs.define(eq=False)
class _Window:
    """The latest outcomes of one tool or server."""

    outcomes: deque[tuple[float, bool]] = attrs.field(factory=deque)
    since: float = -float("inf")
    """Outcomes up to this time do not count, because they have led to a cooldown already."""
    disabled_until: float = 0.0
    rate: float = 0.0
    """The share of failures at which it was disabled."""

    def add(self, now: float, failed: bool, most: int) -> None:
        """Add an outcome; keep the latest `most`."""
        outcomes = self.outcomes
        outcomes.append((now, failed))
        if len(outcomes) > most:
            outcomes.popleft()

    def recent(self, now: float, settings: ErrorWindowConfig) -> list[bool]:
        """Return which of the latest calls failed."""
        oldest = max(now - settings.window, self.since)
        return [failed for when, failed in self.outcomes if when > oldest][-settings.window_calls :]

    def spent(self, now: float, settings: ErrorWindowConfig) -> bool:
        """Start a cooldown if too many of the latest calls failed; return whether it started."""
        recent = self.recent(now, settings)
        if len(recent) < settings.min_samples or now < self.disabled_until:
            return False
        rate = sum(recent) / len(recent)
        if rate < settings.threshold:
            return False
        self.disabled_until = now + settings.cooldown
        self.since = now
        self.rate = rate
        return True


@attrs.frozen
class Disabled:
    """A disabled tool, or a server if `tool` is empty. Times are in seconds."""

    server: str
    tool: str
    error_rate: float
    remaining: float
    cooldown: float


@attrs.define(eq=False)
class ErrorBudgets:
    """Windows of outcomes by tool and by server, with the cooldowns of those that failed."""

    config: ErrorBudgetConfig = attrs.field(factory=ErrorBudgetConfig)
    _most: int = attrs.field(init=False)
    """Outcomes of one tool that are kept."""
    _clock: Callable[[], float] = trio.current_time
    _windows: dict[ToolKey, _Window] = attrs.field(factory=dict)
    """By server and tool; the empty tool stands for the whole server."""
    _any: bool = False
    """True if anything was ever disabled; if not, `remaining` is quick."""

    def __attrs_post_init__(self) -> None:
        self.use(self.config)

    def use(self, config: ErrorBudgetConfig) -> None:
        """Set the configuration; current cooldowns continue."""
        self.config = config
        self._most = max(config.tool.window_calls, config.server.window_calls)

    def remaining(self, server: str, tool: str) -> float:
        """Return the seconds for which a tool, or its whole server, is still disabled."""
        if not self._any:
            return 0.0
        windows = self._windows
        longest = 0.0
        for key in ((server, tool), (server, "")):
            window = windows.get(key)
            if window is not None and window.disabled_until:
                longest = max(longest, window.disabled_until - self._clock())
        return longest

    def record(self, server: str, tool: str, *, failed: bool) -> Sequence[str]:
        """Record an outcome; return what it disabled: the tool, the server, both or neither."""
        now = self._clock()
        window, whole = self._window(server, tool), self._window(server, "")
        window.add(now, failed, self._most)
        whole.add(now, failed, self._most)
        if not failed:
            return ()
        disabled: list[str] = []
        if window.spent(now, self.config.tool):
            disabled.append(tool)
        if whole.spent(now, self.config.server):
            disabled.append(server)
        self._any = self._any or bool(disabled)
        return disabled

    def _window(self, server: str, tool: str) -> _Window:
        window = self._windows.get((server, tool))
        if window is None:
            window = self._windows[server, tool] = _Window()
        return window

    def disabled(self) -> list[Disabled]:
        """Return the tools and servers disabled now."""
        now = self._clock()
        found = []
        for (server, tool), window in sorted(self._windows.items()):
            if window.disabled_until > now:
                settings = self.config.tool if tool else self.config.server
                left = window.disabled_until - now
                found.append(Disabled(server, tool, window.rate, left, settings.cooldown))
        return found

    def window(self, server: str) -> tuple[int, int]:
        """Return the numbers of successes and failures in the current window of a server."""
        whole = self._windows.get((server, ""))
        if whole is None:
            return 0, 0
        recent = whole.recent(self._clock(), self.config.server)
        return len(recent) - sum(recent), sum(recent)

    def forget(self, server: str) -> int:
        """Forget all outcomes of a server; return the number of tools and servers re-enabled."""
        now = self._clock()
        keys = [key for key in self._windows if key[0] == server]
        return sum(self._windows.pop(key).disabled_until > now for key in keys)
