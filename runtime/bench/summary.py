"""A report as tables of text: (title, columns, rows)."""

from __future__ import annotations

from collections.abc import Mapping

from edgeseg.artifacts import Percentiles
from edgeseg.runtime.bench.report import BenchReport, Conditions, PacedSeries, Series, Spread, Throughput

Table = tuple[str, list[str], list[list[str]]]
UNKNOWN = "-"


def tables(report: BenchReport) -> list[Table]:
    """Latency, stages, throughput, roofline; what was not measured is left out."""
    shown = [_latency(report), _stages(report)]
    if report.throughput:
        shown.append(_throughput(report))
    if report.roofline is not None:
        shown.append(_roofline(report))
    return shown


def heading(report: BenchReport) -> list[str]:
    """What was measured, where and how: the lines above the tables."""
    settings, model = report.settings, report.model
    version = f" {report.backend_version}" if report.backend_version else ""
    threads = f"{settings.threads} thread{'' if settings.threads == 1 else 's'}" if settings.threads else None
    tf32 = {True: "TF32 allowed", False: "no TF32", None: "TF32 not stated"}[settings.tf32]
    mode = settings.power_mode or "power mode not readable"
    pinned = "frames pinned" if settings.frames_pinned else None
    place = report.machine if report.gpu is None else f"{report.gpu}; {report.machine}"
    before = f"load before {report.load_before[0]:.1f}" if report.load_before else None
    return [
        f"{report.backend}{version} {report.precision}, {model.architecture} {model.width}x{model.height}, on {place}",
        ", ".join(part for part in (settings.source, threads, mode, tf32, pinned, before) if part),
    ]


def _latency(report: BenchReport) -> Table:
    columns = ["frame to mask, ms", "p50", "p90", "p99", "max", "x b2b", "over budget", "dropped", "clock", "power",
               "temp", "others", "stable"]  # fmt: skip
    usual = report.back_to_back.end_to_end.p50_ms
    rows = [_latency_row("back to back", report.back_to_back, usual, None)]
    for paced in report.paced:
        name = f"{paced.rate_hz:.4g} Hz, {paced.budget_ms:.1f} ms"
        rows.append(_latency_row(name, paced.series, usual, paced))
    return "Latency, one frame at a time", columns, rows


def _latency_row(name: str, series: Series, usual_ms: float, paced: PacedSeries | None) -> list[str]:
    times, seen = series.end_to_end, series.conditions
    return [
        name,
        *_times(times),
        f"{times.p50_ms / usual_ms:.2f}",
        f"{paced.over_budget_share:.1%}" if paced else "",
        str(paced.dropped) if paced else "",
        _clock(seen),
        _first(seen.power_watts, "W"),
        _first(seen.temperature_c, "C"),
        UNKNOWN if seen.other_cores is None else f"{seen.other_cores:.1f}",
        _stable(series),
    ]


def _stages(report: BenchReport) -> Table:
    rows = [[stage, *_times(times)] for stage, times in report.stages.items()]
    whole = report.back_to_back.end_to_end
    return "Stages, ms", ["stage", "p50", "p90", "p99", "max"], [*rows, ["end to end", *_times(whole)]]


def _throughput(report: BenchReport) -> Table:
    columns = ["layout", "frames/s", "p50 ms", "p99 ms", "clock", "power", "others", "stable"]
    return "Throughput", columns, [_throughput_row(point) for point in report.throughput]


def _throughput_row(point: Throughput) -> list[str]:
    if point.kind == "batch":
        name = f"batch {point.batch}, network alone"
    else:
        name = f"{point.lanes} lane{'' if point.lanes == 1 else 's'}"
        name += f" x {point.threads} thread{'' if point.threads == 1 else 's'}" if point.threads else ""
    if point.series is None or point.frames_per_second is None:
        return [f"{name}: skipped, {point.skipped}", *[""] * 7]
    times, seen = point.series.end_to_end, point.series.conditions
    return [
        name,
        f"{point.frames_per_second:.1f}",
        f"{times.p50_ms:.2f}",
        f"{times.p99_ms:.2f}",
        _clock(seen),
        _first(seen.power_watts, "W"),
        UNKNOWN if seen.other_cores is None else f"{seen.other_cores:.1f}",
        _stable(point.series),
    ]


def _roofline(report: BenchReport) -> Table:
    roof = report.roofline
    assert roof is not None
    peaks = roof.peaks
    bound = sum(layer.limit == "memory" for layer in roof.layers)
    rates = ", ".join(f"{kind} {rate / 1e12:.3g} T/s" for kind, rate in peaks.operations_per_second.items())
    rows = [
        ["operations of the convolutions", f"{roof.operations / 1e9:.2f} G"],
        ["weights; activations, once each", f"{roof.weight_bytes / 1e6:.2f} MB; {roof.activation_bytes / 1e6:.2f} MB"],
        ["peak arithmetic", rates],
        ["  from", peaks.compute_source],
        ["peak memory", f"{peaks.bytes_per_second / 1e9:.1f} GB/s"],
        ["  from", peaks.memory_source],
        ["bound, layer by layer", f"{roof.bound_ms:.3f} ms"],
        ["  computing alone; moving alone", f"{roof.compute_ms:.3f} ms; {roof.memory_ms:.3f} ms"],
        ["floor, activations kept on the chip", f"{roof.floor_ms:.3f} ms"],
        ["limited by", f"{roof.limit} ({bound} of {len(roof.layers)} convolutions by memory)"],
        ["measured inference, p50", f"{roof.infer_p50_ms:.3f} ms"],
        ["of the bound achieved", f"{roof.achieved:.1%}"],
    ]
    return "Roofline", ["", "value"], rows


def _times(times: Percentiles) -> list[str]:
    return [f"{value:.2f}" for value in (times.p50_ms, times.p90_ms, times.p99_ms, times.max_ms)]


def _clock(seen: Conditions) -> str:
    clocks = seen.clocks_mhz or {}
    for name in ("sm", "gpu", "gpu-gpc-0", "cpu"):
        if name in clocks:
            return f"{clocks[name].median:.0f} MHz"
    return UNKNOWN


def _first(spreads: Mapping[str, Spread] | None, unit: str) -> str:
    """The first sensor's median; the GPU's where there is one."""
    if not spreads:
        return UNKNOWN
    name = next((name for name in spreads if "gpu" in name.lower()), next(iter(spreads)))
    return f"{spreads[name].median:.1f} {unit}"


def _stable(series: Series) -> str:
    return "yes" if series.stable else "no"
