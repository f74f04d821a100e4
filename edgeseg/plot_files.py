"""The kinds of file that a `--plot` may be, and the one way to write it: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.files import atomic_file
from edgeseg.optional import require

SUFFIXES = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 110


def check_plot(path: Path) -> None:
    """Refuse what cannot be drawn, before anything is measured.

    Raises:
        UsageError: A kind of file that is none of ours.
        MissingComponentError: No matplotlib.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "--plot is not a kind of picture", found=path.name, expected=f"a name in {', '.join(SUFFIXES)}"
        )
    require("matplotlib.figure")


def new_figure(width_inches: float, height_inches: float) -> Any:
    """An empty `matplotlib.figure.Figure` that lays its axes out by itself."""
    return require("matplotlib.figure").Figure(figsize=(width_inches, height_inches), layout="constrained")


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib, the same bytes for the same figure.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: .png, .svg or .pdf.
    """
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Date": None} if path.suffix == ".svg" else None)
