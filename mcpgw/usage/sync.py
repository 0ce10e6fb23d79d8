"""The task that carries counters between memory and the state file."""

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
"""Seconds between two writings; a process that is killed loses no more than this."""
LOOK: Final = 60.0
"""Seconds after which others' counts are read where there is nothing to write, and after which
a file that cannot be used is tried again."""
LAST_WORDS: Final = 2.0
"""Seconds that the last sync may take when the gateway ends."""


async def keep(
    usage: Usage,
    store: UsageStore,
    *,
    interval: float = INTERVAL,
    look: float = LOOK,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep counters and the state file in step until cancelled, and once more then.

    The totals of earlier runs and other gateways are adopted soon after the start. A file that
    cannot be used is no failure of the gateway: there is one warning for each kind of trouble,
    the counts stay in memory, and the file is tried again.

    Args:
      usage: the counters.
      store: the file; nobody else may use this object meanwhile.
      interval: seconds between two writings, where anything has changed.
      look: seconds after which others' counts are read, and ours written, in any case.
      task_status: told at once; the first reading does not hold up the start.
    """
    task_status.started()
    keeper = _Keeper(usage, store)
    try:
        while True:
            looked = trio.current_time()
            fine = await keeper.exchange()
            while True:
                await trio.sleep(min(interval, look))
                if trio.current_time() - looked >= look or (fine and usage.changed):
                    break
    finally:
        keeper.grace = 0.0  # the deadline here is the only one
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WORDS):
            # Twice where a delta that failed is sent again before what was counted since.
            if usage.changed and await keeper.exchange() and usage.changed:
                await keeper.exchange()


@attrs.define(eq=False)
class _Keeper:
    usage: Usage
    store: UsageStore
    grace: float = LAST_WORDS
    """Seconds that a sync under way has after the task is cancelled."""
    _left_behind: bool = False
    """Whether a thread still uses the store."""
    _warned: set[str] = attrs.field(factory=set)
    """The kinds of trouble that were told of since it last went well."""

    async def exchange(self) -> bool:
        """Write what is to be written and adopt the totals. Return whether that went well."""
        if self._left_behind:
            return False
        delta = self.usage.take()
        fine = False
        # A thread cannot be cancelled, and what it did must not be lost; so a cancelled task
        # waits for it, but not for long.
        patience = trio.CancelScope(shield=True)

        async def hurry() -> None:
            try:
                await trio.sleep_forever()
            finally:
                patience.deadline = min(patience.deadline, trio.current_time() + self.grace)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hurry)
            with patience:
                outcome = await trio.to_thread.run_sync(
                    _attempt, self.store, delta, abandon_on_cancel=True
                )
                fine = self._learn(delta, outcome)
            if patience.cancelled_caught:
                self._left_behind = True
                self._warn("slow", "the state file did not answer in time at the end")
            nursery.cancel_scope.cancel()
        return fine

    def _learn(self, delta: Delta, outcome: Totals | Exception) -> bool:
        if isinstance(outcome, Exception):
            kind = outcome.kind if isinstance(outcome, StateError) else type(outcome).__name__
            self._warn(kind, str(outcome))
            return False
        self.usage.settle(delta, outcome)
        if self._warned:
            self._warned.clear()
            log.info("state.kept_again", path=str(self.store.path))
        return True

    def _warn(self, kind: str, reason: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            hint = "calls are counted in memory meanwhile"
            log.warning("state.not_kept", kind=kind, reason=reason, hint=hint)


def _attempt(store: UsageStore, delta: Delta) -> Totals | Exception:
    try:
        return store.sync(delta)
    except Exception as error:  # noqa: BLE001  # told of; counters are not worth a gateway's life
        return error
