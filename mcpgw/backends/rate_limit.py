"""Token bucket: limits calls to a burst and to a rate per second, in order of arrival."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import trio

MOMENT: Final = 0.001
"""The shortest wait, in seconds, that is reported while other tasks are waiting."""


class RateLimited(Exception):
    """No token becomes available in the time that the caller has.

    Attributes:
      retry_after: seconds until a token would have been available, after the waiting tasks.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"rate limit reached; retry after {retry_after:.3g} s")
        self.retry_after = retry_after


# Validators on every assignment would cost more than the rest of a call's path through here.
@attrs.define(eq=False, kw_only=True, repr=False, on_setattr=attrs.setters.NO_OP)
class TokenBucket:
    """A bucket that starts full, holds `burst` tokens and gets `rate` new ones per second.

    The state is one number, the time at which the bucket will be full again (generic cell rate
    algorithm). So nothing has to be refilled, and rounding errors do not add up.

    Args:
      rate: tokens per second, above 0.
      burst: the number of tokens that it holds, at least 1.
      clock: monotonic seconds; for `take` it must be Trio's clock.

    Raises:
      ValueError: `rate` or `burst` is too small.
    """

    rate: float = attrs.field(validator=attrs.validators.gt(0.0))
    burst: int = attrs.field(validator=attrs.validators.ge(1))
    _clock: Callable[[], float] = trio.current_time
    _full_at: float = attrs.field(default=-math.inf, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _turn: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)

    def __repr__(self) -> str:
        return f"<TokenBucket rate={self.rate:g}/s burst={self.burst} waiting={self._waiting}>"

    @property
    def waiting(self) -> int:
        """The number of tasks that wait for a token."""
        return self._waiting

    def try_take(self) -> float:
        """Take a token if one is available and no task is waiting.

        Returns:
          0.0 if a token was taken; else the seconds until one would be available, always above 0.
        """
        now = self._clock()
        next_at = self._next_at()
        if not self._waiting and now >= next_at:
            self._take_one(now)
            return 0.0
        return max(next_at + self._waiting / self.rate - now, MOMENT if self._waiting else 0.0)

    async def take(self, *, max_wait: float = math.inf) -> None:
        """Take a token, waiting in order of arrival until one is available.

        This is not a checkpoint if a token is available. If it is cancelled while waiting, it has
        taken nothing and the tasks behind it move up.

        Args:
          max_wait: the longest wait, in seconds.

        Raises:
          RateLimited: the token would come after `max_wait`, or not before the deadline of the
            enclosing cancel scopes. It is raised at once, without waiting.
        """
        wait = self.try_take()
        if wait == 0.0:
            return
        # A token exactly at the deadline would be too late: the cancellation comes first.
        if wait > max_wait or trio.current_time() + wait >= trio.current_effective_deadline():
            await trio.lowlevel.checkpoint_if_cancelled()
            raise RateLimited(wait)
        self._waiting += 1
        try:
            async with self._turn:
                await trio.sleep_until(self._next_at())
                self._take_one(self._clock())
        finally:
            self._waiting -= 1

    def _next_at(self) -> float:
        """Return the time from which the bucket has a token."""
        return self._full_at - (self.burst - 1) / self.rate

    def _take_one(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + 1.0 / self.rate
