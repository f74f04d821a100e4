"""Scores one predicted mask against its ground truth; means over images are taken last, as Kvasir-SEG does.

One convention for empty masks holds for every measure: both empty is the best value there is, one empty the worst.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.boundary import border_distances, hausdorff_95_px, surface_dice
from edgeseg.class_overlap import Overlap, class_overlaps, mean_overlap
from edgeseg.values import Part

TOLERANCE_PX = 2.0
"""Default tolerance of the surface Dice."""


class ImageScore(Part):
    """One predicted mask against its ground truth, at the image's own size.

    With several classes Dice and IoU are means over the classes that the image shows or has marked; every other figure
    is that of all classes but the background together.
    """

    name: str
    dice: float
    iou: float
    sensitivity: float
    """Share of the polyp's pixels that the mask marks."""
    precision: float
    """Share of the mask's pixels that lie on the polyp."""
    hd95_px: float
    """95th percentile Hausdorff distance; the picture's diagonal where one of the masks is empty."""
    surface_dice: float
    """Share of both borders within the tolerance."""
    polyp_share: float
    """Share of the picture that shows a polyp, by ground truth; 0 where there is nothing to find."""
    mask_share: float
    """Share of the picture that the network marks."""
    by_class: tuple[Overlap | None, ...] = ()
    """Dice and IoU of each class but the background, None where it is neither shown nor marked; empty for one class."""


def dice_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Dice coefficient 2|A∩B| / (|A|+|B|) of two masks; empty against empty is 1.

    Args:
        predicted: uint8 [H,W]; anything above 0 is foreground.
        truth: uint8 [H,W], likewise.
    """
    both, marked, true = _areas(predicted, truth)
    return 1.0 if marked + true == 0 else 2.0 * both / (marked + true)


def iou_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Intersection over union (Jaccard index) of two masks; empty against empty is 1."""
    both, marked, true = _areas(predicted, truth)
    return 1.0 if marked + true == 0 else both / (marked + true - both)


def sensitivity_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Share of the true pixels that are marked (recall); 1 where both masks are empty, 0 where one is."""
    both, marked, true = _areas(predicted, truth)
    return 1.0 if marked + true == 0 else both / max(true, 1)


def precision_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Share of the marked pixels that are true; 1 where both masks are empty, 0 where one is."""
    both, marked, true = _areas(predicted, truth)
    return 1.0 if marked + true == 0 else both / max(marked, 1)


def score_image(
    name: str,
    predicted: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    tolerance_px: float = TOLERANCE_PX,
    classes: int = 1,
) -> ImageScore:
    """Every measure of one image.

    Args:
        name: The image's name.
        predicted: uint8 [H,W]; anything above 0 is foreground; with several classes their indices.
        truth: uint8 [H,W], likewise.
        tolerance_px: Tolerance of the surface Dice.
        classes: Number of classes with the background, or 1.
    """
    distances = border_distances(predicted, truth)
    by_class = class_overlaps(predicted, truth, classes) if classes > 1 else ()
    dice, iou = overlap_per_image(predicted, truth, classes)
    return ImageScore(
        name=name,
        dice=dice,
        iou=iou,
        sensitivity=sensitivity_per_image(predicted, truth),
        precision=precision_per_image(predicted, truth),
        hd95_px=hausdorff_95_px(distances),
        surface_dice=surface_dice(distances, tolerance_px),
        polyp_share=marked_share(truth),
        mask_share=marked_share(predicted),
        by_class=by_class,
    )


def overlap_per_image(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int = 1) -> Overlap:
    """Dice and IoU of two masks; with several classes the means over those that one of the masks has.

    Args:
        predicted: uint8 [H,W]; anything above 0 is foreground; with several classes their indices.
        truth: uint8 [H,W], likewise.
        classes: Number of classes with the background, or 1.
    """
    if classes > 1:
        return mean_overlap(class_overlaps(predicted, truth, classes))
    return dice_per_image(predicted, truth), iou_per_image(predicted, truth)


def marked_share(mask: NDArray[np.uint8]) -> float:
    """Share of a picture that its mask marks, 0 to 1."""
    return int(np.count_nonzero(mask)) / mask.size


def _areas(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Pixels that both mark, that are marked, that are true."""
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of different shapes: {predicted.shape} and {truth.shape}")
    a, b = predicted > 0, truth > 0
    return int(np.count_nonzero(a & b)), int(np.count_nonzero(a)), int(np.count_nonzero(b))
