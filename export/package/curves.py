"""The card's plot: Dice, false alarms and finds against the threshold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.dataset import Pair
from edgeseg.export.package.facts import Clip
from edgeseg.optional import require
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.threshold_curves import counting_by_threshold, dice_by_threshold
from edgeseg.runtime.engine.engine import Engine
from edgeseg.threshold import THRESHOLDS, logit

_DICE, _ALARM, _FIND = "#0072b2", "#d55e00", "#009e73"
_STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Curve:
    """One figure over `THRESHOLDS`."""

    name: str
    kind: str
    """dice, alarm or find."""
    values: tuple[float, ...]


def curves_of(engine: Engine, pairs: Sequence[Pair], clips: Sequence[Clip], track: Track = silent) -> list[Curve]:
    """Measure a network on labelled images and on clips, over all thresholds.

    Args:
        engine: A network of one class.
        pairs: Labelled images.
        clips: Frames that all show a polyp, or none of which does.
        track: Shows progress.
    """
    curves = [_curve("Dice, test split", "dice", dice_by_threshold(engine, pairs, track=track))]
    for clip in clips:
        counting = counting_by_threshold(engine, clip.source, description=f"thresholds {clip.name}", track=track)
        words, kind = ("found", "find") if clip.shows_polyp else ("false alarms", "alarm")
        curves.append(_curve(f"{words}, {clip.name}", kind, counting))
    return curves


def curves_to_svg(curves: Sequence[Curve], trained_threshold: float) -> bytes:
    """Draw the curves on an axis of log-odds, on which thresholds near 0 and 1 stand apart; reproducible bytes.

    Args:
        curves: What to draw.
        trained_threshold: The package's 0.5 stands for this threshold of the network as trained.
    """
    matplotlib = require("matplotlib")
    matplotlib.use("Agg")
    pyplot = require("matplotlib.pyplot")
    at = [logit(threshold) for threshold in THRESHOLDS]
    with matplotlib.rc_context({"svg.hashsalt": "edgeseg", "svg.fonttype": "none"}):
        figure, axis = pyplot.subplots(figsize=(8, 4.4), layout="constrained")
        colours, drawn = {"dice": _DICE, "alarm": _ALARM, "find": _FIND}, dict.fromkeys(("dice", "alarm", "find"), 0)
        for curve in curves:
            style = _STYLES[drawn[curve.kind] % len(_STYLES)]
            drawn[curve.kind] += 1
            axis.plot(at, curve.values, color=colours[curve.kind], linestyle=style, label=curve.name)
        axis.axvline(0.0, color="grey", linewidth=0.9, linestyle="--")
        if trained_threshold != 0.5:
            axis.axvline(-logit(trained_threshold), color="grey", linewidth=0.9, linestyle=":")
        axis.set(xlabel="threshold", ylabel="Dice, share of frames", ylim=(0, 1))
        axis.set_xticks(at, [f"{threshold:g}" for threshold in THRESHOLDS], rotation=60, fontsize=8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
        with io.BytesIO() as stream:
            figure.savefig(stream, format="svg", metadata={"Date": None})
            pyplot.close(figure)
            return stream.getvalue()


def _curve(name: str, kind: str, table: Any) -> Curve:
    return Curve(name, kind, tuple(np.asarray(table, np.float64).mean(axis=0).tolist()))
