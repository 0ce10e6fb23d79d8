"""The pool of tasks: jobs run concurrently, tasks are reused, ends and cancellations are clean."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcpgw.protocol.task_pool import MAX_IDLE, TaskPool


async def test_an_idle_task_serves_the_next_job() -> None:
    """Jobs one after another share a task; jobs at the same time do not."""
    tasks: list[trio.lowlevel.Task] = []
    gate = trio.Event()

    async def run(job: int) -> None:
        tasks.append(trio.lowlevel.current_task())
        if job >= 2:
            await gate.wait()

    pool = TaskPool(run)
    async with trio.open_nursery() as nursery:
        for job in range(4):
            pool.start_soon(nursery, job)
            await wait_all_tasks_blocked()
        assert tasks[0] is tasks[1] is tasks[2]
        assert tasks[3] is not tasks[2]
        gate.set()
        pool.end()


async def test_no_more_tasks_than_needed_stay() -> None:
    """After a burst at most `MAX_IDLE` tasks wait."""

    async def run(_job: int) -> None:
        await trio.lowlevel.checkpoint()

    pool = TaskPool(run)
    async with trio.open_nursery() as nursery:
        for job in range(3 * MAX_IDLE):
            pool.start_soon(nursery, job)
        await wait_all_tasks_blocked()
        assert MAX_IDLE == len(nursery.child_tasks)
        pool.end()


async def test_cancellation_ends_idle_and_busy_tasks() -> None:
    """A cancelled nursery leaves no task, and the pool holds none that has ended."""

    async def run(job: int) -> None:
        if job:
            await trio.sleep_forever()

    pool = TaskPool(run)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            pool.start_soon(nursery, 1)
            pool.start_soon(nursery, 0)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [] == pool._idle


async def test_a_job_that_was_cancelled_by_its_own_scope_frees_its_task() -> None:
    """The scope of a job ends with it."""
    done: list[int] = []

    async def run(job: int) -> None:
        with trio.CancelScope() as scope:
            if job == 0:
                scope.cancel()
            await trio.lowlevel.checkpoint()
            done.append(job)

    pool = TaskPool(run)
    async with trio.open_nursery() as nursery:
        for job in range(3):
            pool.start_soon(nursery, job)
            await wait_all_tasks_blocked()
        assert 1 == len(nursery.child_tasks)
        pool.end()
    assert [1, 2] == done


async def test_an_error_reaches_the_nursery() -> None:
    """A fault in a job is not swallowed."""

    async def run(_job: int) -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup):
        async with trio.open_nursery() as nursery:
            TaskPool(run).start_soon(nursery, 1)
