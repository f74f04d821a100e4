"""Overlap measures, per image; the mean over images is taken last (as Kvasir-SEG and its leaderboards do)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.values import Part


class ImageScore(Part):
    """The overlap of one predicted mask with its ground truth."""

    name: str
    dice: float
    iou: float


def dice_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Dice coefficient 2|A∩B| / (|A|+|B|) of two masks; empty against empty is 1.

    Args:
        predicted: uint8 [H,W]; anything above 0 is foreground.
        truth: uint8 [H,W], likewise.
    """
    intersection, total = _overlap(predicted, truth)
    return 1.0 if total == 0 else 2.0 * intersection / total


def iou_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Intersection over union (Jaccard index) of two masks; empty against empty is 1."""
    intersection, total = _overlap(predicted, truth)
    return 1.0 if total == 0 else intersection / (total - intersection)


def score_image(name: str, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> ImageScore:
    """Both measures of one image."""
    return ImageScore(name=name, dice=dice_per_image(predicted, truth), iou=iou_per_image(predicted, truth))


def _overlap(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[int, int]:
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of different shapes: {predicted.shape} and {truth.shape}")
    a, b = predicted > 0, truth > 0
    return int(np.count_nonzero(a & b)), int(np.count_nonzero(a)) + int(np.count_nonzero(b))
