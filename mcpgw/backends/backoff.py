"""How long to wait before the next attempt: exponential backoff with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable


def delay(
    attempt: int,
    *,
    initial: float,
    maximum: float,
    multiplier: float,
    jitter: Callable[[], float] = random.random,
) -> float:
    """Return the seconds to wait before an attempt.

    Before attempt n (n >= 2) the ceiling is `min(maximum, initial * multiplier ** (n - 2))`, and
    the delay is anything from 0 to the ceiling, so that many clients of one server do not come
    back in step ("full jitter"). The first attempt waits for nothing. Any attempt number is
    allowed, however large.

    Args:
      attempt: the number of the attempt that is to follow; 1 is the first.
      initial: the ceiling before the second attempt, in seconds.
      maximum: the highest ceiling, in seconds.
      multiplier: how much the ceiling grows with each attempt.
      jitter: a number from 0 to 1, drawn once.
    """
    if attempt < 2 or initial <= 0.0:
        return 0.0
    try:
        ceiling = min(maximum, initial * float(multiplier) ** (attempt - 2))
    except OverflowError:
        ceiling = maximum
    return ceiling * jitter()
