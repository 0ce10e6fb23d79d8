"""Webhook data in the state database."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mcpgw.state.database import Database, StateError
from mcpgw.state.schema import MIGRATIONS
from mcpgw.webhooks.events import Event
from mcpgw.webhooks.store import CLAIMED, DAY, HELD, Bounds, Claim, WebhookStore

from .making import Clock


def event(number: int, data: object = None) -> Event:
    """Return an event."""
    return Event("demo", f"e{number}", data, "2023-11-14T22:13:20.000Z")


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> WebhookStore:
    """Give a store that keeps five events and ten deliveries."""
    bounds = Bounds(events=5, bytes=10_000, event_bytes=4000, deliveries=10)
    return WebhookStore(Database(tmp_path / "state.db", patience=0.2), bounds, clock)


def types(store: WebhookStore, holder: str = "a", after: int = 0) -> list[str]:
    """Hold events and return their types."""
    return [each.event.event_type for each in store.exchange(holder, want=99, after=after)]


class TestClaims:
    """Deliveries that were seen."""

    def test_life(self, store: WebhookStore) -> None:
        """A delivery is new, then worked on, then done, for each endpoint apart."""
        assert Claim.NEW is store.claim("/a", ["1"])
        assert Claim.BEGUN is store.claim("/a", ["1"])
        store.finish("/a", ["1"])
        assert Claim.DONE is store.claim("/a", ["1"])
        assert Claim.NEW is store.claim("/b", ["1"])
        assert Claim.NEW is store.claim("/a", ["2"])

    def test_release(self, store: WebhookStore) -> None:
        """A claim that is taken back leaves the delivery new; one that is done stays done."""
        store.claim("/a", ["1"])
        store.release("/a", ["1"])
        assert Claim.NEW is store.claim("/a", ["1"])
        store.finish("/a", ["1"])
        store.release("/a", ["1"])
        assert Claim.DONE is store.claim("/a", ["1"])

    def test_one_key_is_enough(self, store: WebhookStore) -> None:
        """A delivery is recognized after a restart, whether it was delivered or waits."""
        store.claim("/a", ["1", "body:x"])
        store.finish("/a", ["1", "body:x"])
        assert Claim.DONE is store.claim("/a", ["2", "body:x"])
        assert Claim.DONE is store.claim("/a", ["1", "body:y"])
        assert Claim.NEW is store.claim("/a", ["2", "body:y"])

    def test_given_up(self, store: WebhookStore, clock: Clock) -> None:
        """A delivery that was begun and not finished for long is new again."""
        store.claim("/a", ["1"])
        clock.now += CLAIMED
        assert Claim.BEGUN is store.claim("/a", ["1"])
        clock.now += 1
        assert Claim.NEW is store.claim("/a", ["1"])
        assert Claim.BEGUN is store.claim("/a", ["1"])
        clock.now -= 1000
        assert Claim.NEW is store.claim("/a", ["1"])

    def test_age(self, store: WebhookStore, clock: Clock) -> None:
        """A delivery is remembered for seven days."""
        store.claim("/a", ["1"])
        store.finish("/a", ["1"])
        clock.now += 7 * DAY
        assert Claim.DONE is store.claim("/a", ["1"])
        clock.now += 1
        assert Claim.NEW is store.claim("/a", ["1"])

    def test_bound(self, store: WebhookStore) -> None:
        """The newest of each endpoint are remembered, however much comes in by another."""
        store.claim("/quiet", ["1"])
        store.finish("/quiet", ["1"])
        many = [str(number) for number in range(600)]
        for first in range(0, 600, 100):
            store.claim("/a", many[first : first + 100])
        store.finish("/a", many)
        kept = store.database.read(
            lambda c: c.execute("SELECT count(*) FROM webhook_deliveries").fetchone()[0]
        )
        assert kept is not None
        assert 11 <= kept <= 11 + 256
        assert Claim.DONE is store.claim("/quiet", ["1"])
        assert Claim.DONE is store.claim("/a", ["599"])
        assert Claim.NEW is store.claim("/a", ["0"])


class TestQueue:
    """Events that wait."""

    def test_order(self, store: WebhookStore) -> None:
        """Events come out as they went in, whole."""
        for number in range(3):
            store.put("/a", event(number, {"ü": [None, 1.5, "\ud800"]}))
        found = store.exchange("a", want=9)
        assert [event(n, {"ü": [None, 1.5, "\ud800"]}) for n in range(3)] == [
            each.event for each in found
        ]
        assert {"/a"} == {each.endpoint for each in found}

    def test_put_finishes(self, store: WebhookStore) -> None:
        """With the event, its delivery is done."""
        store.claim("/a", ["1", "2"])
        store.put("/a", event(1), ["1", "2"])
        assert (Claim.DONE, Claim.DONE) == (store.claim("/a", ["1"]), store.claim("/a", ["2"]))

    def test_taken_and_freed(self, store: WebhookStore) -> None:
        """Delivered events are removed; the others stay for the next session."""
        for number in range(4):
            store.put("/a", event(number))
        held = store.exchange("a", want=3)
        assert ["e3"] == types(store, "b")
        assert [] == types(store, "c")
        store.exchange("b")
        store.exchange("a", taken=[held[0].number, held[2].number])
        assert {"/a": 2} == store.waiting()
        assert ["e1", "e3"] == types(store, "c")

    def test_after(self, store: WebhookStore) -> None:
        """Events that were offered are not given again in the same round."""
        for number in range(3):
            store.put("/a", event(number))
        first = store.exchange("a", want=2)
        second = store.exchange("a", after=first[-1].number, want=2)
        assert ["e2"] == [each.event.event_type for each in second]
        assert ["e0", "e1"] == types(store, "b")

    def test_holder_that_died(self, store: WebhookStore, clock: Clock) -> None:
        """Events held by a gateway that died are free after `HELD` seconds."""
        store.put("/a", event(1))
        assert ["e1"] == types(store, "dead")
        clock.now += HELD - 1
        assert [] == types(store, "b")
        clock.now += 1
        assert ["e1"] == types(store, "b")

    def test_clock_set_back(self, store: WebhookStore, clock: Clock) -> None:
        """A hold of a clock that was ahead counts for nothing."""
        store.put("/a", event(1))
        types(store, "dead")
        clock.now -= 100_000
        assert ["e1"] == types(store, "b")

    def test_number(
        self, store: WebhookStore, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of too many the oldest go, and the log says how many, once a minute."""
        for number in range(8):
            store.put("/a", event(number))
        assert ["e3", "e4", "e5", "e6", "e7"] == types(store)
        clock.now += 60
        store.put("/a", event(8))
        lines = capsys.readouterr().err.splitlines()
        assert ["count=1", "count=3"] == [
            word for line in lines for word in line.split() if word.startswith("count=")
        ]

    def test_age(
        self, store: WebhookStore, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Events older than seven days go."""
        store.put("/a", event(1))
        store.put("/a", event(2))
        clock.now += 7 * DAY
        store.put("/a", event(3))
        clock.now += 1
        assert ["e3"] == types(store)
        assert "count=2" in capsys.readouterr().err

    def test_bytes(self, store: WebhookStore) -> None:
        """All events together have a bound too."""
        for number in range(4):
            store.put("/a", event(number, "x" * 3000))
        assert ["e1", "e2", "e3"] == types(store)

    def test_large_event(self, store: WebhookStore, capsys: pytest.CaptureFixture[str]) -> None:
        """An event that is too large waits without its data, and says so."""
        store.put("/a", event(1, "x" * 5000))
        (found,) = store.exchange("a", want=1)
        assert "e1" == found.event.event_type
        assert isinstance(found.event.data, dict)
        assert "The data had 50" in found.event.data["left_out"]
        assert "webhook.data_dropped" in capsys.readouterr().err

    def test_numbers_are_not_used_again(self, store: WebhookStore) -> None:
        """An event that comes while others are taken away is not passed over."""
        store.put("/a", event(1))
        (held,) = store.exchange("a", want=1)
        store.exchange("a", taken=[held.number])
        store.put("/a", event(2))
        assert ["e2"] == types(store, "a", after=held.number)


class TestFile:
    """The state file."""

    def test_none_yet(self, store: WebhookStore) -> None:
        """To look makes no file."""
        assert {} == store.waiting()
        assert not store.database.path.exists()

    def test_older(self, store: WebhookStore) -> None:
        """A file of an older version is brought up to date by looking."""
        old = attrs.evolve(store.database, migrations=MIGRATIONS[:1])
        old.write(lambda _connection: None)
        assert {} == store.waiting()
        store.put("/a", event(1))
        assert {"/a": 1} == store.waiting()

    def test_unusable(self, tmp_path: Path) -> None:
        """An unusable file is reported, and nothing is lost silently."""
        (tmp_path / "home").write_text("")
        store = WebhookStore.of(tmp_path / "home")
        for work in (
            lambda: store.claim("/a", ["1"]),
            lambda: store.put("/a", event(1)),
            lambda: store.exchange("a", want=1),
        ):
            with pytest.raises(StateError, match="cannot be used"):
                work()
