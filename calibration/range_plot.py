"""The ranges that a method chose, drawn on what was seen: the tensors whose range it cuts most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.histogram import BINS, Counts
from edgeseg.calibration.histogram_observers import HistogramObserver
from edgeseg.calibration.methods import AUTO_METHOD, METHODS, observer_of
from edgeseg.calibration.observer import Observer
from edgeseg.errors import UsageError
from edgeseg.plot_files import check_plot, new_figure, write_figure

COLUMNS, ROWS = 4, 2
SHOWN_BINS = 128
BULK = 0.99
"""Share of a tensor's magnitudes that make up its bulk."""
WIDTH_INCHES, HEIGHT_INCHES = 15.0, 6.6
LONGEST_NAME = 34
KEPT_COLOUR, CLIPPED_COLOUR = "#2f6690", "#d55e00"


@dataclass(frozen=True)
class CutTensor:
    """One tensor's magnitudes, and where its method clips them."""

    name: str
    counts: Counts
    """float64 [bins], equal ones from zero to `largest`."""
    largest: float
    clip: float
    clipped_share: float
    """Share of the values whose magnitude is beyond `clip`."""
    reach: float
    """The largest magnitude over the one that 99 % do not pass; 1 where all are zeros."""


def check_range_plot(path: Path, method: str) -> None:
    """Refuse a plot that cannot be drawn, before anything is measured.

    Raises:
        UsageError: The method keeps no histogram, or the file's kind is none of ours.
        MissingComponentError: No matplotlib.
    """
    if method != AUTO_METHOD and not issubclass(observer_of(method), HistogramObserver):
        drawn = [name for name, observer in METHODS.items() if issubclass(observer, HistogramObserver)]
        raise UsageError(
            "--plot draws how values are distributed, and this method keeps their extremes alone",
            found=f"--method {method}",
            expected=f"--method {' or '.join(drawn)}",
        )
    check_plot(path)


def most_cut(
    table: CalibrationTable, observers: Mapping[str, Observer], count: int = COLUMNS * ROWS
) -> list[CutTensor]:
    """The tensors whose range is cut most, then those that reach furthest beyond their bulk.

    Not those of which the largest share is clipped: that of a ReLU6 is large and its range as good as whole.

    Args:
        table: The ranges that were chosen.
        observers: What saw each tensor, by name; those without a histogram, and tensors of zeros, are left out.
        count: At most so many.
    """
    tensors = [
        _cut(name, observer, table.ranges[name].amax)
        for name, observer in observers.items()
        if isinstance(observer, HistogramObserver) and observer.histogram.largest
    ]
    return sorted(tensors, key=lambda tensor: (tensor.clip / tensor.largest, -tensor.reach))[:count]


def write_range_plot(tensors: list[CutTensor], title: str, path: Path) -> None:
    """Draw the magnitudes of tensors with the clip of each, whole or not at all.

    Args:
        tensors: At most eight.
        title: Above all of them.
        path: .png, .svg or .pdf.
    """
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    axes = figure.subplots(ROWS, COLUMNS).flat
    for axis, tensor in zip(axes, tensors, strict=False):
        _draw(axis, tensor)
    for axis in list(axes)[len(tensors) :]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=11)
    write_figure(figure, path)


def _cut(name: str, observer: HistogramObserver, clip: float) -> CutTensor:
    histogram = observer.histogram
    fine, largest = histogram.counts(BINS), histogram.largest
    below = np.r_[0.0, np.cumsum(fine)] / histogram.total
    edges = np.linspace(0.0, largest, BINS + 1)
    bulk = edges[int(np.searchsorted(below, BULK))]
    return CutTensor(
        name,
        histogram.counts(SHOWN_BINS),
        largest,
        clip,
        clipped_share=float(1.0 - np.interp(clip, edges, below)),
        reach=float(largest / bulk),
    )


def _draw(axis: Any, tensor: CutTensor) -> None:
    """Shares of the values in equal bins, on a logarithmic axis: outliers are few."""
    edges = np.linspace(0.0, tensor.largest, len(tensor.counts) + 1)
    shares = tensor.counts / tensor.counts.sum()
    axis.stairs(shares, edges, fill=True, color=KEPT_COLOUR)
    axis.axvspan(tensor.clip, max(tensor.clip, tensor.largest), color=CLIPPED_COLOUR, alpha=0.15, linewidth=0)
    axis.axvline(tensor.clip, color=CLIPPED_COLOUR, linestyle="--", linewidth=1.4)
    name = tensor.name if len(tensor.name) <= LONGEST_NAME else "…" + tensor.name[1 - LONGEST_NAME :]
    axis.set_title(f"{name}\n{tensor.clipped_share:.3%} beyond {tensor.clip:.3g} of {tensor.largest:.3g}", fontsize=9)
    axis.set(yscale="log", xlim=(0, max(tensor.clip, tensor.largest) * 1.03), ylim=(shares[shares > 0].min() / 2, 1.5))
    axis.set_xlabel("magnitude", fontsize=8)
    axis.set_ylabel("share of the values", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
