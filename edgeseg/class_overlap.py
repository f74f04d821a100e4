"""Dice and IoU of several classes, image by image and class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.values import Part

Overlap = tuple[float, float]
"""Dice and IoU."""


class ClassScore(Part):
    """The figures of one class over the images that show it or on which it is marked."""

    name: str
    image_count: int
    mean_dice: float | None
    """None where no image shows it or has it marked; likewise the next."""
    mean_iou: float | None


def class_overlaps(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> tuple[Overlap | None, ...]:
    """Dice and IoU of every class but the background.

    Args:
        predicted: uint8 [H,W] of class indices.
        truth: uint8 [H,W], likewise.
        classes: Number of classes, with the background.

    Returns:
        One entry for each class from 1 on; None where neither mask has it.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of different shapes: {predicted.shape} and {truth.shape}")
    counts = np.bincount(truth.ravel().astype(np.intp) * classes + predicted.ravel(), minlength=classes * classes)
    confusion = counts.reshape(classes, classes)  # rows are ground truth, columns what was predicted
    overlaps: list[Overlap | None] = []
    for index in range(1, classes):
        both = int(confusion[index, index])
        total = int(confusion[index].sum() + confusion[:, index].sum())
        overlaps.append((2 * both / total, both / (total - both)) if total else None)
    return tuple(overlaps)


def mean_overlap(overlaps: Sequence[Overlap | None]) -> Overlap:
    """Mean Dice and IoU over the classes that an image shows or has marked; 1 where there are none."""
    present = [overlap for overlap in overlaps if overlap is not None]
    if not present:
        return 1.0, 1.0
    return sum(dice for dice, _ in present) / len(present), sum(iou for _, iou in present) / len(present)


def class_scores(names: Sequence[str], overlaps: Sequence[Sequence[Overlap | None]]) -> tuple[ClassScore, ...]:
    """The means of each class over the images.

    Args:
        names: Names of all classes, the background first.
        overlaps: One row of `class_overlaps` for each image.
    """
    scores = []
    for index, name in enumerate(names[1:]):
        present = [overlap for row in overlaps if (overlap := row[index]) is not None]
        dice = sum(one for one, _ in present) / len(present) if present else None
        iou = sum(one for _, one in present) / len(present) if present else None
        scores.append(ClassScore(name=name, image_count=len(present), mean_dice=dice, mean_iou=iou))
    return tuple(scores)
