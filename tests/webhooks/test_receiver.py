"""The receiver: requests in, answers and events out."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.observe.log import configure
from mcpgw.state.database import Database
from mcpgw.webhooks.events import Event
from mcpgw.webhooks.failures import MOST_PEERS, PER_PEER
from mcpgw.webhooks.receiver import Receiver, Response
from mcpgw.webhooks.store import HELD, Bounds, Claim, WebhookStore

from .making import NOW, SECRET, Clock, Sessions, digest, github, made, post, receiver, stripe

PATH = "/webhooks/hook"


async def stats(of: Receiver, number: int = 0) -> dict[str, object]:
    """Return the counts of an endpoint."""
    endpoints = (await of.status())["endpoints"]
    assert isinstance(endpoints, list)
    found: dict[str, object] = endpoints[number]["stats"]
    return found


def into(got: list[object]) -> Callable[[Event], bool]:
    """Return a session that takes all events and keeps their data."""

    def take(event: Event) -> bool:
        got.append(event.data)
        return True

    return take


def files_with(folder: Path, text: str) -> list[str]:
    """Return the names of the files that hold a text."""
    return [each.name for each in folder.iterdir() if text.encode() in each.read_bytes()]


class TestOrder:
    """Checks of a request, in their order."""

    async def test_refusals(self, tmp_path: Path) -> None:
        """A request that fails several checks gets the error of the first one."""
        to = receiver(tmp_path, made(), rate_limit=2)
        to.body_limit = 10
        big, bad = b"x" * 11, b"x" * 10
        answer = await to.receive("PUT", "/webhooks/other", {}, big)
        assert (404, "Unknown webhook endpoint") == (answer.status, answer.json["error"])
        answer = await to.receive("PUT", PATH, {}, big)
        assert (405, {"Allow": "POST"}) == (answer.status, answer.headers)
        assert "Webhook endpoint expects POST" == answer.json["error"]
        assert 413 == (await to.receive("POST", PATH, {}, big)).status
        assert 401 == (await to.receive("POST", PATH, {}, bad)).status
        answer = await to.receive("POST", PATH, github(bad), bad)
        assert 400 == answer.status
        assert 400 == (await to.receive("POST", PATH, github(bad), bad)).status
        assert "Invalid JSON: Expecting value at character 0" == answer.json["error"]
        answer = await to.receive("POST", PATH, github(b"{}"), b"{}")
        assert (429, {"Retry-After": "30"}) == (answer.status, answer.headers)
        assert {"error", "request_id"} == set(answer.json)
        assert {
            "received": 0,
            "delivered": 0,
            "duplicates": 0,
            "signature_failures": 1,
            "rate_limited": 1,
            "invalid": 2,
            "transform_failures": 0,
            "queued": 0,
        } == await stats(to)

    async def test_screen(self, tmp_path: Path) -> None:
        """A request can be refused before its body is read."""
        to = receiver(tmp_path, made())
        for head, status in (
            (("POST", "/x"), 404),
            (("GET", PATH), 405),
            (("POST", PATH, 1024 * 1024 + 1), 413),
        ):
            refusal = to.screen(*head)
            assert refusal is not None
            assert status == refusal.status
        assert to.screen("post", PATH + "/", 1024 * 1024) is None

    async def test_while_endpoints_are_loaded(self, tmp_path: Path) -> None:
        """An unknown path may become known, so the sender is asked to try again."""
        to = receiver(tmp_path)
        to.loading = True
        answer = await to.receive("POST", PATH, {}, b"")
        assert (503, "5") == (answer.status, answer.headers["Retry-After"])
        to.replace([made()])
        assert 200 == (await post(to, {})).status
        assert 404 == (await post(to, {}, path="/webhooks/other")).status

    async def test_signature_before_json(self, tmp_path: Path) -> None:
        """An unsigned body is not parsed: even a deeply nested one is only refused."""
        to = receiver(tmp_path, made(), made("linear", signature="linear"))
        for path in (PATH, "/webhooks/linear"):
            answer = await to.receive("POST", path, {}, b"[" * 100_000)
            assert (401, "Invalid signature") == (answer.status, answer.json["error"])


class TestEvents:
    """Events that sessions get."""

    async def test_event(self, tmp_path: Path) -> None:
        """A genuine delivery becomes an event for the sessions."""
        sessions = Sessions(2)
        hook = made(
            transform={
                "event_type": "github.{header.X-GitHub-Event}.{action}",
                "data": {"n": "{number}", "gone": "{gone}"},
            }
        )
        to = receiver(tmp_path, hook, sessions=sessions)
        body = b'{"action": "opened", "number": 7}'
        headers = github(body) | {"X-GitHub-Event": "issues"}
        answer = await to.receive("POST", PATH, headers, body)
        assert (200, {}) == (answer.status, answer.headers)
        assert {
            "status": "received",
            "request_id": answer.json["request_id"],
            "notified": True,
            "sessions": 2,
        } == answer.json
        assert [
            Event("demo", "github.issues.opened", {"n": 7}, "2023-11-14T22:13:20.000Z")
        ] == sessions.events

    async def test_ping(self, tmp_path: Path) -> None:
        """A delivery that lacks what the type is made of has the endpoint's type."""
        sessions = Sessions()
        to = receiver(tmp_path, made(transform={"event_type": "x.{action}"}), sessions=sessions)
        assert 200 == (await post(to, {"zen": "Keep it."})).status
        assert [("webhook.demo.hook", {"zen": "Keep it."})] == [
            (each.event_type, each.data) for each in sessions.events
        ]
        assert 1 == (await stats(to))["transform_failures"]

    async def test_form(self, tmp_path: Path) -> None:
        """GitHub's form is signed as it is and read as JSON."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), sessions=sessions)
        body = urlencode({"payload": '{"a": [1]}'}).encode()
        headers = github(body) | {"Content-Type": "application/x-www-form-urlencoded"}
        assert 200 == (await to.receive("POST", PATH, headers, body)).status
        assert [{"a": [1]}] == [each.data for each in sessions.events]

    async def test_get(self, tmp_path: Path) -> None:
        """The query of a GET request is the payload, and what is signed."""
        sessions = Sessions()
        hook = made(method="GET", signature="hmac-sha256", signature_header="X-Sign")
        to = receiver(tmp_path, hook, sessions=sessions)
        query = b"door=open&who=%C3%BC"
        headers = {"x-sign": digest(query)}
        assert 200 == (await to.receive("GET", PATH, headers, b"", query=query)).status
        assert [{"door": "open", "who": "ü"}] == [each.data for each in sessions.events]
        assert 401 == (await to.receive("GET", PATH, headers, b"", query=b"door=shut")).status
        headers = {"x-sign": digest(b"")}
        assert 401 == (await to.receive("GET", PATH, headers, b"", query=b"door=shut")).status

    async def test_not_told(self, tmp_path: Path) -> None:
        """An endpoint with `notify: false` counts events and notifies no client."""
        sessions = Sessions()
        to = receiver(tmp_path, made(notify=False), sessions=sessions)
        answer = await post(to, {})
        assert (200, False, 0) == (answer.status, answer.json["notified"], answer.json["sessions"])
        counts = await stats(to)
        assert ([], 1, 0) == (sessions.events, counts["received"], counts["delivered"])

    async def test_stripe(self, tmp_path: Path) -> None:
        """Stripe's deliveries are verified, in time, and known again by the event's id."""
        sessions, clock = Sessions(), Clock()
        hook = made(signature="stripe", transform={"event_type": "stripe.{type}"})
        to = receiver(tmp_path, hook, sessions=sessions, clock=clock)
        body = b'{"id": "evt_1", "type": "charge.failed"}'
        assert 200 == (await to.receive("POST", PATH, stripe(body), body)).status
        clock.now += 301
        assert 401 == (await to.receive("POST", PATH, stripe(body), body)).status
        again = await to.receive("POST", PATH, stripe(body, clock.now), body)
        assert (200, True) == (again.status, again.json["duplicate"])
        assert ["stripe.charge.failed"] == sessions.types

    async def test_linear(self, tmp_path: Path) -> None:
        """A recorded delivery of Linear is known even under another number, and soon too old."""
        sessions, clock = Sessions(), Clock()
        to = receiver(
            tmp_path, made(signature="linear", tolerance=60), sessions=sessions, clock=clock
        )
        body = json.dumps({"webhookTimestamp": int(NOW * 1000)}).encode()
        headers = {"Linear-Signature": digest(body)}
        first = await to.receive("POST", PATH, headers | {"Linear-Delivery": "1"}, body)
        second = await to.receive("POST", PATH, headers | {"Linear-Delivery": "2"}, body)
        clock.now += 61
        third = await to.receive("POST", PATH, headers | {"Linear-Delivery": "3"}, body)
        assert [200, 200, 401] == [first.status, second.status, third.status]
        assert (True, 1) == (second.json["duplicate"], len(sessions.events))


class TestDuplicates:
    """Deliveries that come again."""

    async def test_again(self, tmp_path: Path) -> None:
        """A delivery that comes again is answered, and not told again."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), made("other"), sessions=sessions)
        await post(to, {"a": 1}, delivery="d-1")
        answer = await post(to, {"a": 1}, delivery="d-1")
        assert {
            "status": "received",
            "request_id": answer.json["request_id"],
            "notified": False,
            "sessions": 0,
            "duplicate": True,
        } == answer.json
        assert "duplicate" not in (await post(to, {"a": 1}, delivery="d-2")).json
        assert (
            "duplicate"
            not in (await post(to, {"a": 1}, path="/webhooks/other", delivery="d-1")).json
        )
        assert 3 == len(sessions.events)
        counts = await stats(to)
        assert (3, 2, 1) == (counts["received"], counts["delivered"], counts["duplicates"])

    async def test_without_a_number(self, tmp_path: Path) -> None:
        """Deliveries without a number are all new."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), sessions=sessions)
        for _ in range(2):
            assert "duplicate" not in (await post(to, {"a": 1})).json
        assert 2 == len(sessions.events)

    async def test_restart(self, tmp_path: Path) -> None:
        """A delivery is recognized after a restart, whether it was delivered or waits."""
        sessions = Sessions()
        await post(receiver(tmp_path, made(), sessions=sessions), {}, delivery="told")
        await post(receiver(tmp_path, made(), sessions=Sessions(0)), {}, delivery="waits")
        to = receiver(tmp_path, made(), sessions=sessions)
        for delivery in ("told", "waits"):
            assert (await post(to, {}, delivery=delivery)).json["duplicate"] is True
        assert 1 == len(sessions.events)

    async def test_a_number_of_any_kind(self, tmp_path: Path) -> None:
        """Long and unusual numbers are distinguished, and never raise."""
        to = receiver(tmp_path, made(signature="stripe"))
        numbers = ["x" * 1000, "x" * 1001, "\ud800", "ü", "body:1", " "]
        for expected in (None, True):
            for number in numbers:
                body = json.dumps({"id": number}).encode()
                answer = await to.receive("POST", PATH, stripe(body), body)
                assert expected == answer.json.get("duplicate")
        for odd_one in (5, None, "", [], {}):
            body = json.dumps({"id": odd_one}).encode()
            assert 200 == (await to.receive("POST", PATH, stripe(body), body)).status

    async def test_at_the_same_time(self, tmp_path: Path) -> None:
        """Of concurrent deliveries one notifies; the others are confirmed after it is stored."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), sessions=sessions)
        statuses: list[int] = []

        async def send() -> None:
            statuses.append((await post(to, {}, delivery="d")).status)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(send)
        assert (1, 1) == (statuses.count(200), len(sessions.events))
        assert 9 == statuses.count(409)
        assert (await post(to, {}, delivery="d")).json["duplicate"] is True

    async def test_deliver_fails(self, tmp_path: Path) -> None:
        """If delivery of the event fails, the same webhook delivery counts as new later."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), sessions=sessions)

        def fail(event: Event) -> int:
            raise OSError("gone")

        to.deliver = fail
        with pytest.raises(OSError, match="gone"):
            await post(to, {}, delivery="d")
        to.deliver = sessions.deliver
        assert (await post(to, {}, delivery="d")).json["notified"] is True

    async def test_killed_while_at_work(self, tmp_path: Path) -> None:
        """A delivery whose gateway was killed is not taken for done."""
        clock = Clock()
        to = receiver(tmp_path, made(), clock=clock)
        assert Claim.NEW is to.store.claim(PATH, ["d"])
        assert 409 == (await post(to, {}, delivery="d")).status
        clock.now += 31
        assert (await post(to, {}, delivery="d")).json["notified"] is True


class TestRate:
    """The rate limit."""

    async def test_limit(self, tmp_path: Path, mock_clock: MockClock) -> None:
        """A minute's requests may come at once; then one comes in as its place is free again."""
        to = receiver(tmp_path, made(), made("other"), rate_limit=6)
        assert [200] * 6 + [429] * 2 == [(await post(to, {})).status for _ in range(8)]
        assert 200 == (await post(to, {}, path="/webhooks/other")).status
        answer = await post(to, {})
        assert (429, "10") == (answer.status, answer.headers["Retry-After"])
        mock_clock.jump(10.0)
        assert 200 == (await post(to, {})).status
        assert 429 == (await post(to, {})).status
        mock_clock.jump(3600.0)
        assert [200] * 6 + [429] == [(await post(to, {})).status for _ in range(7)]

    @pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature-256": f"sha256={'0' * 64}"}])
    async def test_junk_takes_no_place(
        self, headers: dict[str, str], tmp_path: Path, mock_clock: MockClock
    ) -> None:
        """Wrong signatures have a limit of their own, for each peer; others are not affected."""
        to = receiver(tmp_path, made(), rate_limit=6)
        body = b"{}"

        async def send(peer: str, signed: bool) -> int:
            given = github(body) if signed else headers
            return (await to.receive("POST", PATH, given, body, peer=peer)).status

        junk = [await send("192.0.2.1", False) for _ in range(PER_PEER + 40)]
        assert [401] * PER_PEER + [429] * 40 == junk
        assert 200 == await send("192.0.2.2", True)
        assert 429 == await send("192.0.2.1", True)
        assert [401] * 500 == [await send("", False) for _ in range(500)]
        assert 200 == await send("", True)
        mock_clock.jump(60.0)
        assert 200 == await send("192.0.2.1", True)

    async def test_peers_are_forgotten(self, tmp_path: Path, mock_clock: MockClock) -> None:
        """A sender with many addresses does not fill the memory."""
        to = receiver(tmp_path, made())
        for number in range(MOST_PEERS + 500):
            await to.receive("POST", PATH, {}, b"", peer=f"2001:db8::{number:x}")
        assert MOST_PEERS == len(to._failures._peers)

    async def test_none(self, tmp_path: Path, mock_clock: MockClock) -> None:
        """With 0 there is no limit."""
        to = receiver(tmp_path, made(), rate_limit=0)
        assert {401} == {(await to.receive("POST", PATH, {}, b"")).status for _ in range(500)}


