"""Concurrency limit."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from mcpgw.backends.concurrency import ConcurrencyLimit


class TestConcurrencyLimit:
    """Slots and their queue."""

    async def test_free_slots_need_no_checkpoint(self) -> None:
        """Acquiring and releasing a free slot is not a checkpoint."""
        limit = ConcurrencyLimit(1)
        with assert_no_checkpoints():
            async with limit:
                assert "<ConcurrencyLimit in_flight=1/1 waiting=0>" == repr(limit)
        assert 0 == limit.in_flight

    async def test_in_order_of_arrival(self) -> None:
        """Tasks are served in order of arrival, also before new tasks."""
        limit = ConcurrencyLimit(1)
        order: list[int] = []

        async def use(number: int) -> None:
            async with limit:
                order.append(number)
                await trio.lowlevel.checkpoint()

        await limit.acquire()
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(use, number)
                await wait_all_tasks_blocked()
            assert (1, 3) == (limit.in_flight, limit.waiting)
            limit.release()
            await use(3)
        assert [0, 1, 2, 3] == order

    async def test_cancelled_in_the_queue(self) -> None:
        """A task that is cancelled while waiting takes no slot, and the others move up."""
        limit = ConcurrencyLimit(1)
        served = trio.Event()

        async def use() -> None:
            async with limit:
                served.set()

        await limit.acquire()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(use)
                scope.cancel()
                await limit.acquire()
            assert scope.cancelled_caught
            await wait_all_tasks_blocked()
            assert 1 == limit.waiting
            limit.release()
            await served.wait()
        assert (0, 0) == (limit.in_flight, limit.waiting)

    async def test_cancelled_after_the_wake_up(self) -> None:
        """A slot that was handed over just before the cancellation is not lost."""
        limit = ConcurrencyLimit(1)
        await limit.acquire()
        scope = trio.CancelScope()

        async def use() -> None:
            with scope:
                async with limit:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            await wait_all_tasks_blocked()
            limit.release()
            scope.cancel()
        assert scope.cancelled_caught
        assert (0, 0) == (limit.in_flight, limit.waiting)

    def test_release_without_acquire(self) -> None:
        """`release` without `acquire` is an error and does not raise the limit."""
        with pytest.raises(RuntimeError, match="without acquire"):
            ConcurrencyLimit(1).release()

    def test_no_slots(self) -> None:
        """A limit of zero would block forever and is refused."""
        with pytest.raises(ValueError, match="max_in_flight"):
            ConcurrencyLimit(0)

    @settings(max_examples=60)
    @given(
        st.integers(1, 3),
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 4), st.none() | st.integers(0, 8)),
            min_size=1,
            max_size=12,
        ),
    )
    def test_any_order_of_calls_and_cancellations(
        self, places: int, calls: list[tuple[int, int, int | None]]
    ) -> None:
        """The limit is never exceeded, and all tasks are served in order of arrival.

        A call has a time of arrival, a duration, and a time of cancellation or None.
        """
        limit = ConcurrencyLimit(places)
        arrived: list[int] = []
        served: dict[int, float] = {}
        inside = 0

        async def call(number: int, at: int, takes: int, cancelled: int | None) -> None:
            nonlocal inside
            await trio.sleep(at)
            with trio.CancelScope() as scope:
                if cancelled is not None:
                    scope.deadline = trio.current_time() + cancelled
                arrived.append(number)
                async with limit:
                    served[number] = trio.current_time()
                    inside += 1
                    try:
                        assert inside <= places
                        assert inside <= limit.in_flight <= places
                        await trio.sleep(takes)
                    finally:
                        inside -= 1

        async def main() -> None:
            # Without a lost wake-up, all calls end within the sum of all times.
            with trio.fail_after(6 + sum(takes for _, takes, _ in calls)):
                async with trio.open_nursery() as nursery:
                    for number, parts in enumerate(calls):
                        nursery.start_soon(call, number, *parts)

        trio.run(main, clock=MockClock(autojump_threshold=0))
        # Trio runs tasks that wake at the same moment in any order, so times are compared.
        times = [served[number] for number in arrived if number in served]
        assert sorted(times) == times
        assert {number for number, call in enumerate(calls) if call[2] is None} <= set(served)
        assert (0, 0) == (limit.in_flight, limit.waiting)
