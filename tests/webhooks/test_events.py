"""Events, and the patterns by which sessions select them."""

from __future__ import annotations

import pytest

from mcpgw.webhooks.events import NOTIFICATION, Event, matches, timestamp


def test_params() -> None:
    """The notification carries source, type, data and the time of receipt."""
    event = Event("demo", "a.b", [1], timestamp(1_700_000_000.5))
    assert "notifications/webhook" == NOTIFICATION
    assert {
        "source": "demo",
        "event_type": "a.b",
        "data": [1],
        "received_at": "2023-11-14T22:13:20.500Z",
    } == event.params()


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        ([], True),
        (["*"], True),
        (["github.*"], True),
        (["github.issues.opened"], True),
        (["x", "*.opened"], True),
        (["github.?ssues.*"], True),
        (["github"], False),
        (["GitHub.*"], False),
        (["linear.*", "github.push"], False),
        ([""], False),
    ],
)
def test_wants(patterns: list[str], wanted: bool) -> None:
    """A glob reaches over dots and tells letters apart by case; no pattern is every event."""
    assert wanted == matches("github.issues.opened", patterns)
    assert wanted == matches("github.issues.opened", iter(patterns))


def test_hostile_pattern() -> None:
    """A pattern with many stars ends soon."""
    assert not matches("a" * 200, ["*a" * 60 + "b"])
