"""A token bucket: so many calls at once, so many a second over time, first come first served."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import trio

MOMENT: Final = 0.001
"""Seconds said to whoever has to let others go first that are about to have their token."""


class RateLimited(Exception):
    """There is no token in the time that the caller has.

    Attributes:
      retry_after: seconds until there would have been one, as the line stands now.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the rate limit has no place for {retry_after:.3g} s")
        self.retry_after = retry_after


# Validators on every assignment would be the dearest part of a call's way through here.
@attrs.define(eq=False, kw_only=True, repr=False, on_setattr=attrs.setters.NO_OP)
class TokenBucket:
    """A bucket that starts full, holds `burst` tokens and gets `rate` new ones a second.

    The state is one number, the time at which the bucket will be full again (the generic cell
    rate algorithm). So there is nothing to refill, and no sum of fractions that drifts.

    Args:
      rate: tokens a second, above 0.
      burst: the number of tokens that it holds, at least 1.
      clock: monotonic seconds; `take` needs it to be Trio's.

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
        """How many tasks wait for a token."""
        return self._waiting

    def try_take(self) -> float:
        """Take a token if there is one and nobody waits in line.

        Returns:
          0.0 where a token was taken; else the seconds until one would be there, always
          above 0, and nothing was taken.
        """
        now = self._clock()
        next_at = self._next_at()
        if not self._waiting and now >= next_at:
            self._take_one(now)
            return 0.0
        return max(next_at + self._waiting / self.rate - now, MOMENT if self._waiting else 0.0)

    async def take(self, *, max_wait: float = math.inf) -> None:
        """Take a token, waiting in order of arrival where there is none.

        This is no checkpoint where a token is there. When cancelled while it waits, it has
        taken nothing and those behind it move up.

        Args:
          max_wait: seconds to wait at the most.

        Raises:
          RateLimited: the token would come after `max_wait`, or not before the deadline of the
            enclosing cancel scopes. It is raised at once, without waiting.
        """
        wait = self.try_take()
        if wait == 0.0:
            return
        # A token at the very moment of the deadline is of no use: the cancellation comes first.
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
        """Return when the bucket has a token (again)."""
        return self._full_at - (self.burst - 1) / self.rate

    def _take_one(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + 1.0 / self.rate
