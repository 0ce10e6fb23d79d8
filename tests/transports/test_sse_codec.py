"""Server-sent events, whatever the chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.transports.sse_codec import Event, EventParser, EventTooLarge, encode_event

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"))


def parsed(data: bytes, *cuts: int) -> list[Event]:
    """Return the events of a stream that comes in chunks."""
    parser = EventParser()
    events: list[Event] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        events += parser.feed(data[start:end])
    return events


@given(
    st.lists(st.tuples(TEXTS, TEXTS.filter(bool), st.none() | TEXTS), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 10_000), max_size=8),
    st.booleans(),
)
def test_any_chunks_give_the_same_events(
    events: list[tuple[str, str, str | None]], end: bytes, cuts: list[int], bom: bool
) -> None:
    """Chunk borders, line ends and a byte order mark make no difference."""
    made = [Event(data, name.strip() or "message", mark) for data, name, mark in events]
    body = b"".join(encode_event(event) for event in made).replace(b"\n", end)
    found = parsed((b"\xef\xbb\xbf" if bom else b"") + body, *cuts)
    assert made == found


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b": comment\n\n", []),
        (b"data: a\ndata:b\ndata\n\n", [Event("a\nb\n")]),
        (b"id: 7\n\n", [Event("", id="7")]),
        (b"id: a\0b\ndata: x\n\n", [Event("x")]),
        (b"retry: 500\ndata:\n\n", [Event("", retry=500)]),
        (b"retry: soon\ndata: x\n\n", [Event("x")]),
        (b"event: endpoint\ndata: /m\n\n", [Event("/m", "endpoint")]),
        (b"unknown: x\n\n", []),
        (b"data: unfinished\n", []),
    ],
)
def test_single_events(data: bytes, events: list[Event]) -> None:
    """Each rule of the format by itself."""
    assert events == parsed(data)
    assert events == parsed(data, *range(len(data)))


def feed_on(parser: EventParser, chunk: bytes) -> None:
    """Feed the same chunk again and again."""
    for _ in range(200):
        parser.feed(chunk)


def test_an_endless_event_is_refused() -> None:
    """Neither an endless line nor endless lines fill the memory."""
    for chunk in (b"data: " + b"x" * 100, b"data: xxxxxxxx\n"):
        parser = EventParser(limit=1000)
        with pytest.raises(EventTooLarge):
            feed_on(parser, chunk)


def test_a_long_event_in_many_pieces() -> None:
    """The pieces of a line are joined once, however many there are."""
    parser = EventParser()
    piece = b"x" * 100
    assert [] == parser.feed(b"data: ")
    assert all([] == parser.feed(piece) for _ in range(50_000))
    (event,) = parser.feed(b"\n\n")
    assert 5_000_000 == len(event.data)
