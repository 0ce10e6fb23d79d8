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

    async def run(job: int, _scope: trio.CancelScope) -> None:
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

    async def run(_job: int, _scope: trio.CancelScope) -> None:
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

    async def run(job: int, _scope: trio.CancelScope) -> None:
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


async def test_a_cancelled_job_frees_its_task_for_the_next() -> None:
    """A job is cancelled by the scope that it runs in; the job after it has a fresh one."""
    scopes: list[trio.CancelScope] = []
    done: list[int] = []

    async def run(job: int, scope: trio.CancelScope) -> None:
        scopes.append(scope)
        if job == 1:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        done.append(job)

    pool = TaskPool(run)
    async with trio.open_nursery() as nursery:
        for job in range(4):
            pool.start_soon(nursery, job)
            await wait_all_tasks_blocked()
            if job == 1:
                scopes[1].cancel()
                await wait_all_tasks_blocked()
        assert 1 == len(nursery.child_tasks)
        pool.end()
    assert [0, 2, 3] == done
    assert scopes[0] is scopes[1] is not scopes[2]
    assert scopes[2] is scopes[3]


async def test_a_job_that_ignores_its_cancellation_ends_its_scope_too() -> None:
    """A scope that was cancelled too late is not the next job's."""
    done: list[int] = []

    async def run(job: int, scope: trio.CancelScope) -> None:
        if job == 0:
            scope.cancel()
            return
        await trio.lowlevel.checkpoint()
        done.append(job)

    pool = TaskPool(run)
    async with trio.open_nursery() as nursery:
        for job in range(2):
            pool.start_soon(nursery, job)
            await wait_all_tasks_blocked()
        pool.end()
    assert [1] == done


async def test_an_error_reaches_the_nursery() -> None:
    """A fault in a job is not swallowed."""

    async def run(_job: int, _scope: trio.CancelScope) -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup):
        async with trio.open_nursery() as nursery:
            TaskPool(run).start_soon(nursery, 1)
