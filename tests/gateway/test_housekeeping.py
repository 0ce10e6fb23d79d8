"""The guard of periodic tasks."""

from __future__ import annotations

import itertools

import trio
from trio.testing import MockClock

from mcpgw.gateway.housekeeping import RESTART, supervised


async def test_a_crashed_task_is_started_again_with_growing_pauses(
    autojump_clock: MockClock,
) -> None:
    """An internal error ends neither the gateway nor the task for good."""
    starts: list[float] = []

    async def task() -> None:
        starts.append(trio.current_time())
        if len(starts) < 5:
            raise RuntimeError("broken")

    await supervised("task", task)

    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(starts)]
    assert [1, 2, 4, 8] == pauses


async def test_a_task_that_ran_long_starts_again_soon(autojump_clock: MockClock) -> None:
    """After a long life the pause is short again."""
    starts: list[float] = []

    async def task() -> None:
        starts.append(trio.current_time())
        if len(starts) == 4:
            await trio.sleep(RESTART[1] + 1)
        if len(starts) < 6:
            raise RuntimeError("broken")

    await supervised("task", task)

    assert RESTART[0] == round(starts[4] - starts[3] - RESTART[1] - 1)


async def test_a_cancelled_task_ends(autojump_clock: MockClock) -> None:
    """Cancellation passes through."""
    with trio.move_on_after(1) as scope:
        await supervised("task", trio.sleep_forever)

    assert scope.cancelled_caught
