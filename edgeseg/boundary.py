"""How far two masks' borders lie apart, in pixels: Hausdorff distance and surface Dice.

The border of a mask is its pixels that have a pixel outside the mask among their four neighbours; the picture's edge
counts as outside. Distances are exact Euclidean distances between pixel centres. MONAI's metrics mean the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
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
    return distances_to_truth([predicted], truth)[0]


def distances_to_truth(predicted: Sequence[NDArray[np.uint8]], truth: NDArray[np.uint8]) -> list[BorderDistances]:
    """Measure the borders of several masks against those of one ground truth.

    Args:
        predicted: uint8 [H,W] each; anything above 0 is foreground.
        truth: uint8 [H,W], likewise.

    Raises:
        ValueError: Masks of different shapes.
    """
    for mask in predicted:
        if mask.shape != truth.shape:
            raise ValueError(f"masks of different shapes: {mask.shape} and {truth.shape}")
    worst_px = math.hypot(*truth.shape)
    true_border, *borders = (border(mask) for mask in _cropped([truth, *predicted]))
    to_truth = _nearest(true_border)
    return [
        BorderDistances(_picked(to_truth, each), _picked(_nearest(each), true_border), worst_px) for each in borders
    ]


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


def _cropped(masks: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """The masks as 0 and 1, cut to the rows and columns that any marks: what lies outside changes no distance."""
    left, top, width, height = cv2.boundingRect(functools.reduce(np.bitwise_or, masks))
    window = slice(top, top + max(1, height)), slice(left, left + max(1, width))
    return [np.ascontiguousarray(mask[window] > 0).view(np.uint8) for mask in masks]


def _nearest(to_border: NDArray[np.bool_]) -> Distances | None:
    """The distance of every pixel to the nearest border pixel, float32 [H,W]; None where there is no border."""
    if not to_border.any():
        return None
    elsewhere = (~to_border).view(np.uint8)
    nearest: Any = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(nearest, np.float32)


def _picked(distances: Distances | None, from_border: NDArray[np.bool_]) -> Distances:
    if distances is None:
        return np.zeros(np.count_nonzero(from_border), np.float32)
    return np.asarray(distances[from_border], np.float32)
