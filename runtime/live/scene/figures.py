"""Measures the numbers by which the gate judges a frame, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.small import SmallPicture

DARK_LEVEL = 30
"""Below this a pixel shows the lumen or nothing: no colour and no edges to judge."""
BRIGHT_LEVEL = 230
"""Level from which the camera's shoulder has eaten the detail."""
RED_OVER_GREEN = 1.12
"""Tissue under white light has blood in it: red leads. In the room walls, drapes, gloves and screens are grey, green or
blue."""
HIGHLIGHT_REACH_PX = 5
"""Around a highlight the edges are the highlight's, not the tissue's: they stay sharp in a blurred picture."""
EDGE_REACH_PX = 9
"""Width of the border where an edge belongs to the processor's mask, not to the picture."""


@dataclass(frozen=True)
class FrameFigures:
    """One frame in numbers, taken inside the visible region."""

    brightness: float
    """Mean luma, 0 to 255."""
    bright_share: float
    """Share of luma at or above 230, 0 to 1."""
    contrast: float
    """Standard deviation of luma."""
    red_share: float
    """Share of the lit pixels whose red leads; 0 where nothing is lit."""
    lit_share: float
    """Pixels that are neither dark nor burnt out."""
    sharpness: float
    """Mean absolute Laplacian of the lit detail, away from highlights; NaN where too little is left to say."""
    change: float
    """Mean absolute difference of luma to the frame before; infinity for the first."""


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a frame that is measured; made anew only when region or text change."""

    colour: Mask
    """uint8 [h,160], 255 where the scope shows something and no text stands."""
    detail: Mask
    """uint8 [2h,320], the same without its rim."""

    @classmethod
    def of(cls, visible: Mask, detail_shape: tuple[int, ...]) -> Window:
        """Make a window from the part where the scope shows something, uint8 [h,160]."""
        scaled: Any = cv2.resize(visible, (detail_shape[1], detail_shape[0]), interpolation=cv2.INTER_NEAREST)
        inner = cv2.erode(scaled, _square(EDGE_REACH_PX), borderType=cv2.BORDER_CONSTANT, borderValue=255)
        return cls(visible, _mask(inner))


MIN_DETAIL_SHARE = 0.02
"""Share of the region below which the Laplacian is a guess."""


def measure_frame(small: SmallPicture, window: Window, previous: SmallPicture | None = None) -> FrameFigures:
    """The figures of one frame.

    Sharpness is the mean absolute Laplacian, a form of the modified Laplacian of Nayar & Nakagawa, Shape from Focus,
    PAMI 16(8), 1994; Laplacian operators did best without noise in Pertuz, Puig & Garcia, Analysis of focus measure
    operators for shape-from-focus, Pattern Recognition 46(5), 2013. The mean of absolutes, away from highlights,
    because squares are ruled by a few specular points.

    Args:
        small: The frame.
        window: The part of the picture to measure.
        previous: The frame before it, of the same size; None for the first.
    """
    visible = window.colour
    (mean,), (deviation,) = (value.ravel() for value in cv2.meanStdDev(small.luma, mask=visible))
    total = max(1, cv2.countNonZero(visible))
    bright = cv2.countNonZero(cv2.bitwise_and(visible, _between(small.luma, BRIGHT_LEVEL, 255)))
    lit = cv2.bitwise_and(visible, _between(small.luma, DARK_LEVEL, BRIGHT_LEVEL - 1))
    lit_count = cv2.countNonZero(lit)
    return FrameFigures(
        brightness=float(mean),
        bright_share=bright / total,
        contrast=float(deviation),
        red_share=cv2.countNonZero(cv2.bitwise_and(lit, _reddish(small))) / lit_count if lit_count else 0.0,
        lit_share=lit_count / total,
        sharpness=_sharpness(small, window.detail),
        change=_change(small, previous, visible),
    )


def _sharpness(small: SmallPicture, inside: Mask) -> float:
    total = cv2.countNonZero(inside)
    highlights = cv2.dilate(_between(small.detail, BRIGHT_LEVEL, 255), _square(HIGHLIGHT_REACH_PX))
    usable = cv2.bitwise_and(inside, _between(small.detail, DARK_LEVEL, BRIGHT_LEVEL - 1))
    usable = cv2.subtract(usable, highlights)
    count = cv2.countNonZero(usable)
    if count < max(1.0, MIN_DETAIL_SHARE * total):
        return float("nan")
    edges = cv2.convertScaleAbs(cv2.Laplacian(small.detail, cv2.CV_16S))
    # OpenCV's mean under a mask took a third of this function's time; a sum after an `and` takes little.
    return float(cv2.sumElems(cv2.bitwise_and(edges, usable))[0]) / count


def _change(small: SmallPicture, previous: SmallPicture | None, visible: Mask) -> float:
    if previous is None or previous.luma.shape != small.luma.shape:
        return float("inf")
    return float(cv2.mean(cv2.absdiff(small.luma, previous.luma), mask=visible)[0])


def _reddish(small: SmallPicture) -> Mask:
    green, red = cv2.extractChannel(small.bgr, 1), cv2.extractChannel(small.bgr, 2)
    return _mask(cv2.compare(red, cv2.convertScaleAbs(green, alpha=RED_OVER_GREEN), cv2.CMP_GT))


def _between(plane: Any, low: int, high: int) -> Mask:
    return _mask(cv2.inRange(plane, low, high))


def _square(side: int) -> Mask:
    return np.ones((side, side), np.uint8)


def _mask(array: Any) -> Mask:
    """OpenCV's stubs do not say that uint8 in gives uint8 out."""
    return array  # type: ignore[no-any-return]
