"""A report as text: lines above, tables as (title, columns, rows), lines below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgeseg.artifacts import Conditions, Percentiles, SensorSpread
from edgeseg.machine.bench.bench_report import (
    BenchReport,
    PacedSeries,
    Roofline,
    Series,
    Throughput,
)
from edgeseg.proof.timing.disturbances import CLOCKS

Table = tuple[str, list[str], list[list[str]]]
UNKNOWN = "-"


def heading(report: BenchReport) -> list[str]:
    """Say what was measured, where and how."""
    settings, model = report.settings, report.model
    version = f" {report.backend_version}" if report.backend_version else ""
    place = report.machine if report.gpu is None else f"{report.gpu}; {report.machine}"
    how = (
        settings.source,
        _counted(settings.threads, "thread") if settings.threads else None,
        settings.power_mode or "power mode not readable",
        {True: "TF32 allowed", False: "no TF32", None: "TF32 not stated"}[settings.tf32],
        "frames pinned" if settings.frames_pinned else None,
        f"load {report.load_before[0]:.1f} before" if report.load_before else None,
    )
    return [
        f"{report.backend}{version} {report.precision}, {model.architecture} {model.width}x{model.height}, on {place}",
        ", ".join(part for part in how if part),
    ]


def tables(report: BenchReport) -> list[Table]:
    """Latency, stages, throughput, roofline; what was not measured is left out."""
    shown = [_latency(report), _stages(report)]
    if any(point.series is not None for point in report.throughput):
        shown.append(_throughput(report))
    if report.roofline is not None:
        shown.append(_roofline(report.roofline))
    return shown


def footing(report: BenchReport) -> list[str]:
    """Sources of the peaks, what was skipped, what a reader must know, how it stands against a baseline."""
    return [*_peaks(report), *_skipped(report), *(f"note: {note}" for note in report.notes), *_comparison(report)]


def layout_name(point: Throughput) -> str:
    """``2 lanes x 1 thread`` or ``batch 4``."""
    if point.kind == "batch":
        return f"batch {point.batch}"
    threads = f" x {_counted(point.threads, 'thread')}" if point.threads else ""
    return f"{_counted(point.lanes, 'lane')}{threads}"


def _latency(report: BenchReport) -> Table:
    usual = report.back_to_back.end_to_end.p50_ms
    rows = [
        ("back to back", report.back_to_back, None),
        *((_rate(paced), paced.series, paced) for paced in report.paced),
    ]
    sensors = _readable([series.conditions for _, series, _ in rows])
    columns = ["frame to mask, ms", "p50", "p90", "p99", "max", "engine, x back to back", "over budget", "dropped"]
    cells = [
        [
            name,
            *_times(series.end_to_end),
            f"{(paced.at_work if paced else series.end_to_end).p50_ms / usual:.2f}",
            f"{paced.over_budget_share:.1%}" if paced else "",
            str(paced.dropped) if paced else "",
            *(show(series.conditions) for show in sensors.values()),
            _stable(series),
        ]
        for name, series, paced in rows
    ]
    return "Latency, one frame at a time", [*columns, *sensors, "stable"], cells


def _rate(paced: PacedSeries) -> str:
    return f"{paced.rate_hz:.4g} Hz, budget {paced.budget_ms:.1f}"


def _stages(report: BenchReport) -> Table:
    rows = [[stage, *_times(times)] for stage, times in report.stages.items()]
    whole = ["end to end", *_times(report.back_to_back.end_to_end)]
    return "Stages, ms", ["stage", "p50", "p90", "p99", "max"], [*rows, whole]


def _throughput(report: BenchReport) -> Table:
    measured = [(point, point.series) for point in report.throughput if point.series is not None]
    sensors = _readable([series.conditions for _, series in measured])
    rows = [
        [
            layout_name(point) if point.kind == "lanes" else f"{layout_name(point)}, network alone",
            f"{point.frames_per_second:.1f}",
            f"{series.end_to_end.p50_ms:.2f}",
            f"{series.end_to_end.p99_ms:.2f}",
            *(show(series.conditions) for show in sensors.values()),
            _stable(series),
        ]
        for point, series in measured
    ]
    return "Throughput", ["layout", "frames/s", "p50 ms", "p99 ms", *sensors, "stable"], rows


def _roofline(roof: Roofline) -> Table:
    by_memory = sum(layer.limit == "memory" for layer in roof.layers)
    rows = [
        ["operations of the convolutions", _scaled(roof.operations, "op")],
        ["weights", f"{roof.weight_bytes / 1e6:.2f} MB"],
        ["activations, each moved once", f"{roof.activation_bytes / 1e6:.2f} MB"],
        ["bound, layer by layer", f"{roof.bound_ms:.3f} ms"],
        ["  computing alone", f"{roof.compute_ms:.3f} ms"],
        ["  moving alone", f"{roof.memory_ms:.3f} ms"],
        ["floor, activations kept on the chip", f"{roof.floor_ms:.3f} ms"],
        ["bound by", f"{roof.limit} ({by_memory} of {len(roof.layers)} convolutions by memory)"],
        ["measured inference, p50", f"{roof.infer_p50_ms:.3f} ms"],
        ["of the bound achieved", f"{roof.achieved:.1%}"],
    ]
    return "Roofline", ["", "value"], rows


def _peaks(report: BenchReport) -> Iterator[str]:
    if report.roofline is None:
        yield f"no roofline: {report.roofline_missing}"
        return
    peaks, used = report.roofline.peaks, {layer.precision for layer in report.roofline.layers}
    rates = [f"{kind} {_scaled(rate, 'op/s')}" for kind, rate in peaks.operations_per_second.items() if kind in used]
    yield f"peak arithmetic: {', '.join(rates)}: {peaks.compute_source}"
    yield f"peak memory: {_scaled(peaks.bytes_per_second, 'B/s')}: {peaks.memory_source}"


def _skipped(report: BenchReport) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for point in report.throughput:
        if point.skipped is not None:
            reasons.setdefault(point.skipped, []).append(layout_name(point))
    for reason, names in reasons.items():
        yield f"not measured: {', '.join(names)}: {reason}"


def _comparison(report: BenchReport) -> Iterator[str]:
    if report.comparison is None:
        return
    passed = report.comparison.passed
    outcome = "UNDECIDED" if passed == "undecided" else "PASSED" if passed else "FAILED"
    yield f"{outcome} against the baseline of {report.comparison.baseline_created}"
    yield from (f"  - {reason}" for reason in report.comparison.reasons)


def _readable(conditions: list[Conditions]) -> dict[str, Callable[[Conditions], str]]:
    """Columns of sensors, those alone that something could be read of."""
    columns: dict[str, Callable[[Conditions], str]] = {
        "clock": _clock,
        "power": lambda seen: _leading(seen.power_watts, "W"),
        "temp.": lambda seen: _leading(seen.temperature_c, "°C"),
        "other cores": lambda seen: UNKNOWN if seen.other_cores is None else f"{seen.other_cores:.1f}",
    }
    return {name: show for name, show in columns.items() if any(show(seen) != UNKNOWN for seen in conditions)}


def _clock(seen: Conditions) -> str:
    clocks = seen.clocks_mhz or {}
    return next((f"{clocks[name].median:.0f} MHz" for name in CLOCKS if name in clocks), UNKNOWN)


def _leading(spreads: Mapping[str, SensorSpread] | None, unit: str) -> str:
    """The GPU's sensor where there is one, else the first."""
    if not spreads:
        return UNKNOWN
    name = next((name for name in spreads if "gpu" in name.lower()), next(iter(spreads)))
    return f"{spreads[name].median:.1f} {unit}"


def _times(times: Percentiles) -> list[str]:
    return [f"{value:.2f}" for value in (times.p50_ms, times.p90_ms, times.p99_ms, times.max_ms)]


def _stable(series: Series) -> str:
    return "yes" if series.stable else "no"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _scaled(value: float, unit: str) -> str:
    factor, prefix = next((pair for pair in ((1e12, "T"), (1e9, "G"), (1e6, "M")) if value >= pair[0]), (1.0, ""))
    return f"{value / factor:.3g} {prefix}{unit}"
