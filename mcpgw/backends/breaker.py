"""Circuit breaker of a backend.

After too many failures in a row calls are refused at once; after a while, one probe at a time
finds out whether the backend works again.
"""

from __future__ import annotations

import enum
import math
import random
import time
from collections.abc import Callable
from typing import Final

import attrs
import trio

JITTER: Final = 0.1
"""The largest part of `reset_timeout` that is added to it, so that gateways that lost the same
server do not all try it again at the same moment."""


class BreakerState(enum.Enum):
    """State of a breaker: calls pass (closed), are refused (open), or one at a time may try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@attrs.define(eq=False)
class Permit:
    """Permission to make one call. The caller reports once how the call ended.

    A report is ignored if the breaker has changed its state since the call was admitted, and so
    is a second report of a probe. While the breaker is closed all calls share one permit; then a
    second `success` or `release` changes nothing, and each `failure` counts.
    """

    _breaker: CircuitBreaker

    def success(self) -> None:
        """Report that the backend answered."""
        self._breaker._succeeded(self)

    def failure(self, reason: str, *, common: bool = False) -> None:
        """Report that the backend failed.

        Args:
          reason: the cause in words, kept if this failure opens the breaker.
          common: whether the cause may have affected all calls in flight, such as a lost
            connection; then the reports of the other calls do not count.
        """
        self._breaker._failed(self, reason, common)

    def release(self) -> None:
        """Report that the call proves nothing about the backend: cancelled, or never sent."""
        self._breaker._released(self)


# Validators on every assignment would cost more than the rest of a call's path through here.
@attrs.define(eq=False, kw_only=True, repr=False, on_setattr=attrs.setters.NO_OP)
class CircuitBreaker:
    """Counts failed calls to a backend, and refuses calls after too many of them.

    Closed: all calls pass; a success resets the count of failures. Open: all calls are refused
    until `reset_timeout`, and up to a tenth more, has passed. Half open: one call at a time
    passes as a probe; a failure opens the breaker again, enough successes close it.

    No method waits. An open breaker becomes half open when its state is read after that time, so
    it needs no task.

    Args:
      failure_threshold: failures in a row that open it.
      success_threshold: successes in half open that close it.
      reset_timeout: seconds from the trip to the first probe.
      clock: monotonic seconds; read only while open or half open.
      jitter: a number from 0 to 1, drawn at each trip.

    Raises:
      ValueError: a threshold is below 1, or `reset_timeout` is negative.
    """

    failure_threshold: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    success_threshold: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    reset_timeout: float = attrs.field(default=30.0, validator=attrs.validators.ge(0.0))
    _clock: Callable[[], float] = trio.current_time
    _jitter: Callable[[], float] = random.random
    trips: int = attrs.field(default=0, init=False)
    """The number of times that it has opened."""
    last_trip_at: float = attrs.field(default=0.0, init=False)
    """When it last opened, in Unix seconds; 0.0 if it never did."""
    last_trip_reason: str | None = attrs.field(default=None, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _successes: int = attrs.field(default=0, init=False)
    # Shared by all calls while the breaker is closed; else None. Each time it closes there is a
    # new one, so that reports from before a trip are recognized by their permit.
    _shared: Permit | None = attrs.field(init=False)
    _probe: Permit | None = attrs.field(default=None, init=False)
    # When an open breaker becomes half open; None if it is not open.
    _until: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._shared = Permit(self)

    def __repr__(self) -> str:
        state = self.state
        text = f"<CircuitBreaker {state.name} failures={self._failures}/{self.failure_threshold}"
        text += f" trips={self.trips}"
        if state is BreakerState.OPEN:
            text += f" retry in {self.retry_after():.1f}s"
        elif state is BreakerState.HALF_OPEN:
            probing = " probing" if self._probe else ""
            text += f" successes={self._successes}/{self.success_threshold}{probing}"
        return text + ">"

    @property
    def state(self) -> BreakerState:
        """The state now; an open breaker becomes half open when its time is over."""
        if self._shared is not None:
            return BreakerState.CLOSED
        if self._until is not None:
            if self._clock() < self._until:
                return BreakerState.OPEN
            self._until = None
            self._successes = 0
        return BreakerState.HALF_OPEN

    @property
    def failures(self) -> int:
        """The number of failures in a row that count towards opening it."""
        return self._failures

    def admit(self) -> Permit | None:
        """Return a permit to make a call; None if calls are refused now.

        While half open, the permit is the only probe until the end of its call is reported, so
        the caller must report it in every case, including cancellation.
        """
        if self._shared is not None:
            return self._shared
        if self._probe is not None or self.state is BreakerState.OPEN:
            return None
        self._probe = Permit(self)
        return self._probe

    def record_failure(self, reason: str) -> None:
        """Record a failure outside of an admitted call: a process died, a start failed.

        Counts like a call's failure while closed or half open, and is ignored while open.
        """
        if self._shared is not None or self.state is BreakerState.HALF_OPEN:
            self._count_failure(reason)

    def allow_probe(self) -> None:
        """Become half open now if it is open: the backend has been reached again."""
        if self._until is not None:
            self._until = self._clock()

    def reset(self) -> None:
        """Close by hand. Calls that were admitted before do not count any more."""
        self._close()

    def retry_after(self) -> float:
        """Return the seconds until a probe may be sent; 0.0 unless open."""
        if self.state is not BreakerState.OPEN or self._until is None:
            return 0.0
        return max(0.0, self._until - self._clock())

    def snapshot(self) -> dict[str, str | int | None]:
        """Return the state as plain data; times are in whole milliseconds, rounded up."""
        return {
            "state": self.state.value,
            "trips_count": self.trips,
            "last_trip_ms": int(self.last_trip_at * 1000),
            "retry_after_ms": math.ceil(self.retry_after() * 1000),
            "current_failures": self._failures,
            "failure_threshold": self.failure_threshold,
            "last_trip_reason": self.last_trip_reason,
        }

    # -- reports of permits ----------------------------------------------------------------

    def _succeeded(self, permit: Permit) -> None:
        if permit is self._shared:
            self._failures = 0
        elif permit is self._probe:
            self._probe = None
            self._count_success()

    def _failed(self, permit: Permit, reason: str, common: bool) -> None:
        if permit is self._shared or permit is self._probe:
            self._count_failure(reason)
            if common and self._shared is not None:
                self._shared = Permit(self)

    def _released(self, permit: Permit) -> None:
        if permit is self._probe:
            self._probe = None

    # -- transitions -----------------------------------------------------------------------

    def _count_success(self) -> None:
        """Count one of the successes that close a half-open breaker."""
        self._successes += 1
        if self._successes >= self.success_threshold:
            self._close()

    def _count_failure(self, reason: str) -> None:
        """Count a failure while closed or half open."""
        if self._successes:
            self._failures = self._successes = 0
        self._failures += 1
        if self._shared is None or self._failures >= self.failure_threshold:
            self._open(reason)

    def _open(self, reason: str) -> None:
        self._shared = self._probe = None
        self._until = self._clock() + self.reset_timeout * (1.0 + JITTER * self._jitter())
        self.trips += 1
        self.last_trip_at = time.time()
        self.last_trip_reason = reason

    def _close(self) -> None:
        self._shared = Permit(self)
        self._probe = self._until = None
        self._failures = self._successes = 0
