"""Combines the scores of single images: how many polyps were found, and how small and large ones fare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydantic

from edgeseg.metrics import ImageScore
from edgeseg.values import Part

FOUND_IOU = 0.5
"""The overlap from which object detection counts a thing as found (Everingham et al., The PASCAL VOC challenge, 2010).
The AP50 of polyp detectors is taken at it, too (Jha et al., Real-time polyp detection, localization and segmentation in
colonoscopy using deep learning, 2021, arXiv:2011.07631)."""
SMALL_BELOW, LARGE_ABOVE = 0.05, 0.15
"""Share of the picture. The bounds of the attributes "small object" and "large object" of SUN-SEG (Ji et al., Video
polyp segmentation: a deep learning perspective, 2022, arXiv:2203.14291), whose large objects go by their bounding box;
here both are the mask's share."""
SIZES: tuple[tuple[str, float, float], ...] = (
    ("small", 0.0, SMALL_BELOW),
    ("medium", SMALL_BELOW, LARGE_ABOVE),
    ("large", LARGE_ABOVE, 1.0),
)


class Detection(Part):
    """How many of the images that show a polyp had it found; the mask of an image counts as one thing."""

    images_with_polyp: int = pydantic.Field(ge=0)
    found: int
    """Images whose mask overlaps with an IoU of at least 0.5."""
    touched: int
    """Images whose mask overlaps at all."""
    found_share: float | None
    """None where no image shows a polyp; likewise the next."""
    touched_share: float | None


class SizeGroup(Part):
    """The images whose polyp takes a share of the picture between two bounds."""

    name: str
    above: float
    """The polyp's share is more than this in the smallest and the largest group, at least this in the one between."""
    below: float
    """Upper end of the group: below it in the smallest group, at most this in the others."""
    image_count: int
    mean_dice: float | None
    """None where there is no image; likewise the next."""
    found_share: float | None


def detection(scores: Sequence[ImageScore]) -> Detection:
    """Count the polyps that were found."""
    shown = [score for score in scores if score.polyp_share > 0]
    found = sum(score.iou >= FOUND_IOU for score in shown)
    touched = sum(score.iou > 0 for score in shown)
    return Detection(
        images_with_polyp=len(shown),
        found=found,
        touched=touched,
        found_share=found / len(shown) if shown else None,
        touched_share=touched / len(shown) if shown else None,
    )


def by_size(scores: Sequence[ImageScore]) -> tuple[SizeGroup, ...]:
    """The images by polyp size; those without a polyp are in no group."""
    return tuple(_group(scores, *size) for size in SIZES)


def _group(scores: Sequence[ImageScore], name: str, above: float, below: float) -> SizeGroup:
    members = [score for score in scores if score.polyp_share > 0 and size_name(score.polyp_share) == name]
    return SizeGroup(
        name=name,
        above=above,
        below=below,
        image_count=len(members),
        mean_dice=float(np.mean([score.dice for score in members])) if members else None,
        found_share=detection(members).found_share,
    )


def size_name(polyp_share: float) -> str:
    """The group of a polyp that takes a share of the picture."""
    if polyp_share < SMALL_BELOW:
        return "small"
    return "large" if polyp_share > LARGE_ABOVE else "medium"
