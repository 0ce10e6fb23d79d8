"""Error budgets: tools and servers with a high error rate are disabled temporarily."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence

import attrs
import trio

from mcpgw.config.governance import ErrorBudgetConfig, ErrorWindowConfig
from mcpgw.usage.model import ToolKey


@attrs.frozen
class _Outcome:
    """End of a call: when, whether it failed, and the process that stayed silent, if any."""

    at: float
    failed: bool
    process: Hashable = None


@attrs.define(eq=False)
class _Window:
    """The latest outcomes of one tool or server."""

    outcomes: deque[_Outcome] = attrs.field(factory=deque)
    since: float = -float("inf")
    """Outcomes up to this time do not count, because they have led to a cooldown already."""
    disabled_until: float = 0.0
    rate: float = 0.0
    """The share of failures at which it was disabled."""
    silent: Hashable = None
    """The process whose silence disabled it; None if other failures did."""

    def add(self, outcome: _Outcome, most: int) -> None:
        """Add an outcome; keep the latest `most`."""
        outcomes = self.outcomes
        outcomes.append(outcome)
        if len(outcomes) > most:
            outcomes.popleft()

    def recent(self, now: float, settings: ErrorWindowConfig) -> list[_Outcome]:
        """Return the latest outcomes that count."""
        oldest = max(now - settings.window, self.since)
        return [each for each in self.outcomes if each.at > oldest][-settings.window_calls :]

    def spent(self, now: float, settings: ErrorWindowConfig) -> bool:
        """Start a cooldown if too many of the latest calls failed; return whether it started."""
        recent = self.recent(now, settings)
        if len(recent) < settings.min_samples or now < self.disabled_until:
            return False
        failures = [each for each in recent if each.failed]
        rate = len(failures) / len(recent)
        if rate < settings.threshold:
            return False
        self.disabled_until = now + settings.cooldown
        self.since = now
        self.rate = rate
        silent = [each.process for each in failures if each.process is not None]
        self.silent = silent[-1] if 2 * len(silent) > len(failures) else None
        return True

    def enable(self, now: float) -> None:
        """End the cooldown; earlier outcomes do not count any more."""
        self.disabled_until, self.since = 0.0, now


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
    _unanswered: dict[str, tuple[Hashable, float]] = attrs.field(factory=dict)
    """By server, the process that did not answer last, and when that was recorded."""
    _any: bool = False
    """True if anything was ever disabled; if not, `remaining` is quick."""

    def __attrs_post_init__(self) -> None:
        self.use(self.config)

    def use(self, config: ErrorBudgetConfig) -> None:
        """Set the configuration; current cooldowns continue."""
        self.config = config
        self._most = max(config.tool.window_calls, config.server.window_calls)

    def remaining(self, server: str, tool: str, process: Hashable = None) -> float:
        """Return the seconds for which a tool, or its whole server, is still disabled.

        What one process was disabled for by its silence does not concern another one.

        Args:
          server, tool: the names.
          process: the process that a call would go to; None if it is not known.
        """
        if not self._any:
            return 0.0
        windows = self._windows
        longest = 0.0
        now = self._clock()
        for key in ((server, tool), (server, "")):
            window = windows.get(key)
            if window is None or not window.disabled_until:
                continue
            if process is not None and window.silent is not None and window.silent != process:
                window.enable(now)
            longest = max(longest, window.disabled_until - now)
        return longest

    def record(self, server: str, tool: str, *, failed: bool) -> Sequence[str]:
        """Record an outcome; return what it disabled: the tool, the server, both or neither."""
        return self._record(server, tool, _Outcome(self._clock(), failed))

    def record_unanswered(
        self, server: str, tool: str, process: Hashable, sent_at: float, *, silent: bool
    ) -> Sequence[str]:
        """Record a call without an answer; return what it disabled.

        Calls to one process that waited at the same time have one cause, so they count once.

        Args:
          server, tool: the names.
          process: the process that did not answer.
          sent_at: when the call was sent.
          silent: whether it just did not answer in time; then its successor is not disabled.
        """
        last, until = self._unanswered.get(server, (None, 0.0))
        if last == process and sent_at <= until:
            return ()
        now = self._clock()
        self._unanswered[server] = (process, now)
        outcome = _Outcome(now, failed=True, process=process if silent else None)
        return self._record(server, tool, outcome)

    def _record(self, server: str, tool: str, outcome: _Outcome) -> Sequence[str]:
        window, whole = self._window(server, tool), self._window(server, "")
        window.add(outcome, self._most)
        whole.add(outcome, self._most)
        if not outcome.failed:
            return ()
        disabled: list[str] = []
        if window.spent(outcome.at, self.config.tool):
            disabled.append(tool)
        if whole.spent(outcome.at, self.config.server):
            disabled.append(server)
        self._any = self._any or bool(disabled)
        return disabled

    def _window(self, server: str, tool: str) -> _Window:
        """Return the window of a tool, or of a whole server if `tool` is empty."""
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
        window = self._windows.get((server, ""))
        recent = window.recent(self._clock(), self.config.server) if window else []
        failures = sum(each.failed for each in recent)
        return len(recent) - failures, failures

    def forget(self, server: str) -> int:
        """Forget all outcomes of a server; return the number of tools and servers re-enabled."""
        now = self._clock()
        self._unanswered.pop(server, None)
        keys = [key for key in self._windows if key[0] == server]
        return sum(self._windows.pop(key).disabled_until > now for key in keys)
