"""A report as one picture: latency by rate, stages, throughput, roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.machine.bench.bench_report import BenchReport, Roofline, Series
from edgeseg.plot_files import new_figure, write_figure

WIDTH_INCHES, HEIGHT_INCHES = 12.0, 8.4
PERCENTILES = (("p50_ms", "p50", "#1b6ca8"), ("p90_ms", "p90", "#6fb1dc"), ("p99_ms", "p99", "#f2a154"))
BUDGET_COLOUR = "#c0392b"
STAGE_COLOURS = ("#8fb339", "#2f6690", "#d9a441", "#7d5ba6", "#a3a3a3", "#b56576")
PRECISION_COLOURS = {"fp32": "#2f6690", "fp16": "#8fb339", "int8": "#d9a441"}


def write_plot(report: BenchReport, path: Path) -> None:
    """Draw a report, whole or not at all.

    Args:
        report: What to draw.
        path: .png, .svg or .pdf.
    """
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    axes = figure.subplots(2, 2)
    _latency(axes[0, 0], report)
    _stages(axes[0, 1], report)
    _throughput(axes[1, 0], report)
    _roofline(axes[1, 1], report)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set(fontsize=11, fontweight="bold")
    place = report.machine if report.gpu is None else f"{report.gpu}; {report.machine}"
    model = report.model
    figure.suptitle(
        f"{report.backend} {report.precision}, {model.architecture} {model.width}x{model.height}\n"
        f"{place}; {report.settings.source}",
        fontsize=10,
    )
    write_figure(figure, path)


def _latency(axis: Any, report: BenchReport) -> None:
    points: list[tuple[str, Series, float | None]] = [("back to\nback", report.back_to_back, None)]
    points += [(f"{paced.rate_hz:.4g} Hz", paced.series, paced.budget_ms) for paced in report.paced]
    places = np.arange(len(points))
    for index, (field, label, colour) in enumerate(PERCENTILES):
        values = [getattr(series.end_to_end, field) for _, series, _ in points]
        axis.bar(places + 0.27 * (index - 1), values, 0.25, label=label, color=colour)
    highest = max(series.end_to_end.p99_ms for _, series, _ in points)
    for place, (_, _, budget) in zip(places, points, strict=True):
        if budget is not None and budget < 2.5 * highest:
            axis.hlines(budget, place - 0.42, place + 0.42, color=BUDGET_COLOUR, linestyle="--", linewidth=1.3)
            axis.text(
                place + 0.42, budget, f"budget {budget:.1f}", ha="right", va="bottom", fontsize=7, color=BUDGET_COLOUR,
                bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
    axis.set_xticks(places, [name if series.stable else f"{name}\n(not stable)" for name, series, _ in points])
    axis.set(title="Frame to mask, one at a time", ylabel="ms", ylim=(0, None))
    axis.legend(frameon=False, fontsize=8, ncols=3)


def _stages(axis: Any, report: BenchReport) -> None:
    names = list(report.stages)
    for row, field in enumerate(("p50_ms", "p99_ms")):
        left = 0.0
        for index, name in enumerate(names):
            value = getattr(report.stages[name], field)
            colour = STAGE_COLOURS[index % len(STAGE_COLOURS)]
            axis.barh(row, value, 0.6, left=left, color=colour, label=name if row == 0 else None)
            left += value
        axis.annotate(f"{left:.2f}", (left, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks((0, 1), ("p50", "p99"))
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set(title="Stages (sums of each stage's percentile)", xlabel="ms")
    if names:
        axis.legend(frameon=False, fontsize=8, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, -0.32))


def _throughput(axis: Any, report: BenchReport) -> None:
    points = [(point, point.frames_per_second) for point in report.throughput if point.frames_per_second is not None]
    axis.set(title="Throughput", ylabel="frames/s")
    if not points:
        _say_nothing(axis, "not measured")
        return
    names = [
        f"{point.lanes} x {point.threads} thr." if point.kind == "lanes" and point.threads
        else f"{point.lanes} lane{'' if point.lanes == 1 else 's'}" if point.kind == "lanes"
        else f"batch {point.batch}"
        for point, _ in points
    ]  # fmt: skip
    colours = ["#1b6ca8" if point.kind == "lanes" else "#d9a441" for point, _ in points]
    bars = axis.bar(range(len(points)), [rate for _, rate in points], 0.65, color=colours)
    axis.bar_label(bars, fmt="{:.1f}", fontsize=8)
    axis.set_xticks(range(len(points)), names, rotation=20 if len(points) > 4 else 0)
    kinds = (("#1b6ca8", "frame to result", "lanes"), ("#d9a441", "network alone", "batch"))
    there = {point.kind for point, _ in points}
    for colour, label, kind in kinds:
        if kind in there:
            axis.bar(0, 0, color=colour, label=label)
    axis.margins(y=0.18)
    axis.legend(frameon=False, fontsize=8)


def _roofline(axis: Any, report: BenchReport) -> None:
    roof = report.roofline
    if roof is None:
        axis.set(title="Roofline")
        _say_nothing(axis, f"none: {report.roofline_missing}")
        return
    used = sorted({layer.precision for layer in roof.layers})
    intensities = {layer.name: layer.operations / layer.memory_bytes for layer in roof.layers}
    low, high = 0.5 * min(intensities.values()), 2 * max(intensities.values())
    span = np.geomspace(low, max(high, 4 * _ridge(roof, max(used))), 100)
    for kind in used:
        peak = roof.peaks.operations_per_second[kind]
        roof_line = np.minimum(peak, span * roof.peaks.bytes_per_second) / 1e9
        axis.plot(span, roof_line, color=PRECISION_COLOURS[kind], label=f"{kind} roof, {peak / 1e9:.4g} Gop/s")
    for layer in roof.layers:
        attainable = layer.operations / layer.bound_ms / 1e6
        size = 12 + 260 * layer.bound_ms / roof.bound_ms
        axis.scatter(intensities[layer.name], attainable, size, color=PRECISION_COLOURS[layer.precision], alpha=0.45,
                     linewidths=0)  # fmt: skip
    moved = roof.weight_bytes + roof.activation_bytes
    measured = (roof.operations / moved, roof.operations / roof.infer_p50_ms / 1e6)
    axis.plot(*measured, "*", color=BUDGET_COLOUR, markersize=13, label="measured, whole network")
    axis.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="Gop/s")
    axis.set_title(f"Roofline: {roof.achieved:.0%} of the bound {roof.bound_ms:.2f} ms, {roof.limit} bound")
    axis.legend(frameon=False, fontsize=8, loc="lower right")


def _ridge(roof: Roofline, kind: Any) -> float:
    """Operations a byte at which computing takes over."""
    return float(roof.peaks.operations_per_second[kind] / roof.peaks.bytes_per_second)


def _say_nothing(axis: Any, why: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, why, ha="center", va="center", wrap=True, fontsize=9, transform=axis.transAxes)
