"""The geometry of the report's charts: where each mark stands in a viewBox; the page only draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeseg.artifacts import Percentiles, VerdictRow

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 408.0, 14.0, 254.0
"""The plot area inside the viewBox; the rest is for labels."""
MAX_BINS = 40

LineKind = Literal["limit", "mean", "median", "p99"]


@dataclass(frozen=True)
class Scale:
    """A straight line from a value to a coordinate, with its ticks."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value, to a tenth."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Coordinates and labels at round values."""
        step = round_step((self.high - self.low) / most)
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(index * step), f"{index * step + 0.0:.{places}f}") for index in range(first, last + 1)]


@dataclass(frozen=True)
class Dot:
    """One image in the scatter chart."""

    x: float
    y: float
    label: str
    is_worse: bool


@dataclass(frozen=True)
class Bar:
    """A rectangle with a tooltip; marked bars are drawn in the second colour."""

    x: float
    y: float
    width: float
    height: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Line:
    """A line across the plot at a value of the measured axis, named in the legend."""

    kind: LineKind
    at: float
    label: str


@dataclass(frozen=True)
class ScatterChart:
    """A figure of the engine (y) over the reference's (x), image by image."""

    x: Scale
    y: Scale
    dots: list[Dot]


@dataclass(frozen=True)
class BarChart:
    """Bars over an axis, with lines for limits and percentiles."""

    x: Scale
    y: Scale
    bars: list[Bar]
    lines: list[Line]


def round_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def scatter_chart(rows: Sequence[VerdictRow]) -> ScatterChart:
    """Engine Dice over reference Dice: below the diagonal the engine is worse."""
    return _scatter([(row.name, row.reference_dice, row.dice) for row in rows])


def confidence_chart(rows: Sequence[VerdictRow]) -> ScatterChart | None:
    """The engine's mean probability inside the reference's mask over the reference's; None where no image has both."""
    points = [
        (row.name, row.reference_confidence, row.confidence)
        for row in rows
        if row.reference_confidence is not None and row.confidence is not None
    ]
    return _scatter(points) if points else None


def _scatter(points: Sequence[tuple[str, float, float]]) -> ScatterChart:
    """A dot for each name, reference and engine."""
    lowest = min(min(reference, engine) for _, reference, engine in points)
    low = max(0.0, lowest - 0.15 * max(1 - lowest, 0.02))
    x, y = Scale(low, 1.0, LEFT, RIGHT), Scale(low, 1.0, BOTTOM, TOP)
    dots = [
        Dot(x(reference), y(engine), f"{name}: reference {reference:.4f}, engine {engine:.4f}", engine < reference)
        for name, reference, engine in points
    ]
    return ScatterChart(x, y, dots)


def drop_chart(rows: Sequence[VerdictRow], limit: float) -> BarChart:
    """The drop of every image, largest first, with the line that the mean must not pass."""
    ordered = sorted(rows, key=lambda row: -row.drop)
    mean = float(np.mean([row.drop for row in rows]))
    values = [row.drop for row in rows] + [0.0, limit, mean]
    margin = 0.06 * (max(values) - min(values)) or 0.001
    x, y = Scale(0, len(rows), LEFT, RIGHT), Scale(min(values) - margin, max(values) + margin, BOTTOM, TOP)
    step = (RIGHT - LEFT) / len(rows)
    bars = []
    for index, row in enumerate(ordered):
        top, bottom = sorted((y(row.drop), y(0)))
        label = f"{row.name}: drop {row.drop:+.4f}"
        bars.append(Bar(x(index), top, round(step * 0.8, 2), max(round(bottom - top, 1), 0.6), label, row.drop > limit))
    return BarChart(
        x,
        y,
        bars,
        [
            Line("limit", y(limit), f"limit of the mean, {limit:g}"),
            Line("mean", y(mean), f"mean, {mean:.4f}"),
        ],
    )


def turns_chart(baseline_ms: Sequence[float], engine_ms: Sequence[float]) -> BarChart:
    """How often a baseline engine (plain) and the engine (marked) took how long, side by side in bins of one width.

    What took longer than either's p99 is in the last bin, since one long pause would dwarf the bars.
    """
    last = max(float(np.percentile(values, 99)) for values in (baseline_ms, engine_ms))
    times = [np.minimum(values, last) for values in (baseline_ms, engine_ms)]
    shown = np.concatenate(times)
    margin = 0.04 * max(float(np.ptp(shown)), 0.05 * float(shown.max()), 1e-3)
    bins = min(MAX_BINS, max(10, times[0].size // 8))
    edges = np.linspace(max(0.0, shown.min() - margin), shown.max() + margin, bins + 1)
    counts = [np.histogram(values, edges)[0] for values in times]
    x = Scale(float(edges[0]), float(edges[-1]), LEFT, RIGHT)
    y = Scale(0, max(int(count.max()) for count in counts) * 1.05, BOTTOM, TOP)
    width = (RIGHT - LEFT) / bins / 2
    bars = [
        Bar(
            round(x(left) + column * width, 1),
            y(count),
            round(width - 0.4, 1),
            round(BOTTOM - y(count), 1),
            f"{name}, {left:.2f} to {right:.2f} ms: {count}",
            name == "engine",
        )
        for column, name in enumerate(("baseline", "engine"))
        for count, left, right in zip(counts[column], edges[:-1], edges[1:], strict=True)
        if count
    ]
    return BarChart(x, y, bars, [])


def latency_chart(latency: Percentiles, samples_ms: Sequence[float], limit_ms: float | None) -> BarChart:
    """How often an image took how long, with median, p99 and the limit.

    A limit more than twice the longest time would dwarf the bars and is left out.
    """
    values = np.asarray(samples_ms, np.float64)
    lines: list[tuple[LineKind, float]] = [("median", latency.p50_ms), ("p99", latency.p99_ms)]
    if limit_ms is not None and limit_ms <= 2 * values.max():
        lines.append(("limit", limit_ms))
    shown = np.append(values, [value for _, value in lines])
    margin = 0.04 * max(float(np.ptp(shown)), 0.05 * float(shown.max()), 1e-3)
    edges = np.linspace(
        max(0.0, shown.min() - margin), shown.max() + margin, min(MAX_BINS, max(10, values.size // 4)) + 1
    )
    counts, _ = np.histogram(values, edges)
    x, y = (
        Scale(float(edges[0]), float(edges[-1]), LEFT, RIGHT),
        Scale(0, max(1, int(counts.max())) * 1.05, BOTTOM, TOP),
    )
    bars = [
        Bar(
            x(left),
            y(count),
            round(x(right) - x(left) - 0.8, 1),
            round(BOTTOM - y(count), 1),
            f"{left:.2f} to {right:.2f} ms: {count}",
        )
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]
    return BarChart(x, y, bars, [Line(kind, x(value), f"{kind}, {value:.2f} ms") for kind, value in lines])
