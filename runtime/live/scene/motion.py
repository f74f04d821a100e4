"""How the picture moved as a whole from one frame to the next: a translation, by phase correlation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask


@dataclass(frozen=True)
class Motion:
    """A translation and how sure it is."""

    right: float
    """Motion of the content to the right, as a fraction of the picture's width."""
    down: float
    """Motion downwards, as a fraction of the picture's height."""
    response: float
    """Height of the correlation peak, 0 to 1: near 1 for a pure shift, below 0.1 for another picture."""


STILL = Motion(0.0, 0.0, 1.0)


def estimate_motion(before: Mask, after: Mask) -> Motion:
    """The translation that brings one luma plane onto the next.

    Kuglin & Hines, The phase correlation image alignment method, IEEE Conf. Cybernetics and Society, 1975, with
    OpenCV's sub-pixel centroid and a Hann window.

    Args:
        before: uint8 [h,w].
        after: uint8 [h,w].
    """
    rows, columns = before.shape
    first, second = before.astype(np.float32), after.astype(np.float32)
    if np.array_equal(before, after):
        return STILL
    (right, down), response = cv2.phaseCorrelate(first, second, _window(columns, rows))
    return Motion(right / columns, down / rows, float(np.clip(response, 0, 1)))


def moved(plane: Any, motion: Motion) -> Any:
    """A plane [h,w] with its content moved; float is interpolated, uint8 takes the nearest; edges are repeated."""
    rows, columns = plane.shape
    shift = np.array([[1, 0, motion.right * columns], [0, 1, motion.down * rows]], np.float32)
    how = cv2.INTER_NEAREST if plane.dtype == np.uint8 else cv2.INTER_LINEAR
    return cv2.warpAffine(plane, shift, (columns, rows), flags=how, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=4)
def _window(columns: int, rows: int) -> NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow((columns, rows), cv2.CV_32F), dtype=np.float32)
