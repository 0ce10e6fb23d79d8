"""Token bucket."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from mcpgw.backends.rate_limit import RateLimited, TokenBucket


class TestTryTake:
    """Taking without waiting."""

    def test_a_burst_then_the_rate(self) -> None:
        """A full bucket has `burst` tokens; then `try_take` returns the wait for the next."""
        now = 100.0
        bucket = TokenBucket(rate=4.0, burst=2, clock=lambda: now)
        assert [0.0, 0.0, 0.25, 0.25] == [bucket.try_take() for _ in range(4)]
        now += 0.125
        assert 0.125 == bucket.try_take()
        now += 0.125
        assert [0.0, 0.25] == [bucket.try_take(), bucket.try_take()]

    def test_never_holds_more_than_burst(self) -> None:
        """A long pause fills the bucket only up to `burst`."""
        now = 100.0
        bucket = TokenBucket(rate=4.0, burst=2, clock=lambda: now)
        bucket.try_take()
        now += 1000.0
        assert [0.0, 0.0, 0.25] == [bucket.try_take() for _ in range(3)]

    @pytest.mark.parametrize(
        ("name", "rate", "burst"), [("rate", 0.0, 1), ("rate", -1.0, 1), ("burst", 1.0, 0)]
    )
    def test_invalid_numbers(self, name: str, rate: float, burst: int) -> None:
        """Numbers with which a bucket would never have a token are refused."""
        with pytest.raises(ValueError, match=name):
            TokenBucket(rate=rate, burst=burst)

    @given(
        st.floats(0.1, 1000.0),
        st.integers(1, 20),
        st.lists(st.floats(0.0, 5.0) | st.just(0.0), max_size=60),
    )
    def test_never_more_than_burst_and_rate_in_any_window(
        self, rate: float, burst: int, pauses: list[float]
    ) -> None:
        """In any span there are at most `burst + rate * span` tokens, and at least those that
        `try_take` announced."""
        now = 5000.0
        bucket = TokenBucket(rate=rate, burst=burst, clock=lambda: now)
        taken: list[float] = []
        for pause in pauses:
            now += pause
            wait = bucket.try_take()
            if wait:
                now += wait * (1 + 1e-9) + 1e-9
                assert 0.0 == bucket.try_take()
            taken.append(now)
        for first, start in enumerate(taken):
            for count, end in enumerate(taken[first:], start=1):
                assert count <= burst + rate * (end - start) + 1e-3


class TestTake:
    """Waiting for a token."""

    async def test_no_checkpoint_while_there_are_tokens(self) -> None:
        """Taking an available token is not a checkpoint."""
        bucket = TokenBucket(rate=1.0, burst=1)
        with assert_no_checkpoints():
            await bucket.take()
        assert "<TokenBucket rate=1/s burst=1 waiting=0>" == repr(bucket)

    async def test_in_order_of_arrival(self, autojump_clock: MockClock) -> None:
        """Waiting tasks get one token each, in order of arrival."""
        bucket = TokenBucket(rate=2.0, burst=1)
        start = trio.current_time()
        times: list[tuple[str, float]] = []

        async def take(name: str) -> None:
            await bucket.take()
            times.append((name, trio.current_time() - start))

        await take("first")
        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(take, name)
                await wait_all_tasks_blocked()
            assert (3, 2.0) == (bucket.waiting, bucket.try_take())
            await trio.sleep(0.75)
            assert 1.25 == bucket.try_take()
        assert [("first", 0.0), ("a", 0.5), ("b", 1.0), ("c", 1.5)] == times

    async def test_a_newcomer_does_not_take_the_token_of_one_who_wakes_up(
        self, mock_clock: MockClock
    ) -> None:
        """A new task cannot take the token between a wake-up and its use."""
        bucket = TokenBucket(rate=1.0, burst=1)
        await bucket.take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bucket.take)
            await wait_all_tasks_blocked()
            mock_clock.jump(5.0)
            assert 0.0 < bucket.try_take()
        assert 0 == bucket.waiting

    @pytest.mark.parametrize("cancelled", ["a", "b"])
    async def test_cancelled_in_the_queue(self, autojump_clock: MockClock, cancelled: str) -> None:
        """A cancelled task takes no token, so the others have theirs one turn earlier."""
        bucket = TokenBucket(rate=1.0, burst=1)
        start = trio.current_time()
        times: dict[str, float] = {}
        scopes = {name: trio.CancelScope() for name in "abc"}

        async def take(name: str) -> None:
            with scopes[name]:
                await bucket.take()
                times[name] = trio.current_time() - start

        await bucket.take()
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(take, name)
                await wait_all_tasks_blocked()
            await trio.sleep(0.5)
            scopes[cancelled].cancel()
        assert {"b" if cancelled == "a" else "a": 1.0, "c": 2.0} == times
        assert 0 == bucket.waiting

    async def test_longer_than_the_caller_waits(self, autojump_clock: MockClock) -> None:
        """A wait longer than `max_wait` is refused at once, and no token is taken."""
        bucket = TokenBucket(rate=0.5, burst=1)
        await bucket.take()
        start = trio.current_time()
        with pytest.raises(RateLimited, match="2 s") as caught:
            await bucket.take(max_wait=1.9)
        assert (2.0, start) == (caught.value.retry_after, trio.current_time())
        await bucket.take(max_wait=2.0)
        assert start + 2.0 == trio.current_time()

    @pytest.mark.parametrize("timeout", [0.5, 2.0])
    async def test_longer_than_the_deadline(
        self, autojump_clock: MockClock, timeout: float
    ) -> None:
        """A wait beyond the deadline is refused at once."""
        bucket = TokenBucket(rate=0.5, burst=1)
        await bucket.take()
        start = trio.current_time()
        with trio.fail_after(timeout), pytest.raises(RateLimited):
            await bucket.take()
        assert start == trio.current_time()

    async def test_in_a_cancelled_scope(self) -> None:
        """In a cancelled scope `take` raises Cancelled, not RateLimited."""
        bucket = TokenBucket(rate=0.5, burst=1)
        await bucket.take()
        with trio.CancelScope() as scope:
            scope.cancel()
            await bucket.take()
        assert scope.cancelled_caught

    @settings(max_examples=60)
    @given(
        st.sampled_from([0.3, 1.0, 7.0]),
        st.integers(1, 4),
        st.lists(
            st.tuples(st.integers(0, 8), st.none() | st.integers(0, 10), st.booleans()),
            min_size=1,
            max_size=14,
        ),
    )
    def test_any_order_of_calls_and_cancellations(
        self, rate: float, burst: int, calls: list[tuple[int, int | None, bool]]
    ) -> None:
        """Waiting tasks are served in order and at the full rate, despite cancellations.

        A call has a time of arrival, a time of cancellation or None, and whether it only tries.
        """
        bucket = TokenBucket(rate=rate, burst=burst)
        arrived: list[int] = []
        served: list[tuple[int, float]] = []

        async def call(
            helpers: trio.Nursery, number: int, at: int, cancelled: int | None, only_tries: bool
        ) -> None:
            await trio.sleep(at)
            with trio.CancelScope() as scope:
                if only_tries:
                    if bucket.try_take() == 0.0:
                        arrived.append(number)
                        served.append((number, trio.current_time()))
                    return
                arrived.append(number)
                # Not a deadline: `take` would notice it and refuse instead of waiting.
                if cancelled is not None:
                    helpers.start_soon(cancel_later, scope, cancelled)
                await bucket.take()
                served.append((number, trio.current_time()))

        async def cancel_later(scope: trio.CancelScope, seconds: float) -> None:
            await trio.sleep(seconds)
            scope.cancel()

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number, parts in enumerate(calls):
                    nursery.start_soon(call, nursery, number, *parts)

        trio.run(main, clock=MockClock(autojump_threshold=0))
        numbers = [number for number, _ in served]
        assert [number for number in arrived if number in numbers] == numbers
        times = [at for _, at in served]
        for first, start in enumerate(times):
            for count, end in enumerate(times[first:], start=1):
                assert count <= burst + rate * (end - start) + 1e-6
        never_cancelled = {
            number for number, (_, when, tries) in enumerate(calls) if when is None and not tries
        }
        assert never_cancelled <= set(numbers)
        assert 0 == bucket.waiting

    def test_retry_after_is_kept(self) -> None:
        """The error has the wait as a number."""
        assert math.pi == RateLimited(math.pi).retry_after
