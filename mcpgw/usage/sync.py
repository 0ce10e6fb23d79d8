"""Background task that synchronizes the counters in memory with the state file."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.state.database import StateError
from mcpgw.usage.model import Delta, Totals
from mcpgw.usage.recorder import Usage
from mcpgw.usage.store import UsageStore

log = get_logger("mcpgw.state")

INTERVAL: Final = 10.0
"""Seconds between two writes; a killed process loses at most the counts of this time."""
LOOK: Final = 60.0
"""Seconds after which the counts of other gateways are read if there is nothing to write, and after
which a file that cannot be used is tried again."""
SHUTDOWN_TIMEOUT: Final = 2.0
"""Timeout of the last sync at shutdown, in seconds."""


async def keep(
    usage: Usage,
    store: UsageStore,
    *,
    interval: float = INTERVAL,
    look: float = LOOK,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Synchronize counters with the state file until cancelled, and a last time afterwards.

    The totals of earlier runs and other gateways are adopted soon after the start. If the file
    cannot be used, the gateway continues: it logs one warning for each kind of problem, keeps the
    counts in memory, and tries again.

    Args:
      usage: the counters.
      store: the file; this object must not be used by others.
      interval: seconds between two writes of changed counters.
      look: seconds after which the counters are synchronized in any case.
      task_status: started at once, so that the first read does not delay the start.
    """
    task_status.started()
    synchronizer = _Synchronizer(usage, store)
    try:
        while True:
            looked = trio.current_time()
            try:
                fine = await synchronizer.exchange()
            finally:
                usage.exchanged()
            while True:
                await trio.sleep(min(interval, look))
                if trio.current_time() - looked >= look or (fine and usage.changed):
                    break
    finally:
        synchronizer.grace = 0.0  # only this deadline applies
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SHUTDOWN_TIMEOUT):
            # Two syncs if a failed delta must be sent again before the counts since then.
            if usage.changed and await synchronizer.exchange() and usage.changed:
                await synchronizer.exchange()


@attrs.define(eq=False)
class _Synchronizer:
    usage: Usage
    store: UsageStore
    grace: float = SHUTDOWN_TIMEOUT
    """Seconds that a running sync may take after the task is cancelled."""
    _abandoned: bool = False
    """True if an abandoned thread still uses the store."""
    _warned: set[str] = attrs.field(factory=set)
    """Kinds of problems that were logged since the last success."""

    async def exchange(self) -> bool:
        """Write the delta and adopt the totals. Return whether that succeeded."""
        if self._abandoned:
            return False
        delta = self.usage.take()
        fine = False
        # A thread cannot be cancelled, and its result must not be lost. So a cancelled task waits
        # for it, for a limited time.
        limit = trio.CancelScope(shield=True)

        async def shorten_on_cancel() -> None:
            try:
                await trio.sleep_forever()
            finally:
                limit.deadline = min(limit.deadline, trio.current_time() + self.grace)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(shorten_on_cancel)
            with limit:
                outcome = await trio.to_thread.run_sync(
                    _attempt, self.store, delta, abandon_on_cancel=True
                )
                fine = self._adopt(delta, outcome)
            if limit.cancelled_caught:
                self._abandoned = True
                self._warn("slow", "the state file was not written in time at shutdown")
            nursery.cancel_scope.cancel()
        return fine

    def _adopt(self, delta: Delta, outcome: Totals | Exception) -> bool:
        if isinstance(outcome, Exception):
            kind = outcome.kind if isinstance(outcome, StateError) else type(outcome).__name__
            self._warn(kind, str(outcome))
            return False
        self.usage.settle(delta, outcome)
        if self._warned:
            self._warned.clear()
            log.info("state.write_recovered", path=str(self.store.path))
        return True

    def _warn(self, kind: str, reason: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            hint = "calls are counted in memory; the file is tried again"
            log.warning("state.write_failed", kind=kind, reason=reason, hint=hint)


def _attempt(store: UsageStore, delta: Delta) -> Totals | Exception:
    try:
        return store.sync(delta)
    except Exception as error:  # noqa: BLE001  # logged; must not stop the gateway
        return error
