"""How long calls took, as a histogram of few numbers that can be added to another.

A bucket is a quarter wider than the one before it, so a percentile read from the middle of its
bucket is within 12 % of the exact one, from 0.1 ms up to an hour.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from typing import Final

LEAST: Final = 0.0001
"""Seconds; what is quicker counts as this."""
STEP: Final = 1.25
LONGEST: Final = 3600.0
"""Seconds; what took longer counts as about this."""

BOUNDS: Final = tuple(
    LEAST * STEP**power for power in range(math.ceil(math.log(LONGEST / LEAST, STEP)) + 1)
)
"""Bucket `n` holds what took at least `BOUNDS[n - 1]` and less than `BOUNDS[n]` seconds."""


def bucket_of(seconds: float) -> int:
    """Return the bucket in which a call of this length is counted."""
    return bisect.bisect_right(BOUNDS, seconds)


def middle_of(bucket: int) -> float:
    """Return the seconds that stand for all calls of a bucket."""
    if bucket <= 0:
        return LEAST
    return BOUNDS[min(bucket, len(BOUNDS)) - 1] * math.sqrt(STEP)


def percentile(buckets: Mapping[int, int], percent: float) -> float | None:
    """Return the seconds that `percent` of the calls did not exceed, by nearest rank.

    Args:
      buckets: how many calls each bucket holds.
      percent: more than 0, at most 100.

    Returns:
      None where there are no calls.
    """
    calls = sum(buckets.values())
    if calls <= 0:
        return None
    rank = max(1, math.ceil(calls * percent / 100))
    passed = 0
    for bucket in sorted(buckets):
        passed += buckets[bucket]
        if passed >= rank:
            return middle_of(bucket)
    raise AssertionError("the last bucket completes the sum")
