"""What webhooks keep in the state database: events that wait, and deliveries that were seen.

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
"""Seconds for which a delivery waits for the database while others hold it."""
CLAIMED: Final = 30.0
"""Seconds after which a delivery that was begun and not finished may be tried anew."""
HELD: Final = 30.0
"""Seconds after which events that somebody is offering to a session are free again."""
TELLING: Final = 60.0
"""Seconds between two log lines about events that were dropped."""


class Claim(enum.Enum):
    """What is known of a delivery: nothing, that somebody works on it, or that it is done."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"


@attrs.frozen
class Bounds:
    """How much is kept; what is oldest goes first.

    Args:
      events: events that wait.
      seconds: for which an event waits, and for which a delivery is remembered.
      bytes: size of all events that wait, as JSON.
      event_bytes: size of one event; a larger one waits without its data.
      deliveries: deliveries remembered for each endpoint.
    """

    events: int = 1000
    seconds: float = 7 * DAY
    bytes: int = 32 * 1024 * 1024
    event_bytes: int = 256 * 1024
    deliveries: int = 10_000


@attrs.frozen
class Queued:
    """An event that waits, with its number and the path that it came in by."""

    number: int
    endpoint: str
    event: Event


@attrs.define
class Drops:
    """Events that were dropped for want of room, and how many of them were not told of yet."""

    untold: int = 0
    told_at: float = -math.inf

    def add(self, count: int, now: float) -> int:
        """Count some; return how many to tell of now, which is seldom: a full queue drops one
        with each event that comes."""
        self.untold += count
        if not self.untold or 0 <= now - self.told_at < TELLING:
            return 0
        telling, self.untold, self.told_at = self.untold, 0, now
        return telling


@attrs.frozen
class WebhookStore:
    """The webhooks' part of a state database.

    Args:
      database: the state database.
      bounds: how much is kept.
      clock: gives the Unix time.
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
        """Tell whether a delivery is new, and if so note that it is being worked on.

        One that was begun and not finished for long, since its gateway was killed, is new.

        Args:
          endpoint: the path that it came in by.
          keys: what tells it from others; one that was seen is enough to know it again.

        Raises:
          StateError: the database cannot be used.
        """

        def work(connection: Connection) -> Claim:
            # Read when it is our turn: one that had its turn before us is never ahead of us.
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
                self._note(connection, endpoint, keys, now)
            return found

        return self.database.write(work)

    def finish(self, endpoint: str, keys: Sequence[str]) -> None:
        """Note that a delivery is done: it is a duplicate if it comes again.

        Raises:
          StateError: the database cannot be used.
        """
        self.database.write(lambda connection: _finish(connection, endpoint, keys))

    def release(self, endpoint: str, keys: Sequence[str]) -> None:
        """Take a claim back: the delivery is new if it comes again.

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
        """Let an event wait for a session, and note in the same stroke that its delivery is done.

        Raises:
          StateError: the database cannot be used; then nothing was written.
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

        self._tell(self.database.write(work))

    def exchange(
        self,
        holder: str,
        *,
        taken: Iterable[int] = (),
        after: int = 0,
        want: int = 0,
    ) -> list[Queued]:
        """Remove the events that a session took, free the others, and hold some more.

        Args:
          holder: who offers them; any text that nobody else uses.
          taken: numbers of events that go.
          after: only events with higher numbers are given.
          want: how many to hold, at most; oldest first.

        Raises:
          StateError: the database cannot be used; then nothing has changed.
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
                # A hold that ends too far ahead was made before the clock was set back.
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
        self._tell(dropped)
        return queued

    def waiting(self) -> dict[str, int]:
        """Return how many events wait, by the path that they came in by.

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
        log.warning("webhook.data_left_out", path=endpoint, bytes=len(text))
        told: Mapping[str, object] = {
            "left_out": f"The data had {len(text)} bytes; an event that waits for a session keeps"
            f" {self.bounds.event_bytes}. Ask the service for it."
        }
        return json.dumps(attrs.evolve(event, data=told).params(), separators=(",", ":"))

    def _make_room(self, connection: Connection, now: float, size: int) -> int:
        """Remove events that are too old or too many; return how many went."""
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

    def _note(self, connection: Connection, endpoint: str, keys: Sequence[str], now: float) -> None:
        for key in keys:
            number = connection.execute(
                "INSERT OR REPLACE INTO webhook_deliveries (endpoint, delivery, at, done)"
                " VALUES (?, ?, ?, 0)",
                (endpoint, key, now),
            ).lastrowid
            # The bound may be passed by a few; so it is enough to look now and then.
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

    def _tell(self, dropped: int) -> None:
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
