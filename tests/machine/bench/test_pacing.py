from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.machine.bench.pacing import SPIN_NS, Pacer, deadline_ns, newest_due, wait_until
from tests.proof.timing.fake_clock import FakeClock

NTSC = Fraction(30000, 1001)
rates = st.builds(Fraction, st.integers(1, 60000), st.integers(1, 1001)).filter(lambda rate: rate <= 1000)


def test_deadlines_do_not_drift() -> None:
    """An hour of NTSC: adding rounded periods would be off by 36 microseconds, floats by more in time."""
    frames = 3600 * 30000 // 1001
    assert deadline_ns(5, frames, NTSC) == 5 + frames * 1001 * 10**9 // 30000
    assert deadline_ns(0, 30000, NTSC) == 1001 * 10**9


@given(rates, st.integers(0, 10**7), st.integers(0, 10**15))
def test_a_deadline_is_never_early_and_less_than_a_nanosecond_late(rate: Fraction, index: int, start: int) -> None:
    exact = start + index * 10**9 / rate
    assert 0 <= exact - deadline_ns(start, index, rate) < 1


@given(rates, st.integers(0, 10**6), st.integers(-5, 5), st.integers(0, 10**12))
def test_the_newest_frame_is_the_last_whose_deadline_has_passed(
    rate: Fraction, index: int, offset: int, start: int
) -> None:
    now = deadline_ns(start, index, rate) + offset
    due = newest_due(start, now, rate)
    assert due == -1 or deadline_ns(start, due, rate) <= now
    assert deadline_ns(start, due + 1, rate) > now


def test_waiting_sleeps_and_spins_the_last_stretch_alone() -> None:
    clock = FakeClock()
    deadline = clock.ns + 40_000_000
    spun = wait_until(deadline, clock)
    assert deadline <= clock.ns <= deadline + 10_000
    assert 0 < spun <= SPIN_NS
    assert clock.slept_ns >= 40_000_000 - SPIN_NS - 10_000


def test_a_deadline_in_the_past_waits_for_nothing() -> None:
    clock = FakeClock()
    assert wait_until(clock.ns - 5, clock) == 0
    assert clock.slept_ns == 0


def paced(clock: FakeClock, work_ms: list[float], rate: int = 25) -> tuple[Pacer, list[float]]:
    """Latencies in milliseconds of frames that take `work_ms`."""
    pacer, latencies = Pacer(Fraction(rate), clock), []
    for taken in work_ms:
        arrived = pacer.next_arrival_ns()
        clock.pass_ms(taken)
        latencies.append((clock.ns - arrived) / 1e6)
    return pacer, latencies


def test_an_engine_that_keeps_up_drops_nothing_and_its_latency_is_its_own() -> None:
    clock = FakeClock()
    pacer, latencies = paced(clock, [10.0] * 100)
    assert sum(pacer.dropped) == 0
    assert latencies == pytest.approx([10.0] * 100, abs=0.01)
    assert clock.ns / 1e6 == pytest.approx(
        100 * 40 + 10, abs=0.1
    )  # a period, then the hundredth frame, exactly on time


def test_an_engine_that_is_too_slow_gets_the_newest_frame_and_the_others_are_dropped() -> None:
    """100 ms a frame at 40 ms a period: frame 0 at 0, frame 2 (came at 80) at 100, frame 5 (came at 200) at 200, ..."""
    pacer, latencies = paced(FakeClock(), [100.0] * 5)
    assert pacer.dropped == [0, 1, 2, 1, 2]
    assert latencies == pytest.approx([100, 120, 100, 120, 100], abs=0.1)


def test_one_hiccup_is_made_good() -> None:
    pacer, latencies = paced(FakeClock(), [10.0, 55.0, 10.0, 10.0])
    assert sum(pacer.dropped) == 0
    assert latencies == pytest.approx([10, 55, 25, 10], abs=0.01)  # the third waited 15 ms for the engine


def test_a_late_wake_up_is_noted_and_no_latency() -> None:
    clock = FakeClock(oversleep_ns=3_000_000)
    pacer, latencies = paced(clock, [5.0] * 20)
    assert latencies == pytest.approx([5.0] * 20, abs=0.01)
    assert max(pacer.late_ns) == pytest.approx(3_000_000 - SPIN_NS, abs=5_000)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=60), st.integers(1, 200))
def test_every_frame_that_came_is_taken_or_dropped(work_ms: list[float], rate: int) -> None:
    clock = FakeClock()
    start = deadline_ns(clock.ns + 1_000, 1, Fraction(rate))  # a period after the pacer's first look
    pacer, _ = paced(clock, work_ms[:-1], rate)
    last = pacer.next_arrival_ns()
    came = newest_due(start, last, Fraction(rate)) + 1
    assert len(pacer.dropped) + sum(pacer.dropped) == came
    assert len(pacer.dropped) == len(work_ms)
