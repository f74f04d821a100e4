"""One frame at a time: back to back, and at a source's own rate, where a processor that rests clocks down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from edgeseg.artifacts import Conditions, Percentiles
from edgeseg.machine.bench.bench_report import PacedSeries, Series
from edgeseg.machine.bench.pacing import Pacer
from edgeseg.proof.timing.clock import Clock
from edgeseg.proof.timing.conditions import Watch
from edgeseg.proof.timing.frame_times import time_frame
from edgeseg.proof.timing.probes import Probe
from edgeseg.proof.timing.stability import Measured, StabilityRule, measure_until_stable
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.latency import NS_PER_MS, percentiles_ms
from edgeseg.runtime.video.picture import Picture

WARM_UP_FRAMES = 5


def measure_back_to_back(
    engine: Engine, frames: Iterator[Picture], rule: StabilityRule, clock: Clock, probes: Sequence[Probe]
) -> tuple[Series, dict[str, Percentiles]]:
    """One frame after the other without a pause.

    Returns:
        The end-to-end times, and the stages, where they are timed.
    """
    stages: list[dict[str, int]] = []

    def one() -> int:
        times = time_frame(engine, next(frames), clock)
        stages.append(dict(times.stages_ns))
        return times.total_ns

    _warm_up(engine, frames, clock)
    with Watch(probes) as watch:
        measured = measure_until_stable(one, rule, clock)
    reported = stages[measured.first_reported :]
    names = dict.fromkeys(name for times in reported for name in times)
    spread = {name: percentiles_ms([times[name] for times in reported]) for name in names}
    return series_of(measured, watch.conditions), spread


def measure_paced(
    engine: Engine,
    frames: Iterator[Picture],
    rate: Fraction,
    budget_ms: float | None,
    rule: StabilityRule,
    clock: Clock,
    probes: Sequence[Probe],
) -> PacedSeries:
    """Frames that come at a fixed rate into a slot in which the newest one wins.

    Latency goes from a frame's coming to its mask, so a frame that found the engine busy has waited.

    Args:
        engine: What runs.
        frames: Endless.
        rate: Frames a second.
        budget_ms: What a frame may take; None allows the time until the next one.
        rule: When to stop.
        clock: To wait by.
        probes: To read meanwhile.
    """
    pacer = Pacer(rate, clock)
    at_work_ns: list[int] = []

    def one() -> int:
        arrived_ns = pacer.next_arrival_ns()
        at_work_ns.append(time_frame(engine, next(frames), clock).total_ns)
        return clock.now_ns() - arrived_ns

    _warm_up(engine, frames, clock)
    started_ns = clock.now_ns()
    with Watch(probes) as watch:
        measured = measure_until_stable(one, rule, clock)
    elapsed_ns = clock.now_ns() - started_ns
    limit_ms = budget_ms if budget_ms is not None else float(1000 / rate)
    dropped = sum(pacer.dropped[measured.first_reported :])
    return PacedSeries(
        rate_hz=float(rate),
        budget_ms=limit_ms,
        at_work=percentiles_ms(at_work_ns[measured.first_reported :]),
        over_budget_share=over_budget_share(measured.reported_ns, dropped, limit_ms),
        dropped=dropped,
        wake_late_p99_ms=float(np.percentile(pacer.late_ns, 99)) / NS_PER_MS if pacer.late_ns else None,
        spin_share=pacer.spun_ns / elapsed_ns if elapsed_ns else 0.0,
        series=series_of(measured, watch.conditions),
    )


def over_budget_share(durations_ns: Sequence[int], dropped: int, budget_ms: float) -> float:
    """Which part of the frames that came was finished too late, or never.

    Args:
        durations_ns: Durations of the frames that were finished; at least one.
        dropped: Frames that were not.
        budget_ms: What a frame may take.
    """
    late = sum(duration > budget_ms * NS_PER_MS for duration in durations_ns)
    return (late + dropped) / (len(durations_ns) + dropped)


def series_of(measured: Measured, conditions: Conditions) -> Series:
    """A measurement as a part of the report."""
    return Series(
        end_to_end=percentiles_ms(measured.reported_ns),
        samples=len(measured.reported_ns),
        windows=measured.windows,
        stable=measured.stable,
        conditions=conditions,
    )


def _warm_up(engine: Engine, frames: Iterator[Picture], clock: Clock) -> None:
    for _ in range(WARM_UP_FRAMES):
        time_frame(engine, next(frames), clock)
