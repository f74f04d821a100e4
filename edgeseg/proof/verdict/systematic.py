"""Differences that are the same on every image: masks that lie aside, and a threshold that is another.

Rounding moves borders and probabilities to and fro; a resize of another convention or a moved threshold moves them all
one way, by less than a mean Dice shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import SystematicDifference
from edgeseg.proof.verdict.probability_shift import Plane
from edgeseg.proof.verdict.proportion import share_interval

_SLOPE = 0.02, 0.98
"""Probabilities on the slope between background and polyp, from which displacement is measured."""
_NEAR = 0.1, 0.9
"""Probabilities near the threshold, from which the offset of logits is measured."""
FEWEST_PX = 20
"""Fewest pixels of one image, on each side, that tell anything."""
MOST_PX = 3000
"""About how many pixels of an image are measured, so that a blurred network costs no more than a sharp one."""
LEAST_PROBABILITY = 1e-6
"""Probabilities are held this far from 0 and 1, where logits end."""

Values = NDArray[np.float64]


class SystematicMeter:
    """Measures each image; its memory holds three numbers for each."""

    def __init__(self) -> None:
        self._right: list[float] = []
        self._down: list[float] = []
        self._offset: list[float] = []

    def add(self, reference: Plane, engine: Plane) -> None:
        """Take in one picture; planes of different sizes are not compared.

        Args:
            reference: How likely each pixel is marked, float32 [h,w], 0 to 1.
            engine: Likewise.
        """
        if reference.shape != engine.shape or min(reference.shape) < 3:
            return
        moved = displacement_px(reference, engine)
        if moved is not None:
            self._right.append(moved[0])
            self._down.append(moved[1])
        offset = logit_offset(reference, engine)
        if offset is not None:
            self._offset.append(offset)

    def difference(self) -> SystematicDifference | None:
        """The medians over all pictures; None where none told anything."""
        if not self._right and not self._offset:
            return None
        right, down, offset = (np.array(values, np.float64) for values in (self._right, self._down, self._offset))
        return SystematicDifference(
            image_count=right.size,
            right_px=_median(right),
            right_sure=_is_sure(right),
            down_px=_median(down),
            down_sure=_is_sure(down),
            offset_count=offset.size,
            logit_offset=_median(offset),
            offset_sure=_is_sure(offset),
        )


def displacement_px(reference: Plane, engine: Plane) -> tuple[float, float] | None:
    """How far the engine's probabilities lie to the right and down of the reference's, in pixels; None if untold.

    The least-squares displacement along each axis (Lucas & Kanade, An iterative image registration technique, IJCAI
    1981) on pixels between background and polyp, on rising and on falling slopes apart. A polyp that grows or shrinks
    moves these opposite ways and counts as not displaced; else the smaller of the two counts.

    Args:
        reference: float32 [h,w], 0 to 1.
        engine: Likewise, of the same size.
    """
    width = reference.shape[1]
    at = _slope_pixels(reference, _SLOPE)
    rows, columns = np.divmod(at, width)
    at = at[(rows > 0) & (rows < reference.shape[0] - 1) & (columns > 0) & (columns < width - 1)]
    if at.size < 2 * FEWEST_PX:
        return None
    ours, theirs = engine.reshape(-1), reference.reshape(-1)
    change = ours[at].astype(np.float64) - theirs[at]
    slopes = ((theirs[at + step].astype(np.float64) - theirs[at - step]) / 2 for step in (1, width))
    right, down = (_along(slope, change) for slope in slopes)
    return right, down


def logit_offset(reference: Plane, engine: Plane) -> float | None:
    """The median difference of logits, engine minus reference, near the threshold; None if untold.

    Measured above and below 0.5 apart: an engine that is less sure moves these opposite ways and has no offset; else
    the smaller of the two counts. A threshold t in the place of 0.5 has the offset -logit(t).

    Args:
        reference: float32 [h,w], 0 to 1.
        engine: Likewise, of the same size.
    """
    at = _slope_pixels(reference, _NEAR)
    ours, theirs = _logit(engine.reshape(-1)[at]), _logit(reference.reshape(-1)[at])
    if ours.size < 2 * FEWEST_PX:
        return None
    difference = ours - theirs
    return _common(theirs > 0, theirs <= 0, lambda side: float(np.median(difference[side])))


def threshold_of(offset: float) -> float:
    """The threshold of the reference that an engine's 0.5 stands for, by the offset of its logits."""
    return 1 / (1 + math.exp(offset))


def _along(slope: Values, change: Values) -> float:
    """The displacement along one axis that explains the change of probabilities on their slope."""

    def least_squares(side: NDArray[np.bool_]) -> float:
        return -float(slope[side] @ change[side]) / float(slope[side] @ slope[side])

    return _common(slope > 0, slope < 0, least_squares)


def _slope_pixels(reference: Plane, between: tuple[float, float]) -> NDArray[np.intp]:
    """Flat positions of the pixels whose probability lies between two, evenly thinned to `MOST_PX`, intp [n]."""
    half = (between[1] - between[0]) / 2
    at = np.flatnonzero(np.abs(reference - np.float32(0.5)) < np.float32(half))
    return at[:: max(1, at.size // MOST_PX)]


def _common(one: NDArray[np.bool_], other: NDArray[np.bool_], measure: Callable[[NDArray[np.bool_]], float]) -> float:
    """The smaller of what two sides measure where both have the same sign; else 0."""
    if min(np.count_nonzero(one), np.count_nonzero(other)) < FEWEST_PX:
        return 0.0
    first, second = float(measure(one)), float(measure(other))
    return 0.0 if first * second <= 0 else min(first, second, key=abs)


def _logit(probability: Plane) -> Values:
    held = np.clip(probability.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(held / (1 - held)), np.float64)


def _median(values: Values) -> float:
    return float(np.median(values)) if values.size else 0.0


def _is_sure(values: Values) -> bool:
    """True if more images than chance brings (a sign test at 5 %) lie on the median's side of 0."""
    if not values.size:
        return False
    same = int(np.count_nonzero(np.sign(values) == np.sign(np.median(values)))) if np.median(values) else 0
    return share_interval(same, values.size).low > 0.5
