"""The plot of a study: figures with their spread, and learning curves; it holds no pictures of the data."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from edgeseg.optional import require
from edgeseg.train.studies.points import words_of
from edgeseg.train.studies.study_results import CellResult, Trial

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")
"""Okabe and Ito's, told apart without colour vision, and an olive."""
MOST_CURVES = len(COLOURS)
_ROW_INCHES = 0.22


def draw(title: str, axes: Sequence[str], results: Sequence[CellResult], trials: Sequence[Trial]) -> bytes:
    """Draw a study as PNG.

    Args:
        title: The study's.
        axes: Names of the axes.
        results: Every cell.
        trials: Every trial, for the curves and for what a search tried.
    """
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    ordered = sorted(results, key=lambda result: -result.mean)
    height = max(3.4, 1.2 + _ROW_INCHES * len(ordered))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, height), layout="constrained")
    figure.suptitle(title)
    _draw_figures(left, axes, ordered)
    if any(trial.point.tried is not None for trial in trials):
        _draw_search(right, axes, ordered, trials)
    else:
        _draw_curves(right, axes, ordered, trials)
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=110)
        pyplot.close(figure)
        return stream.getvalue()


def _draw_figures(axis: Any, axes: Sequence[str], ordered: Sequence[CellResult]) -> None:
    rows = range(len(ordered))
    for row, result in zip(rows, ordered, strict=True):
        seeds = result.dice or (result.best.outcome.dice,)
        axis.plot(seeds, [row] * len(seeds), ".", color="#999999", markersize=5)
    axis.errorbar(
        [result.mean for result in ordered],
        list(rows),
        xerr=[result.sd or 0.0 for result in ordered],
        fmt="o",
        color=COLOURS[0],
        capsize=3,
    )
    axis.set_yticks(list(rows), [words_of(axes, result.cell) for result in ordered], fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="validation Dice: mean and sd over seeds, each seed grey")
    axis.grid(alpha=0.3, axis="x")
    axis.locator_params(axis="x", nbins=6)


def _draw_curves(axis: Any, axes: Sequence[str], ordered: Sequence[CellResult], trials: Sequence[Trial]) -> None:
    for colour, result in zip(COLOURS, ordered, strict=False):
        own = [trial for trial in trials if trial.point.cell == result.cell]
        for index, trial in enumerate(own):
            label = words_of(axes, result.cell) if index == 0 else None
            curve = trial.outcome.curve
            axis.plot(range(1, len(curve) + 1), curve, color=colour, alpha=0.8, lw=1.2, label=label)
    shown = min(len(ordered), MOST_CURVES)
    note = "" if shown == len(ordered) else f" (the best {shown} of {len(ordered)})"
    axis.set(xlabel=f"epoch{note}", ylabel="validation Dice")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="lower right")


def _draw_search(axis: Any, axes: Sequence[str], ordered: Sequence[CellResult], trials: Sequence[Trial]) -> None:
    for index, result in enumerate(ordered):
        own = sorted(
            (trial.point.tried or 0.0, trial.outcome.dice) for trial in trials if trial.point.cell == result.cell
        )
        style = "-o" if index < len(COLOURS) else "--o"
        colour = COLOURS[index % len(COLOURS)]
        axis.plot(*zip(*own, strict=True), style, color=colour, markersize=3, lw=1, label=words_of(axes, result.cell))
    axis.set(xscale="log", xlabel="the value that was searched", ylabel="best validation Dice")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=6, loc="best")
