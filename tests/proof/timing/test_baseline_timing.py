"""Engines whose times are set by the test, judged against a baseline engine on a clock that only they move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgeseg.artifacts import BaselineTiming, Conditions, SensorSpread, VerdictLimits
from edgeseg.proof.timing import baseline_timing
from edgeseg.proof.timing.baseline_timing import WANTED_ROUNDS, p99_ratio_interval, time_against_baseline
from edgeseg.proof.timing.timing_in_turns import LEAST_ROUNDS
from edgeseg.proof.verdict.latency_rules import judge_slowdown
from edgeseg.proof.verdict.latency_words import baseline_lines
from edgeseg.runtime.engine.local_engine import engine_of
from tests.proof.timing.test_timing_in_turns import PICTURES, SetClock, Timed, forever

LIMITS = VerdictLimits(max_dice_drop=0, max_slowdown=5)
Race = Callable[..., BaselineTiming]


class StillWatch:
    """Sees what the test says."""

    conditions = Conditions()

    def __enter__(self) -> StillWatch:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Race:
    """Time three engines of so many milliseconds a frame: the engine, the baseline and its twin."""

    def run(*times: Iterator[float], max_s: float = 60, **seen: Any) -> BaselineTiming:
        watch = StillWatch()
        watch.conditions = Conditions(**seen)
        monkeypatch.setattr(baseline_timing, "watched", lambda engine: watch)
        clock = SetClock()
        engine, baseline, twin = (engine_of(Timed(clock, ms)) for ms in times)
        return time_against_baseline(engine, baseline, twin, PICTURES, clock, max_s)

    return run


def test_an_engine_that_is_ten_percent_slower_is_found_under_noise(race: Race) -> None:
    timing = race(forever(11, 30, 0.4, 1), forever(10, 30, 0.4, 2), forever(10, 30, 0.4, 3))
    assert timing.over_baseline.ratio == pytest.approx(1.1) and timing.over_baseline.outcome == "slower"
    (finding,) = judge_slowdown(timing, LIMITS)
    assert finding.outcome is False
    assert "slower than the baseline engine by more than 5 %: 1.100 times" in finding.reason
    assert judge_slowdown(timing, VerdictLimits(max_dice_drop=0, max_slowdown=20))[0].outcome is True


@pytest.mark.parametrize("ms", [10, 10.2, 5])
def test_an_engine_that_is_as_quick_passes(race: Race, ms: float) -> None:
    timing = race(forever(ms, 30, 0.4, 1), forever(10, 30, 0.4, 2), forever(10, 30, 0.4, 3))
    assert judge_slowdown(timing, LIMITS)[0].outcome is True


def test_a_machine_on_which_twins_differ_cannot_tell(race: Race) -> None:
    timing = race(forever(11), forever(10), forever(10.6), other_cores=1.4, throttled_periods=3)
    assert timing.noise == pytest.approx(0.06)
    (finding,) = judge_slowdown(timing, LIMITS)
    assert finding.outcome == "undecided"
    assert finding.reason.startswith("noisy: two openings of the baseline engine differ by up to 6.0 %")
    assert "other processes kept 1.4 cores busy; the processor quota made it wait in 3 periods" in finding.reason


def test_an_interval_that_holds_the_limit_cannot_tell(race: Race) -> None:
    timing = race((float(ms) for ms in np.random.default_rng(0).normal(12, 1, 10_000)), forever(10), forever(10))
    near = VerdictLimits(max_dice_drop=0, max_slowdown=100 * (timing.over_baseline.ratio - 1))
    (finding,) = judge_slowdown(timing, near)
    assert finding.outcome == "undecided" and "the interval holds the limit" in finding.reason


def test_a_limit_without_a_baseline_engine_is_undecided() -> None:
    assert judge_slowdown(None, LIMITS)[0].outcome == "undecided"
    assert judge_slowdown(None, VerdictLimits(max_dice_drop=0)) == []


def test_rounds_go_on_until_both_p99_have_ends_where_time_allows(race: Race) -> None:
    timing = race(forever(10, 30, 0.1, 1), forever(10, 30, 0.1, 2), forever(10))
    assert timing.rounds == WANTED_ROUNDS == len(timing.engine_samples_ms) == len(timing.baseline_samples_ms)
    assert timing.p99_ratio == 1 and (timing.p99_ratio_interval.low, timing.p99_ratio_interval.high) == (1, 1)
    short = race(forever(1000), forever(1000), forever(1000), max_s=1)
    assert short.rounds == LEAST_ROUNDS and short.p99_ratio_interval.high is None


def test_the_interval_of_a_ratio_of_p99_holds_it_at_least_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(0), 0
    for _ in range(300):
        interval = p99_ratio_interval(generator.lognormal(0.1, 0.3, 450), generator.lognormal(0, 0.3, 450))
        assert interval.low is not None and interval.high is not None
        held += interval.low <= np.exp(0.1) <= interval.high
    assert held / 300 >= 0.95


def test_clocks_and_noise_are_told(race: Race) -> None:
    clock = SensorSpread(minimum=800, median=1900, maximum=2000)
    timing = race(forever(10), forever(10), forever(10), clocks_mhz={"cpu": clock}, throttled_periods=0)
    said = baseline_lines(timing)
    assert said[0].startswith("baseline engine, fp32 on onnxruntime") and "p50 10.00, p90 10.00" in said[0]
    assert "two openings of the baseline differ by up to 0.0 %" in said[0]
    assert said[1] == (
        "meanwhile: cpu clock 1900 MHz, 800 to 2000; the processor quota never made it wait; "
        "the cpu clock moved from 800 to 2000 MHz"
    )
