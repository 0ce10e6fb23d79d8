"""Pool of tasks that serve one job after another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import attrs
import trio
from outcome import Value

MAX_IDLE: Final = 64
"""Tasks that wait for a job; a task that would be one more ends."""

T = TypeVar("T")


@attrs.define(eq=False)
class TaskPool(Generic[T]):
    """Runs each job in a task of a nursery, and reuses tasks whose job has ended.

    To spawn a task costs about ten times as much as to wake one, and a cancel scope for each job
    a tenth of what a call through the gateway costs. So a task keeps its cancel scope from job to
    job, until a job is cancelled. Tasks are not isolated from earlier jobs in one way: a job must
    not set context variables.

    Args:
      run: does a job. It is called with the scope that the job may be cancelled by, until it
        returns. If it raises, so does the nursery.
    """

    run: Callable[[T, trio.CancelScope], Awaitable[None]]
    _idle: list[trio.lowlevel.Task] = attrs.field(factory=list)
    _ended: bool = False

    def start_soon(self, nursery: trio.Nursery, job: T) -> None:
        """Start a job in an idle task, or else in a new one."""
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop(), Value(job))
        else:
            nursery.start_soon(self._work, job)

    def end(self) -> None:
        """Let idle tasks end now, and all others after their jobs."""
        self._ended = True
        while self._idle:
            trio.lowlevel.reschedule(self._idle.pop(), Value(None))

    async def _work(self, job: T | None) -> None:
        while job is not None:
            with trio.CancelScope() as scope:
                while job is not None:
                    await self.run(job, scope)
                    if scope.cancel_called:
                        break
                    job = await self._next()
            if scope.cancel_called:
                job = await self._next()

    async def _next(self) -> T | None:
        """Wait for the next job; None if the task is to end."""
        if self._ended or len(self._idle) >= MAX_IDLE:
            return None
        task = trio.lowlevel.current_task()

        def abandon(_: Any) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self._idle.append(task)
        job: T | None = await trio.lowlevel.wait_task_rescheduled(abandon)
        return job
