"""Circuit breaker."""

from __future__ import annotations

import time

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcpgw.backends.breaker import BreakerState, CircuitBreaker, Permit


@attrs.define
class Clock:
    """A clock that is moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def make(
    clock: Clock, *, failures: int = 2, successes: int = 2, jitter: float = 0.0
) -> CircuitBreaker:
    return CircuitBreaker(
        failure_threshold=failures,
        success_threshold=successes,
        reset_timeout=30.0,
        clock=clock,
        jitter=lambda: jitter,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """A breaker that opens at 2 failures, closes at 2 successes, and has no jitter."""
    return make(clock)


def admit(breaker: CircuitBreaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None, f"{breaker!r} refuses"
    return permit


class TestClosed:
    """A closed breaker: calls pass."""

    def test_needs_no_clock(self) -> None:
        """A closed breaker works outside of Trio too."""
        breaker = CircuitBreaker()
        admit(breaker).success()
        breaker.record_failure("x")
        assert "<CircuitBreaker CLOSED failures=1/5 trips=0>" == repr(breaker)
        assert "closed" == breaker.snapshot()["state"]

    def test_calls_share_one_permit(self, breaker: CircuitBreaker) -> None:
        """A call through a closed breaker creates no object."""
        assert admit(breaker) is admit(breaker)

    def test_opens_at_the_threshold(self, breaker: CircuitBreaker) -> None:
        """Exactly `failure_threshold` failures in a row open it."""
        admit(breaker).failure("first")
        assert BreakerState.CLOSED is breaker.state
        admit(breaker).failure("second")
        assert BreakerState.OPEN is breaker.state
        assert "second" == breaker.last_trip_reason

    def test_failures_of_calls_at_the_same_time_all_count(self, breaker: CircuitBreaker) -> None:
        """Each call in flight counts, whenever it was admitted."""
        one, other = admit(breaker), admit(breaker)
        one.failure("x")
        other.failure("x")
        assert BreakerState.OPEN is breaker.state

    def test_one_cause_for_many_calls_counts_once(self, breaker: CircuitBreaker) -> None:
        """A lost connection fails all its calls but counts once; later calls count again."""
        for each in [admit(breaker) for _ in range(10)]:
            each.failure("cut", common=True)
        assert 1 == breaker.failures
        admit(breaker).failure("cut", common=True)
        assert BreakerState.OPEN is breaker.state

    def test_success_resets_the_count(self, breaker: CircuitBreaker) -> None:
        """Only failures in a row count."""
        breaker.record_failure("x")
        admit(breaker).success()
        breaker.record_failure("x")
        assert "<CircuitBreaker CLOSED failures=1/2 trips=0>" == repr(breaker)

    def test_release_does_not_count(self, breaker: CircuitBreaker) -> None:
        """A cancelled call is neither a failure nor a success."""
        breaker.record_failure("x")
        admit(breaker).release()
        assert "<CircuitBreaker CLOSED failures=1/2 trips=0>" == repr(breaker)


class TestOpen:
    """An open breaker: calls are refused for a while."""

    def test_refuses_until_the_time_is_over(self, breaker: CircuitBreaker, clock: Clock) -> None:
        """Calls are refused for `reset_timeout`; `retry_after` is the remaining time."""
        breaker.record_failure("x")
        breaker.record_failure("x")
        clock.now += 17.7
        assert breaker.admit() is None
        assert "<CircuitBreaker OPEN failures=2/2 trips=1 retry in 12.3s>" == repr(breaker)
        clock.now += 12.3 + 1e-6
        assert 0.0 == breaker.retry_after()
        assert breaker.admit() is not None

    def test_jitter_is_fixed_at_the_trip(self, clock: Clock) -> None:
        """The jitter adds up to a tenth, and is drawn once per trip."""
        breaker = make(clock, failures=1, jitter=0.5)
        breaker.record_failure("x")
        assert [31.5, 31.5] == [breaker.retry_after(), breaker.retry_after()]

    def test_late_answers_change_nothing(self, breaker: CircuitBreaker, clock: Clock) -> None:
        """Reports of calls from before the trip neither close it nor extend it."""
        slow, other = admit(breaker), admit(breaker)
        breaker.record_failure("x")
        breaker.record_failure("x")
        clock.now += 20
        slow.success()
        other.failure("late")
        breaker.record_failure("late")
        assert "<CircuitBreaker OPEN failures=2/2 trips=1 retry in 10.0s>" == repr(breaker)

    def test_reset_closes(self, breaker: CircuitBreaker) -> None:
        """`reset` closes it at once; calls from before the reset do not count any more."""
        slow = admit(breaker)
        breaker.record_failure("x")
        breaker.record_failure("x")
        breaker.reset()
        slow.failure("late")
        assert "<CircuitBreaker CLOSED failures=0/2 trips=1>" == repr(breaker)


class TestHalfOpen:
    """A half-open breaker: one call at a time is a probe."""

    @pytest.fixture
    def breaker(self, clock: Clock) -> CircuitBreaker:
        """A half-open breaker after one trip."""
        breaker = make(clock)
        breaker.record_failure("x")
        breaker.record_failure("x")
        clock.now += 30
        return breaker

    def test_one_probe_at_a_time(self, breaker: CircuitBreaker) -> None:
        """While a probe is in flight, other calls are refused."""
        probe = admit(breaker)
        assert breaker.admit() is None
        assert "<CircuitBreaker HALF_OPEN failures=2/2 trips=1 successes=0/2 probing>" == repr(
            breaker
        )
        probe.success()
        assert "<CircuitBreaker HALF_OPEN failures=2/2 trips=1 successes=1/2>" == repr(breaker)
        assert breaker.admit() is not None

    def test_closes_after_enough_successes(self, breaker: CircuitBreaker) -> None:
        """Successful probes close it."""
        admit(breaker).success()
        admit(breaker).success()
        assert "<CircuitBreaker CLOSED failures=0/2 trips=1>" == repr(breaker)

    def test_one_failure_opens_it_again(self, breaker: CircuitBreaker) -> None:
        """A failed probe opens it for another `reset_timeout`."""
        admit(breaker).success()
        admit(breaker).failure("again")
        assert "<CircuitBreaker OPEN failures=1/2 trips=2 retry in 30.0s>" == repr(breaker)

    def test_a_death_during_the_probe_opens_it(self, breaker: CircuitBreaker, clock: Clock) -> None:
        """After a failure outside of a call, the end of the probe does not count."""
        probe = admit(breaker)
        breaker.record_failure("the process died")
        probe.failure("connection lost")
        assert "<CircuitBreaker OPEN failures=3/2 trips=2 retry in 30.0s>" == repr(breaker)
        clock.now += 30
        probe.release()
        second = admit(breaker)
        probe.success()
        assert breaker.admit() is None, "the old probe gave away the new one's slot"
        second.release()

    def test_release_gives_the_slot_back(self, breaker: CircuitBreaker) -> None:
        """After a cancelled probe the next call is a probe."""
        admit(breaker).release()
        assert breaker.admit() is not None

    def test_a_probe_counts_once(self, breaker: CircuitBreaker) -> None:
        """A second report of a probe is ignored."""
        probe = admit(breaker)
        probe.success()
        probe.success()
        probe.failure("x")
        probe.release()
        assert "<CircuitBreaker HALF_OPEN failures=2/2 trips=1 successes=1/2>" == repr(breaker)

    def test_late_answers_change_nothing(self, clock: Clock) -> None:
        """Reports of calls from before the trip neither close it nor open it."""
        breaker = make(clock, successes=1)
        slow, other = admit(breaker), admit(breaker)
        breaker.record_failure("x")
        breaker.record_failure("x")
        clock.now += 30
        slow.success()
        other.failure("late")
        assert "<CircuitBreaker HALF_OPEN failures=2/2 trips=1 successes=0/1>" == repr(breaker)

    def test_answers_from_before_it_closed_again(self, clock: Clock) -> None:
        """A failure from before the trip does not count against the recovered backend."""
        breaker = make(clock, successes=1)
        slow = admit(breaker)
        breaker.record_failure("x")
        breaker.record_failure("x")
        clock.now += 30
        admit(breaker).success()
        slow.failure("late")
        assert "<CircuitBreaker CLOSED failures=0/2 trips=1>" == repr(breaker)


class TestSnapshot:
    """Snapshots as plain data."""

    def test_before_any_trip(self, breaker: CircuitBreaker) -> None:
        """A breaker that never opened has no last trip."""
        assert {
            "state": "closed",
            "trips_count": 0,
            "last_trip_ms": 0,
            "retry_after_ms": 0,
            "current_failures": 0,
            "failure_threshold": 2,
            "last_trip_reason": None,
        } == breaker.snapshot()

    def test_after_a_trip(
        self, breaker: CircuitBreaker, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time of the trip is in Unix time; the remaining time is rounded up."""
        monkeypatch.setattr(time, "time", lambda: 1_700_000_000.25)
        breaker.record_failure("x")
        breaker.record_failure("no answer within 5 s")
        clock.now += 0.0005
        assert {
            "state": "open",
            "trips_count": 1,
            "last_trip_ms": 1_700_000_000_250,
            "retry_after_ms": 30_000,
            "current_failures": 2,
            "failure_threshold": 2,
            "last_trip_reason": "no answer within 5 s",
        } == breaker.snapshot()


