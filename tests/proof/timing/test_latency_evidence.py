"""A p99 with its samples, the sensors beside it, and whatever disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.artifacts import Conditions, SensorSpread, VerdictLimits
from edgeseg.proof.timing.company import ProcessorTimes, throttled_periods
from edgeseg.proof.timing.conditions import summed_up
from edgeseg.proof.timing.disturbances import disturbances
from edgeseg.proof.timing.latency_evidence import evidence_of
from edgeseg.proof.verdict.latency_rules import judge_latency
from edgeseg.proof.verdict.latency_words import evidence_lines
from tests.proof.verdicts import latency

SAMPLES = np.linspace(5, 15, 400)
"""Their p99 is 14.9, its 95 % interval 14.80 to 15.00."""
QUIET, BUSY = Conditions(other_cores=0.0), Conditions(other_cores=1.0)


@pytest.mark.parametrize(
    ("limit", "conditions", "outcome"),
    [
        (14.85, BUSY, "undecided"),
        (14.95, BUSY, "undecided"),
        (14.85, QUIET, False),
        (14.95, QUIET, True),
        (14.5, BUSY, False),
        (15.5, BUSY, True),
    ],
)
def test_a_noisy_machine_decides_only_what_the_interval_leaves_no_doubt_of(limit, conditions, outcome) -> None:
    report = latency(p50_ms=10, p99_ms=float(np.percentile(SAMPLES, 99)))
    evidence = evidence_of(tuple(SAMPLES), conditions)
    (finding,) = judge_latency(report, VerdictLimits(max_dice_drop=0, max_p99_ms=limit), evidence)
    assert finding.outcome == outcome
    assert finding.reason.startswith("noisy: ") is (outcome == "undecided")
    assert "95 % interval 14.80 to 15.00 ms" in finding.reason
    assert ("other processes" in finding.reason) is (conditions is BUSY and outcome is not True)


def test_an_interval_that_ends_nowhere_decides_nothing_on_a_noisy_machine() -> None:
    report, limits = latency(p99_ms=14.9), VerdictLimits(max_dice_drop=0, max_p99_ms=1000)
    (finding,) = judge_latency(report, limits, evidence_of(tuple(SAMPLES[-200:]), BUSY))
    assert finding.outcome == "undecided" and " and up ms)" in finding.reason


@pytest.mark.parametrize("count", [999, 1000])
def test_a_p99_9_takes_a_thousand_samples(count: int) -> None:
    times = np.random.default_rng(0).exponential(1, count)
    evidence = evidence_of(tuple(times), QUIET)
    told = evidence_lines(evidence)[0]
    assert told.startswith(f"over {count} images: ")
    if count < 1000:
        assert evidence.p99_9_ms is None and "the maximum of these is no p99.9" in told
    else:
        assert evidence.p99_9_ms == pytest.approx(np.quantile(times, 0.999))
        assert f"p99.9 {evidence.p99_9_ms:.2f} ms" in told


def test_what_disturbs_is_told_and_what_does_not_is_not() -> None:
    clocks = {
        "sm": SensorSpread(minimum=1850, median=1900, maximum=2000),
        "cpu": SensorSpread(minimum=800, median=800, maximum=4000),  # the GPU's clock sets the speed
    }
    quiet = Conditions(clocks_mhz=clocks, throttle={"idle": 0.5}, other_cores=0.1, throttled_periods=0)
    assert disturbances(quiet) == ()
    loud = Conditions(throttle={"power cap": 0.5}, other_cores=None, throttled_periods=1)
    assert disturbances(loud) == ("the processor quota made it wait in 1 period", "clocks were lowered (power cap)")


@pytest.mark.parametrize("place", ["cpu.stat", "cpu/cpu.stat"])
def test_the_periods_that_a_quota_throttled(tmp_path, place: str) -> None:
    assert throttled_periods(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / place).write_text("usage_usec 12\nnr_periods 40\nnr_throttled 7\nthrottled_usec 5\n")
    assert throttled_periods(tmp_path) == 7
    before, after = ProcessorTimes(0, 0, 0, 7), ProcessorTimes(1, 1, 1, 12)
    assert summed_up([], before, after).throttled_periods == 5
    assert summed_up([], ProcessorTimes(0, 0, 0), after).throttled_periods is None
