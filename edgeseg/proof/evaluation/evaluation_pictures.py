"""Images worth looking at, drawn: the best, the worst, and false alarms, with ground truth and prediction outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgeseg.dataset import Pair
from edgeseg.frames import Frame, Mask
from edgeseg.images import MaskEvidence, coding_of
from edgeseg.metrics import ImageScore, overlap_per_image
from edgeseg.proof.evaluation.frame_masks import KeptFrame
from edgeseg.proof.verdict.evaluation import segment_named
from edgeseg.proof.verdict.verdict_pictures import REFERENCE_COLOUR, TRUTH_COLOUR, contours, outline, shrink
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.video.overlay import CLASS_COLOURS

PREDICTED_COLOUR = REFERENCE_COLOUR
"""Sky blue, as `edgeseg run` draws it; ground truth is white and dashed, which needs no colour vision at all."""
_CASING = (0, 0, 0)
_DASH_PX = 6


@dataclass(frozen=True)
class Shown:
    """One drawn picture with its words."""

    name: str
    note: str
    picture: Frame
    """uint8 [h,w,3] RGB, outlines in it."""


@dataclass(frozen=True)
class Section:
    """Pictures that belong together."""

    title: str
    pictures: tuple[Shown, ...]
    has_truth: bool = False
    """True if ground truth is drawn in them."""


def ranked(scores: Sequence[ImageScore], count: int) -> tuple[list[ImageScore], list[ImageScore]]:
    """The worst and the best images by Dice, each at most `count` and none in both; equal ones by name."""
    ordered = sorted(scores, key=lambda score: (score.dice, score.name))
    worst = ordered[:count]
    best = ordered[len(worst) :][-count:] if count else []
    return worst, best[::-1]


def draw_ranked(engine: Engine, scores: Sequence[ImageScore], pairs: Sequence[Pair], count: int) -> tuple[Section, ...]:
    """Segment the worst and the best images once more and draw them."""
    pair_of = {pair.name: pair for pair in pairs}
    worst, best = ranked(scores, count)
    sections = (("The worst", worst), ("The best", best))
    return tuple(
        Section(
            f"{title} {len(rows)} of {len(scores)} images",
            tuple(draw_shown(engine, pair_of[row.name]) for row in rows),
            has_truth=True,
        )
        for title, rows in sections
        if rows
    )


def draw_truths(pairs: Sequence[Pair], count: int) -> Section:
    """Some pairs of a data set, evenly spread, with the outlines of what their masks mark.

    Args:
        pairs: At least one, as `edgeseg.dataset.examine` gives them, so that their coding is known.
        count: How many to draw at most.
    """
    chosen = [pairs[index * len(pairs) // min(count, len(pairs))] for index in range(min(count, len(pairs)))]
    return Section(f"{len(chosen)} of {len(pairs)} pairs", tuple(_drawn_truth(pair) for pair in chosen))


def _drawn_truth(pair: Pair) -> Shown:
    frame, values = pair.read_values()
    coding = coding_of([MaskEvidence.of(values)])[0] if pair.coding is None else pair.coding
    mask, ignored = coding.apply(values)
    picture, labels = shrink(frame), [int(label) for label in np.unique(mask) if label]
    for label in labels:
        colour = CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS) if coding.rule == "labels" else 0]
        picture = outline(picture, np.where(mask == label, np.uint8(255), np.uint8(0)), colour)
    share = f"{100 * np.count_nonzero(mask) / mask.size:.1f} % marked"
    several = f", labels {', '.join(map(str, labels))}" if coding.rule == "labels" else ""
    hidden = "" if ignored is None else f", {100 * float(ignored.mean()):.1f} % ignored"
    return Shown(pair.name, share + several + hidden, picture)


def draw_alarms(kept: Sequence[KeptFrame]) -> tuple[Section, ...]:
    """The largest false masks."""
    if not kept:
        return ()
    shown = tuple(
        Shown(entry.row.name, f"{100 * entry.row.mask_share:.1f} % marked", draw(entry.frame, entry.mask))
        for entry in kept
    )
    return (Section(f"The {len(shown)} largest false masks", shown),)


def draw(frame: Frame, predicted: Mask, truth: Mask | None = None) -> Frame:
    """A small copy of a frame with the prediction's outline, and ground truth dashed over it.

    Args:
        frame: uint8 [H,W,3] RGB.
        predicted: uint8 [H,W].
        truth: uint8 [H,W]; None where there is none to draw.
    """
    canvas = outline(shrink(frame), predicted, PREDICTED_COLOUR)
    if truth is not None:
        _dash(canvas, truth)
    return canvas


def draw_shown(engine: Engine, pair: Pair) -> Shown:
    """Segment one labelled image and draw it, its Dice below it."""
    classes = engine.info.model.channels
    labelled = pair.read_labelled(classes)
    predicted = labelled.judged(segment_named(engine, labelled.frame, pair.name))
    dice, _ = overlap_per_image(predicted, labelled.mask, classes)
    return Shown(pair.name, f"Dice {dice:.3f}", draw(labelled.frame, predicted, labelled.mask))


def _dash(canvas: Frame, mask: Mask) -> None:
    """Draw every other stretch of the mask's border, white between black edges."""
    for border in contours(mask, canvas):
        points: Any = border[:, 0]
        stretches = [points[start : start + _DASH_PX + 1] for start in range(0, len(points), 2 * _DASH_PX)]
        for line, thickness in ((_CASING, 4), (TRUTH_COLOUR, 2)):
            cv2.polylines(canvas, [np.ascontiguousarray(part) for part in stretches], False, line, thickness)
