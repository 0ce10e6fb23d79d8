"""Reading of the lists of a live connection, each independently of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.connection import LISTS, Connection
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError

log = get_logger("mcpgw.backend")

LIST_TIMEOUT: Final = 20.0
"""Seconds after which a list that is not answered counts as unreadable."""
OTHERS: Final = 1.0
"""Seconds that the tools wait for the other lists, which usually arrive together with them."""
REASON_SHOWN: Final = 300
"""Characters of a server's error that are shown."""

Lists = Mapping[str, tuple[dict[str, Any], ...]]


@attrs.define(eq=False)
class ListReader:
    """Reads the lists of one connection. A list that is late is taken when it arrives.

    Args:
      connection: the connection.
      nursery: holds the requests.
    """

    connection: Connection
    nursery: trio.Nursery
    problems: dict[str, str] = attrs.field(factory=dict)
    """By list: why it could not be read the last time."""
    outcomes: set[str] = attrs.field(factory=set)
    """The lists that were answered or failed at least once."""
    lost: bool = False
    """True if the connection was lost meanwhile."""
    _arrived: dict[str, tuple[dict[str, Any], ...]] = attrs.field(factory=dict)
    _news: bool = False
    _pending: set[str] = attrs.field(factory=set)
    _outcome: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def late(self) -> bool:
        """True if there was an outcome since the last `read` or `take`."""
        return self._news or self.lost

    async def read(self, names: frozenset[str]) -> Lists:
        """Read lists; return those that have arrived when the tools have, or a moment later."""
        for name in names - self._pending:
            self._pending.add(name)
            self.nursery.start_soon(self._read, name)
        while "tools" in names & self._pending and not self.lost:
            await self._outcome.park()
        with trio.move_on_after(OTHERS):
            while names & self._pending and not self.lost:
                await self._outcome.park()
        return self.take()

    def take(self) -> Lists:
        """Return the lists that have arrived."""
        arrived, self._arrived, self._news = self._arrived, {}, False
        return arrived

    async def arrival(self) -> None:
        """Wait for the outcome of a list that is late."""
        await self._outcome.park()

    async def _read(self, name: str) -> None:
        method = LISTS[name][0]
        problem = f"its {method} was not answered within {LIST_TIMEOUT:g} s"
        try:
            with trio.move_on_after(LIST_TIMEOUT):
                try:
                    self._arrived[name] = await self.connection.read_list(name) or ()
                    problem = ""
                except RpcError as error:
                    reason = "".join(filter(str.isprintable, str(error)))[:REASON_SHOWN]
                    problem = f"its {method} could not be read: {reason}"
        except ConnectionLost:
            self.lost = True
        finally:
            self._pending.discard(name)
        if not self.lost:
            self._news = True
            self.outcomes.add(name)
            self._report(name, problem)
        self._outcome.unpark_all()

    def _report(self, name: str, problem: str) -> None:
        if not problem:
            self.problems.pop(name, None)
        elif self.problems.get(name) != problem:
            self.problems[name] = problem
            log.warning(
                "list.read_failed", server=self.connection.peer.name, list=name, reason=problem
            )
