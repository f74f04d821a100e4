"""Scores one image under both networks."""

from __future__ import annotations

import math

import numpy as np

from edgeseg.artifacts import VerdictRow
from edgeseg.boundary import distances_to_truth, hausdorff_95_px
from edgeseg.frames import Mask
from edgeseg.metrics import marked_share, overlap_per_image
from edgeseg.proof.verdict.regions import ious_of_regions


def verdict_row(name: str, truth: Mask, reference_mask: Mask, mask: Mask | None, classes: int) -> VerdictRow:
    """The row of one image.

    Args:
        name: The image's name.
        truth: uint8 [H,W]; anything above 0 is foreground; with several classes their indices.
        reference_mask: The reference's mask, likewise.
        mask: The engine's, likewise; None where its probabilities are not finite, which scores 0.
        classes: Number of classes with the background, or 1.
    """
    reference_dice, reference_iou = overlap_per_image(reference_mask, truth, classes)
    masks = [reference_mask, np.zeros_like(truth) if mask is None else mask]
    regions, engine_regions = ious_of_regions(masks, truth, classes)
    borders, engine_borders = (hausdorff_95_px(distances) for distances in distances_to_truth(masks, truth))
    diagonal_px = math.hypot(*truth.shape)
    dice, iou = (0.0, 0.0) if mask is None else overlap_per_image(mask, truth, classes)
    return VerdictRow(
        name=name,
        dice=dice,
        reference_dice=reference_dice,
        drop=reference_dice - dice,
        agreement=0.0 if mask is None else overlap_per_image(mask, reference_mask, classes)[0],
        iou=iou,
        reference_iou=reference_iou,
        foreground=marked_share(truth),
        marked=None if mask is None else marked_share(mask),
        reference_marked=marked_share(reference_mask),
        flipped_share=None if mask is None else int(np.count_nonzero(mask != reference_mask)) / mask.size,
        region_ious=engine_regions,
        reference_region_ious=regions,
        hd95_px=diagonal_px if mask is None else engine_borders,
        reference_hd95_px=borders,
        diagonal_px=diagonal_px,
        finite=mask is not None,
    )
