"""How far two masks' borders lie apart, in pixels: Hausdorff distance and surface Dice.

The border of a mask is its pixels that have a pixel outside the mask among their four neighbours; the picture's edge
counts as outside. Distances are exact Euclidean distances between pixel centres. MONAI's metrics mean the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float32]
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True)
class BorderDistances:
    """Distances from each border pixel of one mask to the nearest border pixel of the other, both ways.

    An empty mask has no border pixels; what the other mask's values are then means nothing.
    """

    predicted_to_truth: Distances
    """float32 [border pixels of the prediction]."""
    truth_to_predicted: Distances
    """float32 [border pixels of the ground truth]."""
    worst_px: float
    """The picture's diagonal: no two pixels lie farther apart."""

    @property
    def one_is_empty(self) -> bool:
        """True if exactly one of the masks marks nothing."""
        return (self.predicted_to_truth.size == 0) != (self.truth_to_predicted.size == 0)


def border_distances(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> BorderDistances:
    """Measure the borders of two masks against each other.

    Args:
        predicted: uint8 [H,W]; anything above 0 is foreground.
        truth: uint8 [H,W], likewise.

    Raises:
        ValueError: Masks of different shapes.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of different shapes: {predicted.shape} and {truth.shape}")
    worst_px = math.hypot(*predicted.shape)
    a, b = _cropped((predicted > 0).astype(np.uint8), (truth > 0).astype(np.uint8))
    border_a, border_b = border(a), border(b)
    return BorderDistances(_distances(border_a, border_b), _distances(border_b, border_a), worst_px)


def border(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The border pixels of a mask of 0 and 1, bool [H,W]."""
    inner: Any = cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray((mask > 0) & (inner == 0))


def hausdorff_95_px(distances: BorderDistances) -> float:
    """The 95th percentile Hausdorff distance: the larger of the two directions' 95th percentiles, in pixels.

    0 where both masks are empty, the picture's diagonal where one is: a missed polyp must not improve a mean
    (Maier-Hein et al., Metrics reloaded, Nature Methods 2024, on missing values).
    """
    if distances.one_is_empty:
        return distances.worst_px
    ways = (distances.predicted_to_truth, distances.truth_to_predicted)
    return max((float(np.percentile(way, 95)) for way in ways if way.size), default=0.0)


def surface_dice(distances: BorderDistances, tolerance_px: float) -> float:
    """Share of both borders' pixels that lie within a tolerance of the other border.

    Nikolov et al., Deep learning to achieve clinically applicable segmentation of head and neck anatomy, 2018
    (arXiv:1809.04430), on pixels. 1 where both masks are empty, 0 where one is.
    """
    ways = (distances.predicted_to_truth, distances.truth_to_predicted)
    total = sum(way.size for way in ways)
    if total == 0:
        return 1.0
    if distances.one_is_empty:
        return 0.0
    return sum(int(np.count_nonzero(way <= tolerance_px)) for way in ways) / total


def _cropped(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both masks cut to the rows and columns that either marks: what lies outside changes no distance."""
    left, top, width, height = cv2.boundingRect(a | b)
    window = slice(top, top + max(1, height)), slice(left, left + max(1, width))
    return np.ascontiguousarray(a[window]), np.ascontiguousarray(b[window])


def _distances(from_border: NDArray[np.bool_], to_border: NDArray[np.bool_]) -> Distances:
    if not to_border.any():
        return np.zeros(np.count_nonzero(from_border), np.float32)
    elsewhere = (~to_border).astype(np.uint8)
    nearest: Any = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(nearest[from_border], np.float32)
