"""Times an engine against a baseline engine in turns, with a second opening of the baseline for the noise."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.artifacts import BaselineTiming, QuantileInterval
from edgeseg.proof.timing.clock import Clock
from edgeseg.proof.timing.disturbances import disturbances
from edgeseg.proof.timing.latency_evidence import watched
from edgeseg.proof.timing.quantile_interval import quantile_interval
from edgeseg.proof.timing.timing_in_turns import Rounds, reach, time_in_turns
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.latency import NS_PER_MS
from edgeseg.runtime.video.picture import Picture

MOST_SECONDS = 60.0
WANTED_ROUNDS = 450
"""Rounds that are run where the time allows: the interval of a ratio of two p99 has both ends from 436 on."""
ENGINE, BASELINE, TWIN = range(3)


def time_against_baseline(
    engine: Engine,
    baseline: Engine,
    twin: Engine,
    pictures: Sequence[Picture],
    clock: Clock,
    max_s: float = MOST_SECONDS,
) -> BaselineTiming:
    """Time an engine, a baseline engine and its twin in turns.

    Args:
        engine: The engine that is to be shipped.
        baseline: The engine that it must not be slower than.
        twin: A second opening of the baseline.
        pictures: At least one; they go round.
        clock: To measure by.
        max_s: About the longest time that it takes.

    Raises:
        EdgesegError: An engine refuses a picture, or is down for good.
    """
    with watched(engine) as watch:
        rounds = time_in_turns([engine, baseline, twin], pictures, max_s, clock, WANTED_ROUNDS)
    twins = rounds.share(TWIN, BASELINE)
    noise = reach(twins)
    times, other = rounds.percentiles(ENGINE), rounds.percentiles(BASELINE)
    return BaselineTiming(
        baseline_sha256=baseline.info.sha256,
        baseline_backend=baseline.info.backend,
        baseline_precision=baseline.info.precision,
        rounds=len(rounds.times_ns),
        stable=rounds.stable,
        engine=times,
        baseline=other,
        engine_samples_ms=_samples_ms(rounds, ENGINE),
        baseline_samples_ms=_samples_ms(rounds, BASELINE),
        over_baseline=rounds.share(ENGINE, BASELINE, noise),
        p99_ratio=times.p99_ms / other.p99_ms,
        p99_ratio_interval=p99_ratio_interval(_samples_ms(rounds, ENGINE), _samples_ms(rounds, BASELINE)),
        twin=twins,
        noise=noise,
        conditions=watch.conditions,
        disturbances=disturbances(watch.conditions),
    )


def p99_ratio_interval(times: Sequence[float], others: Sequence[float], level: float = 0.95) -> QuantileInterval:
    """The interval of a ratio of two p99, from the interval of each at half the error.

    By Bonferroni's inequality it holds the true ratio at least as often as `level` says, however the two depend on
    each other.

    Args:
        times: The numerator's times, at least one.
        others: The denominator's times, likewise.
        level: Share of such intervals that hold the true ratio, at least.
    """
    top, bottom = (quantile_interval(values, 0.99, (1 + level) / 2) for values in (times, others))
    low = None if top.low is None or bottom.high is None else top.low / bottom.high
    high = None if top.high is None or bottom.low is None else top.high / bottom.low
    return QuantileInterval(low=low, high=high, level=level)


def _samples_ms(rounds: Rounds, column: int) -> tuple[float, ...]:
    return tuple(round(float(value) / NS_PER_MS, 4) for value in rounds.times_ns[:, column])
