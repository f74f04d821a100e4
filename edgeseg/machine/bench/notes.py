"""Writes down, in sentences, what a reader must know before believing a figure."""

from __future__ import annotations

from collections.abc import Iterator

from edgeseg.machine.bench.bench_report import BenchReport, Series
from edgeseg.machine.bench.summary import layout_name
from edgeseg.proof.timing.disturbances import BUSY_CORES, throttle_reasons

SLOWER = 1.15
"""Engine time at a rate over that back to back: a larger ratio is more than noise."""


def notes_on(report: BenchReport) -> tuple[str, ...]:
    """Unsettled measurements, company, throttling, slower at a rate, past the bound, what kind of machine it was."""
    return (
        *_unsettled(report),
        *_blind(report),
        *_company(report),
        *_throttled(report),
        *_slower_when_paced(report),
        *_past_the_bound(report),
        *(["measured on this CPU, these times say nothing about a GPU"] if report.gpu is None else []),
    )


def measurements(report: BenchReport) -> Iterator[tuple[str, Series]]:
    """Every measurement with its name."""
    yield "back to back", report.back_to_back
    for paced in report.paced:
        yield f"{paced.rate_hz:.4g} Hz", paced.series
    for point in report.throughput:
        if point.series is not None:
            yield layout_name(point), point.series


def _unsettled(report: BenchReport) -> Iterator[str]:
    names = [name for name, series in measurements(report) if not series.stable]
    if names:
        yield (
            f"not stable within {report.settings.max_s:g} s: {', '.join(names)} (the last "
            f"{report.settings.agreeing_windows} windows differ by more than {report.settings.tolerance:.0%})"
        )


def _blind(report: BenchReport) -> Iterator[str]:
    """Sensors that gave nothing."""
    seen = [series.conditions for _, series in measurements(report)]
    missing = [
        name
        for name, field in (("clocks", "clocks_mhz"), ("power", "power_watts"), ("temperature", "temperature_c"))
        if all(getattr(conditions, field) is None for conditions in seen)
    ]
    if missing:
        yield f"not readable here: {', '.join(missing)}"


def _company(report: BenchReport) -> Iterator[str]:
    busy = [cores for _, series in measurements(report) if (cores := series.conditions.other_cores) is not None]
    if not busy:
        yield "edgeseg could not see whether anything else ran on this machine"
    elif max(busy) > BUSY_CORES:
        yield f"other processes kept up to {max(busy):.1f} cores of this machine busy, so times are upper bounds"


def _throttled(report: BenchReport) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for name, series in measurements(report):
        for reason in throttle_reasons(series.conditions):
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield f"clocks were lowered ({reason}) during: {', '.join(names)}"
    waited = [name for name, series in measurements(report) if series.conditions.throttled_periods]
    if waited:
        yield f"the processor quota made it wait during: {', '.join(waited)}"


def _slower_when_paced(report: BenchReport) -> Iterator[str]:
    """Only compares measurements that settled: elsewhere the difference may come from other processes."""
    usual = report.back_to_back.end_to_end.p50_ms
    slow = [
        f"{ratio:.2f}x at {paced.rate_hz:.4g} Hz"
        for paced in report.paced
        if report.back_to_back.stable and paced.series.stable and (ratio := paced.at_work.p50_ms / usual) > SLOWER
    ]
    if slow:
        yield f"a frame takes longer when the processor rests between frames: {', '.join(slow)} of back to back"


def _past_the_bound(report: BenchReport) -> Iterator[str]:
    """Explains more than 100 %: no hardware is faster than it can be, so one of the bound's assumptions is wrong."""
    roof = report.roofline
    if roof is None or roof.achieved <= 1:
        return
    achieved = f"{100 * roof.achieved:.1f} % of the bound"
    too_low = "the peaks are too low, as where others kept the machine busy while they were measured"
    if roof.infer_p50_ms < roof.floor_ms:
        yield f"{achieved}, and faster than the floor: {too_low}; the share says nothing"
    else:
        yield f"{achieved}: activations stayed on the chip, which the bound counts as moved, or {too_low}"
