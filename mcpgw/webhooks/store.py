"""Queue of events and memory of deliveries, in the state database.

All methods block for one short transaction; call them from a worker thread. Several gateways
may use the same database at once.
"""

from __future__ import annotations

import enum
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.state.database import Database, StateError
from mcpgw.usage.store import FILE
from mcpgw.webhooks.events import Event

if TYPE_CHECKING:
    from sqlite3 import Connection

log = get_logger("mcpgw.webhooks")

DAY: Final = 86400.0
PATIENCE: Final = 5.0
"""Seconds that a delivery waits for a locked database."""
CLAIMED: Final = 30.0
"""Seconds after which a delivery that was started but not finished may be retried."""
HELD: Final = 30.0
"""Seconds after which events that are held for a session become free again."""
REPORTING: Final = 60.0
"""Seconds between two log lines about dropped events."""


class Claim(enum.Enum):
    """State of a delivery: new, being processed, or done."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"


@attrs.frozen
class Bounds:
    """Limits of the store; the oldest entries are dropped first.

    Args:
      events: queued events.
      seconds: how long an event is queued, and how long a delivery is remembered.
      bytes: size of all queued events, as JSON.
      event_bytes: size of one event; a larger one is queued without its data.
      deliveries: deliveries remembered for each endpoint.
    """

    events: int = 1000
    seconds: float = 7 * DAY
    bytes: int = 32 * 1024 * 1024
    event_bytes: int = 256 * 1024
    deliveries: int = 10_000


@attrs.frozen
class Queued:
    """A queued event with its number and the path of its endpoint."""

    number: int
    endpoint: str
    event: Event


@attrs.define
class Drops:
    """Counter of dropped events that limits how often they are logged."""

    unreported: int = 0
    reported_at: float = -math.inf

    def add(self, count: int, now: float) -> int:
        """Count dropped events; return how many to log now.

        A full queue drops an event with each new one, so they are logged together.
        """
        self.unreported += count
        if not self.unreported or 0 <= now - self.reported_at < REPORTING:
            return 0
        reporting, self.unreported, self.reported_at = self.unreported, 0, now
        return reporting


@attrs.frozen
class WebhookStore:
    """The tables of webhooks in a state database.

    Args:
      database: the state database.
      bounds: its limits.
      clock: returns the Unix time.
    """

    database: Database
    bounds: Bounds = attrs.field(factory=Bounds)
    clock: Callable[[], float] = time.time
    drops: Drops = attrs.field(factory=Drops, init=False, eq=False)

    @classmethod
    def of(cls, folder: Path) -> WebhookStore:
        """Return the store of a state folder."""
        return cls(Database(folder / FILE, patience=PATIENCE))

    # -- deliveries ----------------------------------------------------------------------------

    def claim(self, endpoint: str, keys: Sequence[str]) -> Claim:
        """Return the state of a delivery; a new one is marked as being processed.

        A delivery that was started `CLAIMED` seconds ago and not finished is new again: its
        gateway was killed.

        Args:
          endpoint: the path of the endpoint.
          keys: the keys of the delivery; it is known if one of them is.

        Raises:
          StateError: the database cannot be used.
        """

        def work(connection: Connection) -> Claim:
            # Read within the transaction, so that earlier transactions never have a later time.
            now = self.clock()
            found = Claim.NEW
            for key in keys:
                row = connection.execute(
                    "SELECT done, at FROM webhook_deliveries WHERE endpoint = ? AND delivery = ?",
                    (endpoint, key),
                ).fetchone()
                if row is None or row[1] < now - self.bounds.seconds:
                    continue
                if row[0]:
                    return Claim.DONE
                if now - CLAIMED <= row[1] <= now:
                    found = Claim.BEGUN
            if found is Claim.NEW:
                self._remember(connection, endpoint, keys, now)
            return found

        return self.database.write(work)

    def finish(self, endpoint: str, keys: Sequence[str]) -> None:
        """Mark a delivery as done, so that repeating it is a duplicate.

        Raises:
          StateError: the database cannot be used.
        """
        self.database.write(lambda connection: _finish(connection, endpoint, keys))

    def release(self, endpoint: str, keys: Sequence[str]) -> None:
        """Release a claim, so that the delivery is new when it is repeated.

        Raises:
          StateError: the database cannot be used.
        """

        def work(connection: Connection) -> None:
            connection.executemany(
                "DELETE FROM webhook_deliveries WHERE endpoint = ? AND delivery = ? AND done = 0",
                [(endpoint, key) for key in keys],
            )

        self.database.write(work)

    # -- events --------------------------------------------------------------------------------

    def put(self, endpoint: str, event: Event, keys: Sequence[str] = ()) -> None:
        """Queue an event and mark its delivery as done, in one transaction.

        Raises:
          StateError: the database cannot be used; nothing was written.
        """
        text = self._text(endpoint, event)

        def work(connection: Connection) -> int:
            now = self.clock()
            dropped = self._make_room(connection, now, len(text))
            connection.execute(
                "INSERT INTO webhook_queue (endpoint, at, event, bytes) VALUES (?, ?, ?, ?)",
                (endpoint, now, text, len(text)),
            )
            _finish(connection, endpoint, keys)
            return dropped

        self._report(self.database.write(work))

    def exchange(
        self,
        holder: str,
        *,
        taken: Iterable[int] = (),
        after: int = 0,
        want: int = 0,
    ) -> list[Queued]:
        """Remove the events that a session accepted, free its others, and hold some more.

        Args:
          holder: unique id of the session that events are held for.
          taken: numbers of the accepted events.
          after: only events with higher numbers are held.
          want: how many to hold at most; oldest first.

        Raises:
          StateError: the database cannot be used; nothing was changed.
        """
        gone = list(taken)

        def work(connection: Connection) -> tuple[list[Queued], int]:
            now = self.clock()
            connection.executemany(
                "DELETE FROM webhook_queue WHERE id = ?", [(number,) for number in gone]
            )
            connection.execute(
                "UPDATE webhook_queue SET holder = '', held_until = 0 WHERE holder = ?", (holder,)
            )
            if not want:
                return [], 0
            dropped = self._make_room(connection, now, 0)
            rows = connection.execute(
                "SELECT id, endpoint, event FROM webhook_queue WHERE id > ?1"
                # A hold that ends too far in the future was made before the clock was set back.
                " AND NOT (holder != '' AND held_until > ?2 AND held_until <= ?2 + ?3)"
                " ORDER BY id LIMIT ?4",
                (after, now, HELD, want),
            ).fetchall()
            connection.executemany(
                "UPDATE webhook_queue SET holder = ?, held_until = ? WHERE id = ?",
                [(holder, now + HELD, row[0]) for row in rows],
            )
            return [Queued(row[0], row[1], _event(row[2])) for row in rows], dropped

        queued, dropped = self.database.write(work)
        self._report(dropped)
        return queued

    def waiting(self) -> dict[str, int]:
        """Return the number of queued events by the path of their endpoint.

        Raises:
          StateError: the database cannot be used.
        """

        def work(connection: Connection) -> dict[str, int]:
            rows = connection.execute("SELECT endpoint, count(*) FROM webhook_queue GROUP BY 1")
            return {str(path): int(count) for path, count in rows}

        try:
            return self.database.read(work) or {}
        except StateError as error:
            if error.kind != "older":
                raise
        return self.database.write(work)

    # -- details -------------------------------------------------------------------------------

    def _text(self, endpoint: str, event: Event) -> str:
        text = json.dumps(event.params(), separators=(",", ":"))
        if len(text) <= self.bounds.event_bytes:
            return text
        log.warning("webhook.data_dropped", path=endpoint, bytes=len(text))
        data: Mapping[str, object] = {
            "left_out": f"The data had {len(text)} bytes; a queued event may have"
            f" {self.bounds.event_bytes}. Get the data from the service."
        }
        return json.dumps(attrs.evolve(event, data=data).params(), separators=(",", ":"))

    def _make_room(self, connection: Connection, now: float, size: int) -> int:
        """Drop events that are too old or too many; return how many were dropped."""
        dropped = connection.execute(
            "DELETE FROM webhook_queue WHERE at < ?", (now - self.bounds.seconds,)
        ).rowcount
        count, held = connection.execute(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM webhook_queue"
        ).fetchone()
        while count and (
            count + (1 if size else 0) > self.bounds.events or held + size > self.bounds.bytes
        ):
            (gone,) = connection.execute(
                "DELETE FROM webhook_queue WHERE id = (SELECT min(id) FROM webhook_queue)"
                " RETURNING bytes"
            ).fetchone()
            count, held, dropped = count - 1, held - gone, dropped + 1
        return int(dropped)

    def _remember(
        self, connection: Connection, endpoint: str, keys: Sequence[str], now: float
    ) -> None:
        for key in keys:
            number = connection.execute(
                "INSERT OR REPLACE INTO webhook_deliveries (endpoint, delivery, at, done)"
                " VALUES (?, ?, ?, 0)",
                (endpoint, key, now),
            ).lastrowid
            # The limit may be exceeded a little, so it is enforced only now and then.
            if number is not None and number % 256 == 0:
                self._forget(connection, now)

    def _forget(self, connection: Connection, now: float) -> None:
        connection.execute(
            "DELETE FROM webhook_deliveries WHERE at < ?", (now - self.bounds.seconds,)
        )
        connection.execute(
            "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM (SELECT id, row_number()"
            " OVER (PARTITION BY endpoint ORDER BY id DESC) AS place FROM webhook_deliveries)"
            " WHERE place > ?)",
            (self.bounds.deliveries,),
        )

    def _report(self, dropped: int) -> None:
        count = self.drops.add(dropped, self.clock())
        if count:
            log.warning("webhook.events_dropped", count=count, limit=self.bounds.events)


def _finish(connection: Connection, endpoint: str, keys: Sequence[str]) -> None:
    connection.executemany(
        "UPDATE webhook_deliveries SET done = 1 WHERE endpoint = ? AND delivery = ?",
        [(endpoint, key) for key in keys],
    )


def _event(text: str) -> Event:
    params = json.loads(text)
    return Event(
        source=params["source"],
        event_type=params["event_type"],
        data=params["data"],
        received_at=params["received_at"],
    )
