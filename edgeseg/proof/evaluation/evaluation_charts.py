"""Positions of every mark on the evaluation's charts; the page only draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.metrics import ImageScore
from edgeseg.proof.evaluation.frame_masks import FrameMask
from edgeseg.proof.verdict.detection import LARGE_ABOVE, SMALL_BELOW, detection
from edgeseg.proof.verdict.verdict_charts import BOTTOM, LEFT, RIGHT, TOP, Bar, BarChart, Dot, Line, Scale, ScatterChart
from edgeseg.threshold import ThresholdChoice

HISTOGRAM_BINS = 20
MOST_BARS = 348
"""One a unit of the plot's width; longer clips show the largest mask of each stretch."""


@dataclass(frozen=True)
class ThresholdChart:
    """Dice and false alarms over thresholds, both on one axis from 0 to 1."""

    x: Scale
    y: Scale
    dice: str
    """Points of a polyline; likewise the next, empty without false alarms."""
    alarms: str
    chosen: float
    """Position of the chosen threshold."""
    limit: float | None
    """Position of the limit of false alarms."""
    ticks: list[tuple[float, str]]
    """Positions and labels of the thresholds, which stand at equal steps."""


def sorted_dice_chart(scores: Sequence[ImageScore], mean: float) -> BarChart:
    """The Dice of every image, lowest first; images whose polyp was not found are marked."""
    ordered = sorted(scores, key=lambda score: (score.dice, score.name))
    x, y = Scale(0, len(ordered), LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    width = round((RIGHT - LEFT) / len(ordered) * 0.8, 2)
    bars = [
        Bar(
            x(index),
            y(score.dice),
            width,
            max(0.6, round(BOTTOM - y(score.dice), 1)),
            f"{score.name}: Dice {score.dice:.4f}",
            detection([score]).found_share == 0,
        )
        for index, score in enumerate(ordered)
    ]
    return BarChart(x, y, bars, [Line("mean", y(mean), f"mean, {mean:.4f}")])


def dice_histogram(scores: Sequence[ImageScore]) -> BarChart:
    """How many images have which Dice."""
    counts, edges = np.histogram([score.dice for score in scores], HISTOGRAM_BINS, (0.0, 1.0))
    x, y = Scale(0.0, 1.0, LEFT, RIGHT), Scale(0, 1.05 * int(counts.max()), BOTTOM, TOP)
    bars = [
        Bar(
            x(float(left)),
            y(int(count)),
            round(x(float(right)) - x(float(left)) - 0.8, 1),
            round(BOTTOM - y(int(count)), 1),
            f"Dice {left:.2f} to {right:.2f}: {count}",
        )
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]
    return BarChart(x, y, bars, [])


def size_chart(scores: Sequence[ImageScore]) -> tuple[ScatterChart, list[float]]:
    """Dice over the polyp's share of the picture in percent, and where the bounds of the size groups stand."""
    shown = [score for score in scores if score.polyp_share > 0]
    widest = max((100 * score.polyp_share for score in shown), default=1.0)
    x, y = Scale(0.0, max(100 * LARGE_ABOVE * 1.2, widest * 1.03), LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    dots = [
        Dot(
            x(100 * score.polyp_share),
            y(score.dice),
            f"{score.name}: {100 * score.polyp_share:.1f} % of the picture, Dice {score.dice:.4f}",
            detection([score]).found_share == 0,
        )
        for score in shown
    ]
    return ScatterChart(x, y, dots), [x(100 * SMALL_BELOW), x(100 * LARGE_ABOVE)]


def mask_share_chart(rows: Sequence[FrameMask], counting_share: float) -> BarChart:
    """The marked share of each frame in percent, in order; masks that count are marked."""
    step = -(-len(rows) // MOST_BARS)
    largest = [max(rows[start : start + step], key=lambda row: row.mask_share) for start in range(0, len(rows), step)]
    top = max(max(row.mask_share for row in rows), 2 * counting_share)
    x, y = Scale(0, len(rows), LEFT, RIGHT), Scale(0.0, 105 * min(top, 1.0), BOTTOM, TOP)
    width = round(step * (RIGHT - LEFT) / len(rows), 2)
    bars = [
        Bar(
            x(index * step),
            y(100 * row.mask_share),
            width,
            round(BOTTOM - y(100 * row.mask_share), 1),
            f"{row.name}: {100 * row.mask_share:.2f} %",
            row.counts,
        )
        for index, row in enumerate(largest)
        if row.mask_share > 0
    ]
    limit = Line("limit", y(100 * counting_share), f"counts from {100 * counting_share:g} % on")
    return BarChart(x, y, bars, [limit])


def threshold_chart(choice: ThresholdChoice) -> ThresholdChart:
    """Dice and false alarms over thresholds; equal steps, since the thresholds crowd towards 1."""
    points = choice.points
    x, y = Scale(0, max(1, len(points) - 1), LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    dice = [(x(index), y(point.mean_dice)) for index, point in enumerate(points)]
    alarms = [
        (x(index), y(point.false_alarm_share))
        for index, point in enumerate(points)
        if point.false_alarm_share is not None
    ]
    every = -(-len(points) // 9)
    return ThresholdChart(
        x,
        y,
        _polyline(dice),
        _polyline(alarms),
        x(points.index(choice.chosen)),
        None if choice.max_false_alarms is None else y(choice.max_false_alarms),
        [(x(index), f"{points[index].threshold:g}") for index in range(0, len(points), every)],
    )


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across},{down}" for across, down in points)