class TestReplace:
    """Endpoints that change while the gateway runs."""

    async def test_counts_stay(self, tmp_path: Path, mock_clock: MockClock) -> None:
        """Counters of a path, and its rate limit, survive a new definition."""
        sessions = Sessions()
        to = receiver(tmp_path, made(), made("old"), sessions=sessions, rate_limit=2)
        await post(to, {})
        to.replace([made(transform={"event_type": "new"}), made("more")])
        await post(to, {})
        assert 429 == (await post(to, {})).status
        assert 404 == (await post(to, {}, path="/webhooks/old")).status
        assert 200 == (await post(to, {}, path="/webhooks/more")).status
        assert ["webhook.demo.hook", "new", "webhook.demo.more"] == sessions.types
        assert 2 == (await stats(to))["received"]
        assert ["/webhooks/hook", "/webhooks/more"] == [each.path for each in to.endpoints]

    async def test_same_path(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of two endpoints with one path the first counts, and a warning names both."""
        to = receiver(tmp_path, made(), made("second", path="/hook"))
        assert ["hook"] == [each.name for each in to.endpoints]
        told = capsys.readouterr().err
        assert "demo.hook" in told
        assert "demo.second" in told


class TestQueue:
    """Events that no session took."""

    async def test_waits(self, tmp_path: Path) -> None:
        """An event that no session took waits, through a restart, for one that does."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        for number in range(3):
            answer = await post(to, {"n": number})
            assert (200, False, True) == (
                answer.status,
                answer.json["notified"],
                answer.json["queued"],
            )
        counts = await stats(to)
        assert (3, 0, 3) == (counts["received"], counts["delivered"], counts["queued"])
        later = receiver(tmp_path, made())
        got: list[object] = []
        assert 3 == await later.drain(into(got))
        assert [{"n": 0}, {"n": 1}, {"n": 2}] == got
        assert (3, 0) == ((await stats(later))["delivered"], (await stats(later))["queued"])
        assert 0 == await later.drain(into(got))

    async def test_only_what_was_taken(self, tmp_path: Path) -> None:
        """Events that a session does not take stay, in order; each is offered once."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        for number in range(120):
            await post(to, {"n": number})
        offered: list[object] = []

        def odd(event: Event) -> bool:
            assert isinstance(event.data, dict)
            offered.append(event.data["n"])
            return bool(event.data["n"] % 2)

        assert 60 == await to.drain(odd)
        assert list(range(120)) == offered
        offered.clear()
        assert 0 == await to.drain(odd)
        assert list(range(0, 120, 2)) == offered

    async def test_session_breaks(self, tmp_path: Path) -> None:
        """If a session fails midway, the delivered events are removed and the rest stays."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        for number in range(4):
            await post(to, {"n": number})
        got: list[object] = []

        def take(event: Event) -> bool:
            if len(got) == 2:
                raise OSError("gone")
            got.append(event.data)
            return True

        with pytest.raises(OSError, match="gone"):
            await to.drain(take)
        assert 2 == await to.drain(into(got))
        assert [{"n": number} for number in range(4)] == got

    async def test_cancelled(self, tmp_path: Path) -> None:
        """A request that is cancelled keeps its event or never had one; a drain loses none."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        with trio.CancelScope() as scope:
            scope.cancel()
            await post(to, {"n": 1}, delivery="d")
        got: list[object] = []
        with trio.CancelScope() as scope:

            def take(event: Event) -> bool:
                scope.cancel()
                got.append(event.data)
                return True

            await to.drain(take)
        await to.drain(take)
        assert [{"n": 1}] == got

    async def test_two_drains(self, tmp_path: Path) -> None:
        """Two gateways that offer events at once give each event to one session."""
        one = receiver(tmp_path, made(), sessions=Sessions(0))
        two = receiver(tmp_path, made())
        for number in range(130):
            await post(one, {"n": number})
        got: dict[str, list[int]] = {"one": [], "two": []}

        async def drain(name: str, of: Receiver) -> None:
            def take(event: Event) -> bool:
                assert isinstance(event.data, dict)
                got[name].append(event.data["n"])
                return True

            await of.drain(take)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, "one", one)
            nursery.start_soon(drain, "two", two)
        assert list(range(130)) == sorted(got["one"] + got["two"])
        for numbers in got.values():
            assert sorted(numbers) == numbers

    async def test_killed_drain(self, tmp_path: Path) -> None:
        """Events that a killed gateway was offering are offered again."""
        clock = Clock()
        to = receiver(tmp_path, made(), sessions=Sessions(0), clock=clock)
        await post(to, {})
        to.store.exchange("killed", want=5)
        assert 0 == await to.drain(lambda event: True)
        clock.now += HELD
        assert 1 == await to.drain(lambda event: True)

    async def test_unknown_path(self, tmp_path: Path) -> None:
        """Events of an endpoint that was removed meanwhile are still given."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        await post(to, {})
        to.replace([])
        assert 1 == (await to.status())["total_queued"]
        assert 1 == await to.drain(lambda event: True)


class TestUnusableState:
    """A state database that cannot be used."""

    @staticmethod
    def broken(tmp_path: Path, sessions: Sessions) -> Receiver:
        """Return a receiver whose state file is another program's."""
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            connection.execute("PRAGMA application_id = 7")
        store = WebhookStore(Database(tmp_path / "state.db"), Bounds(), Clock())
        to = Receiver(deliver=sessions.deliver, store=store)
        to.replace([made()])
        return to

    async def test_sessions(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With sessions, each event is delivered once, and there is one warning."""
        sessions = Sessions()
        to = self.broken(tmp_path, sessions)
        answers = [await post(to, {}, delivery="d") for _ in range(2)]
        assert [None, True] == [answer.json.get("duplicate") for answer in answers]
        assert 1 == len(sessions.events)
        assert 1 == capsys.readouterr().err.count("webhook.state_failed")
        status = await to.status()
        assert (None, None) == (status["total_queued"], (await stats(to))["queued"])

    async def test_no_session(self, tmp_path: Path) -> None:
        """Without, the sender is asked to try again, and may."""
        sessions = Sessions(0)
        to = self.broken(tmp_path, sessions)
        answer = await post(to, {}, delivery="d")
        assert (503, "60") == (answer.status, answer.headers["Retry-After"])
        assert 0 == await to.drain(lambda event: True)
        sessions.number = 1
        assert (await post(to, {}, delivery="d")).json["notified"] is True

    async def test_held_by_another(self, tmp_path: Path) -> None:
        """A file that is held for long delays an answer; it does not lose the event."""
        to = receiver(tmp_path, made(), sessions=Sessions(0))
        to.store = WebhookStore(Database(tmp_path / "state.db", patience=0.0), Bounds(), Clock())
        await post(to, {"n": 1})
        connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")

        async def free() -> None:
            await wait_all_tasks_blocked()
            connection.execute("COMMIT")
            connection.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(free)
            answer = await post(to, {"n": 2}, delivery="d")
        assert (200, True) == (answer.status, answer.json["queued"])
        assert 2 == await to.drain(lambda event: True)


class TestSecrets:
    """That no secret comes out."""

    async def test_canary(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """No log line, answer, status, event or text form has a secret or a sender's credential."""
        configure(level="debug")
        try:
            sessions = Sessions()
            webhook_service = [
                made(f"h{number}", signature=kind)
                for number, kind in enumerate(("github", "linear", "stripe", "hmac-sha256"))
            ]
            to = receiver(tmp_path, *webhook_service, sessions=sessions)
            texts = [repr(to), repr(webhook_service), str(to._routes)]
            for hook in webhook_service:
                for value in ("", SECRET, f"sha256={digest(b'{}')}", digest(b"{}"), "t=1,v1=x"):
                    headers = {
                        hook.signature_header: value,
                        "Authorization": f"Bearer {SECRET}",
                    }
                    answer = await to.receive("POST", hook.path, headers, b"{}")
                    texts.append(repr(answer))
            texts += [repr(sessions.events), repr(await to.status())]
            captured = capsys.readouterr()
            texts += [captured.out, captured.err]
        finally:
            configure(level="warning")
        assert "webhook.signature_rejected" in captured.err
        assert [] == [text for text in texts if SECRET in text]
        await post(receiver(tmp_path, made(), sessions=Sessions(0)), {}, delivery="d")
        assert [] == files_with(tmp_path, SECRET)


async def test_status(tmp_path: Path) -> None:
    """The status has the form of the tool's answer, sorted by path."""
    clock = Clock()
    to = receiver(tmp_path, made("b"), made("a", signature="none", notify=False), clock=clock)
    await post(to, {}, path="/webhooks/b")
    counts = {
        "received": 0,
        "delivered": 0,
        "duplicates": 0,
        "signature_failures": 0,
        "rate_limited": 0,
        "invalid": 0,
        "transform_failures": 0,
        "queued": 0,
    }
    assert {
        "endpoints": [
            {
                "path": "/webhooks/a",
                "method": "POST",
                "capability": "demo",
                "webhook_name": "a",
                "signature": "none",
                "signature_required": False,
                "notify": False,
                "stats": counts,
            },
            {
                "path": "/webhooks/b",
                "method": "POST",
                "capability": "demo",
                "webhook_name": "b",
                "signature": "github",
                "signature_required": True,
                "notify": True,
                "stats": counts
                | {"received": 1, "delivered": 1, "last_received_at": "2023-11-14T22:13:20.000Z"},
            },
        ],
        "total_endpoints": 2,
        "total_received": 1,
        "total_delivered": 1,
        "total_queued": 0,
    } == await to.status()


@given(
    st.sampled_from(["POST", "post", "GET", "", "é"]),
    st.sampled_from([PATH, PATH + "/", "", "/", "/webhooks"]),
    st.dictionaries(
        st.sampled_from(
            ["Content-Type", "content-type", "X-Hub-Signature-256", "X-GitHub-Event", "é"]
        ),
        st.text(max_size=20) | st.just("application/x-www-form-urlencoded"),
    ),
    st.binary(max_size=60) | st.text('{}[]":,a1', max_size=60).map(str.encode),
    st.booleans(),
)
def test_any_request(
    method: str, path: str, headers: dict[str, str], body: bytes, signed: bool
) -> None:
    """Whatever comes in, it is answered with a status that was meant, in JSON."""
    hook = made(
        transform={"event_type": "{a}.{header.x-github-event}", "data": {"a": "{a}", "b": "<{1}>"}}
    )
    to = receiver(Path("nowhere"), hook)
    sent = headers | (github(body) if signed else {})

    async def receive() -> Response:
        return await to.receive(method, path, sent, body, query=body)

    answer = trio.run(receive)
    assert answer.status in {200, 400, 401, 404, 405}
    json.dumps(answer.json, allow_nan=False)
    assert answer.status != 200 or signed


def test_made_outside_of_a_run(tmp_path: Path) -> None:
    """A receiver can be made, and given endpoints, before Trio runs."""
    to = receiver(tmp_path, made())
    assert "<Receiver endpoints=1 rate_limit=0/min>" == repr(to)
    assert 200 == trio.run(post, to, {}).status
