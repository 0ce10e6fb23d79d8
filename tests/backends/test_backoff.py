"""Exponential backoff."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.backends.backoff import delay


def ceiling(attempt: int, **numbers: float) -> float:
    options = {"initial": 0.1, "maximum": 10.0, "multiplier": 2.0} | numbers
    return delay(attempt, jitter=lambda: 1.0, **options)


class TestDelay:
    """Exponential growth under a ceiling, with full jitter."""

    def test_grows_to_the_maximum(self) -> None:
        """The ceiling doubles from the second attempt on, up to the maximum."""
        expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
        assert expected == [ceiling(attempt) for attempt in range(2, 11)]

    @pytest.mark.parametrize("attempt", [-1, 0, 1])
    def test_the_first_attempt_does_not_wait(self, attempt: int) -> None:
        """The first attempt has no delay."""
        assert 0.0 == ceiling(attempt)

    def test_jitter_is_full(self) -> None:
        """The delay is the random fraction of the ceiling."""
        drawn = iter([0.0, 0.25])
        numbers = {"initial": 1.0, "maximum": 10.0, "multiplier": 2.0}
        assert [0.0, 0.5] == [delay(3, jitter=lambda: next(drawn), **numbers) for _ in range(2)]

    @pytest.mark.parametrize("multiplier", [2, 1.5, 1e300])
    def test_any_attempt_number(self, multiplier: float) -> None:
        """Numbers that overflow a float result in the maximum."""
        assert 10.0 == ceiling(10**9, multiplier=multiplier)

    def test_no_wait_at_all(self) -> None:
        """With an initial delay of zero there is no delay at all."""
        assert 0.0 == ceiling(10**9, initial=0.0)

    @given(
        st.integers(2, 10**6),
        st.floats(0, 100),
        st.floats(0, 1000),
        st.floats(1, 100),
    )
    def test_stays_within_bounds(
        self, attempt: int, initial: float, maximum: float, multiplier: float
    ) -> None:
        """A delay is never negative, never over the maximum, and never a NaN."""
        seconds = delay(attempt, initial=initial, maximum=maximum, multiplier=multiplier)
        assert 0.0 <= seconds <= maximum
