"""Concurrency limit for calls in flight; nearly free of cost while a slot is free."""

from __future__ import annotations

from types import TracebackType

import attrs
from trio.lowlevel import ParkingLot


# Validators on every assignment would cost more than the rest of a call's path through here.
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ConcurrencyLimit:
    """A number of slots, given out in order of arrival.

    A released slot goes straight to the first waiting task, so that no other task can take it.
    `async with limit:` acquires and releases. Unlike `trio.CapacityLimiter`, `acquire` is not a
    checkpoint while a slot is free, and slots do not belong to tasks.

    Args:
      max_in_flight: the number of slots.

    Raises:
      ValueError: `max_in_flight` is below 1.
    """

    max_in_flight: int = attrs.field(validator=attrs.validators.ge(1))
    _in_flight: int = attrs.field(default=0, init=False)
    _queue: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def __repr__(self) -> str:
        used = f"{self._in_flight}/{self.max_in_flight}"
        return f"<ConcurrencyLimit in_flight={used} waiting={self.waiting}>"

    @property
    def in_flight(self) -> int:
        """The number of slots in use."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """The number of tasks that wait for a slot."""
        return len(self._queue)

    async def acquire(self) -> None:
        """Take a slot, waiting until one is free.

        If it is cancelled while waiting, it leaves the queue and has taken nothing. Each
        `acquire` that returns needs one `release`.
        """
        if self._in_flight < self.max_in_flight:
            self._in_flight += 1
        else:
            # The slot comes with the wake-up: Trio does not cancel a task that was woken.
            await self._queue.park()

    def release(self) -> None:
        """Return a slot.

        Raises:
          RuntimeError: no slot is in use.
        """
        if not self._in_flight:
            raise RuntimeError("release() without acquire(): no slot is in use")
        if self._queue:
            self._queue.unpark()
        else:
            self._in_flight -= 1

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
