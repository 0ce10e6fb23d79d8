"""Lengths of time in gateway.yaml."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30.0),
        ("100ms", 0.1),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1m30s", 90.0),
        ("1h2m3s4ms", 3723.004),
        ("1.5s", 1.5),
        ("0.25h", 900.0),
        ("45", 45.0),
        (" 45s ", 45.0),
        ("16.1s", 16.1),
        (45, 45.0),
        (0.5, 0.5),
        ("0s", 0.0),
        ("87600h", LONGEST),
    ],
)
def test_understood(written: object, seconds: float) -> None:
    """Every form of the reference and our own means the seconds that a person expects."""
    assert seconds == parse_duration(written)


@pytest.mark.parametrize(
    "written",
    [
        *["", " ", "s", "5x", "1d", "30 s", "30S", "1s1m", "1s2s", "-5s", "1e3s", ".5s", "٣s"],
        *["87601h", "9" * 400, 10**400, float("nan"), float("inf"), float("-inf")],
        *[True, None, [], {}],
    ],
)
def test_refused(written: object) -> None:
    """Anything else is refused rather than guessed at."""
    with pytest.raises(ValueError):
        parse_duration(written)


@given(st.integers(min_value=0, max_value=int(LONGEST * 1000)))
def test_what_is_formatted_is_read_back(milliseconds: int) -> None:
    """A length of time survives being written down, to the millisecond."""
    seconds = milliseconds / 1000
    assert seconds == parse_duration(format_duration(seconds))


@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 999), st.integers(0, 9999))
def test_parts_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    """A compound length of time is the sum of its parts."""
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert round(total, 6) == parse_duration(text)


@given(st.text())
def test_any_text_is_read_or_refused_plainly(text: str) -> None:
    """No text makes the reader fail in another way than by refusing it."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST
