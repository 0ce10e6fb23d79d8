"""A limit on the calls in flight that costs next to nothing while there is a free place."""

from __future__ import annotations

from types import TracebackType

import attrs
from trio.lowlevel import ParkingLot


# Validators on every assignment would be the dearest part of a call's way through here.
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ConcurrencyLimit:
    """So many places; who finds none waits in order of arrival.

    A place that is given back goes straight to the first in line, so nobody can slip in
    between. `async with limit:` acquires and releases. Other than `trio.CapacityLimiter`,
    `acquire` is no checkpoint while a place is free, and a place belongs to no task.

    Args:
      max_in_flight: the number of places.

    Raises:
      ValueError: `max_in_flight` is below 1.
    """

    max_in_flight: int = attrs.field(validator=attrs.validators.ge(1))
    _in_flight: int = attrs.field(default=0, init=False)
    _line: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def __repr__(self) -> str:
        taken = f"{self._in_flight}/{self.max_in_flight}"
        return f"<ConcurrencyLimit in_flight={taken} waiting={self.waiting}>"

    @property
    def in_flight(self) -> int:
        """How many places are taken."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """How many tasks wait for a place."""
        return len(self._line)

    async def acquire(self) -> None:
        """Take a place, waiting for one where none is free.

        When cancelled while it waits, it leaves the line and has taken nothing. Each
        `acquire` that returns needs one `release`.
        """
        if self._in_flight < self.max_in_flight:
            self._in_flight += 1
        else:
            # The place comes with the wake-up: Trio does not cancel a task that was woken.
            await self._line.park()

    def release(self) -> None:
        """Give a place back.

        Raises:
          RuntimeError: no place is taken.
        """
        if not self._in_flight:
            raise RuntimeError("release() without acquire(): no place of this limit is taken")
        if self._line:
            self._line.unpark()
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
