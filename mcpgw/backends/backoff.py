"""Exponential backoff with full jitter."""

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
    the delay is a random number from 0 to the ceiling ("full jitter"), so that many clients of one
    server do not retry in step. The first attempt has no delay. Attempt numbers may be of any size.

    Args:
      attempt: the number of the next attempt; 1 is the first.
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
