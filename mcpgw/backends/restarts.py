"""Failures of one instance in a row, and the pause before its next start."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from mcpgw.backends.backoff import delay
from mcpgw.config.failsafe import RetryConfig

STABLE_AFTER: Final = 10.0
"""Seconds after which a ready connection resets the count of failures in a row."""
STABLE_ANSWERS: Final = 3
"""Answered calls that do the same."""
PROBING: Final = 60.0
"""Seconds since the last demand for which a network server is tried again while its circuit
breaker is open: to connect costs nothing, and the breaker can let calls through sooner."""


@attrs.define(eq=False)
class Restarts:
    """Counts the failures of an instance."""

    in_a_row: int = 0
    """Failures since it was last stable."""
    failed_starts: int = 0
    """Starts, ever, after which it did not become ready."""
    answers: int = 0
    """Calls answered since it was last ready."""
    ready_at: float = 0.0
    """When it was last ready, by Trio's clock."""
    wanted_at: float = 0.0
    """When it was last asked for."""

    def ready(self) -> None:
        """Note that it is ready."""
        self.ready_at = trio.current_time()
        self.answers = 0

    @property
    def stable(self) -> bool:
        """True if it has been ready for a while, or of use."""
        lasted = trio.current_time() - self.ready_at > STABLE_AFTER
        return lasted or self.answers >= STABLE_ANSWERS

    @property
    def recently_wanted(self) -> bool:
        """True if a call asked for it a short time ago."""
        return trio.current_time() - self.wanted_at < PROBING

    def count(self, *, was_ready: bool) -> None:
        """Count a failure."""
        if was_ready and self.stable:
            self.in_a_row = 0
        self.in_a_row += 1
        if not was_ready:
            self.failed_starts += 1

    def pause(self, retry: RetryConfig, *, was_ready: bool) -> float:
        """Return the seconds to wait before the next start."""
        if was_ready and self.in_a_row == 1:
            return 0.0
        return delay(
            self.in_a_row + 1,
            initial=retry.initial_backoff,
            maximum=retry.max_backoff,
            multiplier=retry.multiplier,
        )