@pytest.mark.parametrize(
    "numbers", [{"failure_threshold": 0}, {"success_threshold": 0}, {"reset_timeout": -1.0}]
)
def test_invalid_numbers(numbers: dict[str, int]) -> None:
    """Numbers with which the breaker could not work are refused by name."""
    with pytest.raises(ValueError, match=next(iter(numbers))):
        CircuitBreaker(**numbers)


FAILURES, SUCCESSES = 3, 2


class AnyOrder(RuleBasedStateMachine):
    """Calls, reports, failures and time in any order, compared with a simple model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = make(self.clock, failures=FAILURES, successes=SUCCESSES)
        # Each open call: its permit, whether it is a probe, and the trips when it was admitted.
        self.calls: list[tuple[Permit, bool, int]] = []
        self.settled: list[Permit] = []
        self.row = 0
        self.good = 0
        self.trips = 0
        self.open_until: float | None = None
        self.half_open = False

    def fails(self) -> None:
        self.row += 1
        if self.half_open or self.row >= FAILURES:
            self.open_until = self.clock.now + 30.0
            self.half_open = False
            self.trips += 1
            self.row = self.good = 0

    def succeeds(self) -> None:
        self.row = 0
        self.good += self.half_open
        if self.good >= SUCCESSES:
            self.half_open = False
            self.good = 0

    def pass_time(self) -> None:
        if self.open_until is not None and self.clock.now >= self.open_until:
            self.open_until = None
            self.half_open = True
            self.good = 0

    def current(self, probe: bool, trips: int) -> bool:
        """Tell whether the report of a call still counts."""
        return self.open_until is None and probe == self.half_open and trips == self.trips

    @rule()
    def call(self) -> None:
        probing = any(self.current(probe, trips) for _, probe, trips in self.calls)
        may = self.open_until is None and not (self.half_open and probing)
        permit = self.breaker.admit()
        assert may == (permit is not None)
        if permit is not None:
            self.calls.append((permit, self.half_open, self.trips))

    @rule(data=st.data(), how=st.sampled_from(["success", "failure", "release"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        if not self.calls:
            return
        permit, probe, trips = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        counts = self.current(probe, trips)
        if how == "failure":
            permit.failure("x")
            if counts:
                self.fails()
        elif how == "success":
            permit.success()
            if counts:
                self.succeeds()
        else:
            permit.release()
        if probe:
            self.settled.append(permit)

    @rule(data=st.data(), how=st.sampled_from(["success", "failure", "release"]))
    def answer_again(self, data: st.DataObject, how: str) -> None:
        if self.settled:
            permit = data.draw(st.sampled_from(self.settled))
            if how == "failure":
                permit.failure("again")
            else:
                getattr(permit, how)()

    @rule()
    def event(self) -> None:
        self.breaker.record_failure("x")
        if self.open_until is None:
            self.fails()

    @rule(seconds=st.sampled_from([0.0, 0.1, 7.0, 29.9, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.pass_time()

    @rule()
    def wait_until_retry(self) -> None:
        wait = self.breaker.retry_after()
        self.clock.now += wait
        while self.breaker.retry_after():  # the sum was rounded down
            self.clock.now += 1e-9
        self.pass_time()

    @rule()
    def revive(self) -> None:
        self.breaker.reset()
        self.open_until = None
        self.half_open = False
        self.row = self.good = 0
        # Earlier calls do not count any more.
        self.calls = [(permit, probe, -1) for permit, probe, _ in self.calls]

    @invariant()
    def state_is_as_expected(self) -> None:
        state = self.breaker.state
        if self.open_until is not None:
            assert BreakerState.OPEN is state
            assert 0.0 < self.breaker.retry_after()
        else:
            assert (BreakerState.HALF_OPEN if self.half_open else BreakerState.CLOSED) is state
            assert 0.0 == self.breaker.retry_after()
        assert self.trips == self.breaker.trips
        if state is BreakerState.CLOSED:
            assert self.row == self.breaker.snapshot()["current_failures"]


TestAnyOrder = AnyOrder.TestCase
