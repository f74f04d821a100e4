"""Draws how alike two graphs are, layer by layer."""

from __future__ import annotations

from pathlib import Path

from edgeseg.plot_files import new_figure, write_figure
from edgeseg.proof.bisect.bisection import Bisection

WIDTH_INCHES, HEIGHT_INCHES = 11.0, 4.2
HIGHEST_DB = 100.0
"""Layers that are the same are drawn there."""
LINE_COLOUR, WRONG_COLOUR = "#2f6690", "#d55e00"


def write_layer_plot(found: Bisection, path: Path) -> None:
    """Draw the signal to noise ratio of every layer, the floor, and the first layer that disagrees.

    Args:
        found: What `bisect` gave.
        path: .png, .svg or .pdf; written whole or not at all.
    """
    ratios = [
        (HIGHEST_DB if layer.sqnr_db is None else min(layer.sqnr_db, HIGHEST_DB)) if layer.finite else 0.0
        for layer in found.layers
    ]
    figure = new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    axis = figure.subplots()
    axis.plot(ratios, marker=".", linewidth=1, color=LINE_COLOUR)
    axis.axhline(found.floor_db, linestyle="--", linewidth=1, color=WRONG_COLOUR)
    axis.text(
        len(ratios) - 1, found.floor_db, " disagrees below", color=WRONG_COLOUR, va="bottom", ha="right", fontsize=8
    )
    names = [layer.layer for layer in found.layers]
    if found.layer is not None:
        index = names.index(found.layer)
        axis.axvline(index, color=WRONG_COLOUR, linewidth=1)
        axis.set_title(f"first to disagree: {found.layer}", fontsize=10)
    else:
        axis.set_title("all layers agree", fontsize=10)
    axis.set_xlabel("layer, in the order of the graph", fontsize=9)
    axis.set_ylabel("signal to noise ratio, dB", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    write_figure(figure, path)
