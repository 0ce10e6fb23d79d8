"""Approvals of definitions in memory: read from the state database and written to it in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.trust.approval_changes import Approved, Change, Key

if TYPE_CHECKING:
    from mcpgw.trust.approvals import ApprovalStore

log = get_logger("mcpgw.trust")


@attrs.define(eq=False)
class ApprovalMirror:
    """The approvals of all servers, as last read, with the changes since then.

    The database is read and written in worker threads only. All other methods are called from the
    event loop.

    Args:
      store: the database; None if nothing is compared or approved.
      changed: called when another process has changed the approvals, and after the first read.
    """

    store: ApprovalStore | None
    changed: Callable[[], None]
    known: dict[Key, Approved] = attrs.field(factory=dict)
    loaded: bool = False
    """True if the database was read at least once."""
    problem: str = ""
    """Why it could not be read or written the last time."""
    _kinds: dict[str, set[str]] = attrs.field(factory=dict)
    """By server: the kinds of which a definition is approved."""
    _unsaved: dict[tuple[Key, str], Change] = attrs.field(factory=dict)
    _seen_version: int | None = None
    _reading: bool = False
    _read: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _warned: set[str] = attrs.field(factory=set)
    """Kinds of problems that were logged since the last success."""

    def kinds(self, server: str) -> frozenset[str]:
        """Return the kinds of which a definition of a server is approved."""
        return frozenset(self._kinds.get(server, ()))

    # -- changes, on the event loop --------------------------------------------------------------

    def approve(self, key: Key, digest: str, definition: Mapping[str, Any]) -> None:
        """Approve a definition that is seen for the first time."""
        self.known[key] = Approved(digest)
        self._kinds.setdefault(key[0], set()).add(key[1])
        self._put(Change("approve", key, digest, definition))

    def hold(
        self, key: Key, digest: str, definition: Mapping[str, Any], cause: str, reason: str
    ) -> None:
        """Record a definition that waits for a person."""
        before = self.known.get(key, Approved())
        if (before.pending, before.cause) != (digest, cause):
            self.known[key] = attrs.evolve(before, pending=digest, cause=cause)
            self._put(Change("hold", key, digest, definition, cause, reason))

    def settle(self, key: Key) -> None:
        """Record that the approved definition is in force again."""
        self.known[key] = attrs.evolve(self.known[key], pending="", cause="")
        self._put(Change("settle", key, self.known[key].hash))

    def _put(self, change: Change) -> None:
        place = (change.key, change.action)
        self._unsaved.pop(place, None)  # the order counts
        self._unsaved[place] = attrs.evolve(change, at=time.time())

    # -- reading and writing ---------------------------------------------------------------------

    async def ready(self, patience: float) -> bool:
        """Wait for the first read of the approvals; return whether it is done.

        It is not if the database is broken, or locked by another process for that many seconds.
        Only the first caller waits for a database that could not be read.
        """
        if self.loaded or self.store is None or self.problem:
            return self.loaded
        with trio.move_on_after(patience):
            if self._reading:
                await self._read.park()
            else:
                await self.check()
        return self.loaded

    async def check(self) -> None:
        """Write changes, and read what other processes have written since the last time."""
        from mcpgw.state.database import StateError

        if self.store is None or self._reading:
            return
        self._reading = True
        try:
            unsaved = dict(self._unsaved)
            if unsaved:
                await trio.to_thread.run_sync(
                    self.store.apply, list(unsaved.values()), abandon_on_cancel=True
                )
                for place, change in unsaved.items():
                    if self._unsaved.get(place) is change:
                        del self._unsaved[place]
            # Another process may have written just before or after, so read it back.
            version = self.store.version()
            if unsaved or not self.loaded or version != self._seen_version:
                await self._reload(self.store, version)
            self._recovered()
        except StateError as error:
            self._failed(error)
        finally:
            self._reading = False
            self._read.unpark_all()

    async def save(self) -> None:
        """Write changes if there are any."""
        while self._reading:
            await self._read.park()
        if self._unsaved:
            await self.check()

    def load(self) -> None:
        """Read the approvals. Blocks; for commands without an event loop."""
        if self.store is not None and not self.loaded:
            self._adopt(self.store.hashes())

    async def _reload(self, store: ApprovalStore, version: int) -> None:
        fresh = await trio.to_thread.run_sync(store.hashes, abandon_on_cancel=True)
        self._seen_version = version
        first = not self.loaded
        unsaved = {key for key, _ in self._unsaved}
        fresh |= {key: each for key, each in self.known.items() if key in unsaved}
        if first or fresh != self.known:
            self._adopt(fresh)
            self.changed()

    def _adopt(self, fresh: dict[Key, Approved]) -> None:
        self.known, self.loaded = fresh, True
        self._kinds = {}
        for (server, kind, _name), each in fresh.items():
            if each.hash:
                self._kinds.setdefault(server, set()).add(kind)

    def _failed(self, error: Exception) -> None:
        """Log a problem once, until it is over."""
        self.problem = str(error)
        kind = getattr(error, "kind", "")
        if kind not in self._warned:
            self._warned.add(kind)
            log.warning(
                "approvals.not_saved" if self.loaded else "approvals.read_failed",
                reason=self.problem,
                hint="it is tried again every second; new definitions are kept in memory",
            )

    def _recovered(self) -> None:
        self.problem = ""
        if self._warned:
            self._warned.clear()
            log.info("approvals.recovered")
