from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.proof.timing.stability import StabilityRule, is_stable, measure_until_stable
from tests.proof.timing.fake_clock import FakeClock

RULE = StabilityRule(window_samples=10, window_s=0.0, max_s=10.0)
levels = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("medians", "stable"),
    [
        ([10.0, 10.05, 10.09], True),
        ([10.0, 10.05, 10.11], False),  # each within 1 % of the one before, the drift is not
        ([10.0, 10.0], False),
        ([99.0, 10.0, 10.0, 10.0], True),
        ([10.0, 10.0, 10.0, 99.0], False),
        ([], False),
        ([0.0, 0.0, 0.0], True),
    ],
)
def test_by_hand(medians: list[float], stable: bool) -> None:
    assert is_stable(medians) is stable


@given(levels, st.integers(2, 4), st.floats(0, 0.5))
def test_stable_means_that_every_pair_of_the_last_windows_agrees(
    medians: list[float], windows: int, tolerance: float
) -> None:
    last = medians[-windows:]
    pairs = all(abs(a - b) <= tolerance * min(last) for a in last for b in last)
    assert is_stable(medians, windows, tolerance) is (len(medians) >= windows and pairs)


@given(levels)
def test_what_came_before_the_last_three_windows_does_not_matter(medians: list[float]) -> None:
    assert is_stable([1e9, *medians[-3:]]) == is_stable(medians) or len(medians) < 3


def sampled(clock: FakeClock, durations_ms: list[float], rule: StabilityRule, **options: object):
    """Measure something whose n-th run takes durations_ms[n], the last one for ever."""
    index = iter(range(10**9))

    def sample() -> int:
        taken = durations_ms[min(next(index), len(durations_ms) - 1)]
        clock.pass_ms(taken)
        return round(taken * 1e6)

    return measure_until_stable(sample, rule, clock, **options)


def test_it_ends_when_three_windows_agree_and_reports_those_alone() -> None:
    measured = sampled(FakeClock(), [50.0] * 20 + [10.0] * 100, RULE)
    assert measured.stable and measured.windows == 5
    assert measured.first_reported == 20
    assert measured.reported_ns == (10_000_000,) * 30


def test_what_never_settles_ends_at_the_bound_and_says_so() -> None:
    clock = FakeClock()
    measured = sampled(clock, [1.0 * 1.01**index for index in range(500)], RULE)
    assert not measured.stable
    assert 10.0 <= clock.ns / 1e9 <= 10.5
    assert len(measured.reported_ns) >= 20


def test_one_run_longer_than_the_bound_is_still_a_sample() -> None:
    measured = sampled(FakeClock(), [20_000.0], RULE)
    assert (measured.reported_ns, measured.stable, measured.windows) == ((20_000_000_000,), False, 0)


def test_windows_last_long_enough_and_hold_enough() -> None:
    fast = sampled(FakeClock(), [1.0], StabilityRule(window_samples=10, window_s=0.5, max_s=10))
    slow = sampled(FakeClock(), [100.0], StabilityRule(window_samples=10, window_s=0.5, max_s=10))
    assert len(fast.reported_ns) == pytest.approx(3 * 500, abs=6)
    assert len(slow.reported_ns) == 30


def test_bursts_settle_by_their_mean() -> None:
    """Two lanes finish together: every other interval is next to nothing."""
    bursts = [0.01, 19.99] * 500
    assert sampled(FakeClock(), bursts, RULE, level=statistics.fmean).stable


@given(st.lists(st.floats(0.1, 50.0), min_size=1, max_size=300))
def test_it_always_ends_with_samples_of_whole_windows_at_most(durations_ms: list[float]) -> None:
    measured = sampled(FakeClock(), durations_ms, StabilityRule(window_samples=5, window_s=0.0, max_s=1.0))
    assert 0 <= measured.first_reported < len(measured.samples_ns)
    assert measured.first_reported % 5 == 0
    assert sum(measured.samples_ns) <= 1.0e9 + max(measured.samples_ns)
