"""File watcher: one task that polls on behalf of all registrations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.files")

INTERVAL: Final = 1.0
"""Seconds between two polls of a registration, unless it asks for another interval."""
SETTLE: Final = 0.25
"""Seconds that files must stay unchanged before a change is reported: an editor may write in
several steps."""


@attrs.define(eq=False)
class Poll:
    """One registration. It ends with `close`."""

    name: str
    check: Callable[[], Awaitable[None]]
    interval: float
    due: float
    running: bool = False
    closed: bool = False

    def close(self) -> None:
        """Stop polling."""
        self.closed = True


@attrs.define(eq=False)
class FileWatcher:
    """Polls at intervals. `run` is its task; a check that fails is logged and called again."""

    _polls: list[Poll] = attrs.field(factory=list)
    _added: trio.Event = attrs.field(factory=trio.Event)

    def poll(
        self, name: str, check: Callable[[], Awaitable[None]], *, interval: float = INTERVAL
    ) -> Poll:
        """Have `check` awaited every `interval` seconds, never twice at the same time.

        Args:
          name: what is checked, for the log.
          check: looks at the files and acts on changes.
          interval: seconds.
        """
        poll = Poll(name, check, interval, trio.current_time() + interval)
        self._polls.append(poll)
        self._added.set()
        return poll

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Poll until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._added = trio.Event()
                self._polls = [each for each in self._polls if not each.closed]
                now = trio.current_time()
                for poll in self._polls:
                    if poll.due <= now and not poll.running:
                        poll.running = True
                        nursery.start_soon(self._check, poll)
                waiting = [each.due for each in self._polls if not each.running]
                with trio.move_on_at(min(waiting, default=float("inf"))):
                    await self._added.wait()

    async def _check(self, poll: Poll) -> None:
        try:
            if not poll.closed:
                await poll.check()
        except Exception as error:
            log.error("watch.crashed", watched=poll.name, exc_info=error)
        finally:
            poll.running = False
            poll.due = trio.current_time() + poll.interval
            self._added.set()
