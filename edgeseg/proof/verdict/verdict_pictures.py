"""The images on which an engine lost most, drawn: frame, ground truth, reference and engine side by side."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgeseg.artifacts import VerdictRow
from edgeseg.dataset import Pair
from edgeseg.frames import Frame, Mask
from edgeseg.images import encode_jpeg
from edgeseg.proof.verdict.engine_comparison import mask_or_none
from edgeseg.runtime.engine.engine import Engine

WORST_COUNT = 10
PICTURE_WIDTH_PX = 320
_QUALITY = 82

Colour = tuple[int, int, int]
TRUTH_COLOUR: Colour = (255, 255, 255)
REFERENCE_COLOUR: Colour = (86, 180, 233)
"""Sky blue, vermilion's partner in the palette of Okabe and Ito: told apart with every colour vision."""
ENGINE_COLOUR: Colour = (240, 228, 66)
"""Yellow of the same palette; vermilion would drown in mucosa."""
_CASING: Colour = (0, 0, 0)


@dataclass(frozen=True)
class WorstImage:
    """One row of pictures, each JPEG as base64 text; None where the engine gave no usable mask."""

    row: VerdictRow
    frame: str
    truth: str
    reference: str
    engine: str | None


def worst_rows(rows: Sequence[VerdictRow], count: int = WORST_COUNT) -> list[VerdictRow]:
    """The images with the largest drop, worst first; unusable ones before all, equal ones by name."""
    return sorted(rows, key=lambda row: (row.finite, -row.drop, row.name))[:count]


def draw_worst(
    rows: Sequence[VerdictRow],
    engine: Engine,
    reference: Engine,
    pairs: Sequence[Pair],
    count: int = WORST_COUNT,
) -> list[WorstImage]:
    """Segment the worst images once more and draw them; no picture is held while the others are compared."""
    pair_of = {pair.name: pair for pair in pairs}
    return [_draw(row, pair_of[row.name], reference, engine) for row in worst_rows(rows, count)]


def _draw(row: VerdictRow, pair: Pair, reference: Engine, engine: Engine) -> WorstImage:
    labelled = pair.read_labelled(engine.info.model.channels)
    frame, truth = labelled.frame, labelled.mask
    reference_mask, engine_mask = (
        mask_or_none(reference, frame, row.name),
        mask_or_none(engine, frame, row.name),
    )
    small = shrink(frame)
    return WorstImage(
        row=row,
        frame=as_base64(small),
        truth=as_base64(outline(small, truth, TRUTH_COLOUR)),
        reference=as_base64(
            small if reference_mask is None else _over_truth(small, reference_mask, truth, REFERENCE_COLOUR)
        ),
        engine=None if engine_mask is None else as_base64(_over_truth(small, engine_mask, truth, ENGINE_COLOUR)),
    )


def _over_truth(picture: Frame, mask: Mask, truth: Mask, colour: Colour) -> Frame:
    """A network's contour, and ground truth as a hair line on it, so that their difference shows."""
    canvas = outline(picture, mask, colour)
    cv2.drawContours(canvas, contours(truth, picture), -1, TRUTH_COLOUR, 1)
    return canvas


def shrink(frame: Frame) -> Frame:
    """A picture no wider than `PICTURE_WIDTH_PX`, in its own proportions."""
    height, width = frame.shape[:2]
    if width <= PICTURE_WIDTH_PX:
        return frame
    size = (PICTURE_WIDTH_PX, max(1, round(height * PICTURE_WIDTH_PX / width)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def outline(picture: Frame, mask: Mask, colour: Colour) -> Frame:
    """A copy of the picture with the mask's contour, cased in black so that it shows on bright mucosa too.

    Args:
        picture: uint8 [h,w,3] RGB.
        mask: uint8 [H,W], of any size; everything but 0 is inside.
        colour: RGB.
    """
    canvas: Any = picture.copy()
    for line, thickness in ((_CASING, 4), (colour, 2)):
        cv2.drawContours(canvas, contours(mask, picture), -1, line, thickness, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def contours(mask: Mask, picture: Frame) -> Any:
    """The mask's borders in the picture's pixels, as OpenCV lists them; every pixel is a point."""
    size = (picture.shape[1], picture.shape[0])
    small = cv2.resize((mask > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]


def as_base64(picture: Frame) -> str:
    """The picture as JPEG, in the letters of a data address."""
    return base64.b64encode(encode_jpeg(picture, _QUALITY)).decode("ascii")
