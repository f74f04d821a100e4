"""Finds polyps region by region, so that a second polyp that is lost on an image counts, too."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import FoundRegions, PolypChange, VerdictRow
from edgeseg.frames import Mask
from edgeseg.proof.verdict.detection import FOUND_IOU
from edgeseg.proof.verdict.proportion import share_interval

SMALLEST_SHARE = 0.001
"""Share of the picture from which a region of ground truth is a polyp of its own, as a mark is in the events of `live`.
Smaller ones are flecks at a border, unless an image shows nothing larger."""

Labels = NDArray[np.int32]


def ious_of_regions(masks: Sequence[Mask], truth: Mask, classes: int = 1) -> list[tuple[float, ...]]:
    """The IoU of each region of ground truth under several masks; see `region_ious`.

    Args:
        masks: uint8 [H,W] each; anything above 0 is marked; with several classes their indices.
        truth: uint8 [H,W], likewise.
        classes: Number of classes with the background, or 1; with several each class has regions of its own.

    Returns:
        For each mask a figure for each region, in the same order.
    """
    ious: list[tuple[float, ...]] = [() for _ in masks]
    for label in range(1, max(2, classes)):
        shown = [mask > 0 if classes == 1 else mask == label for mask in (truth, *masks)]
        regions, count = labelled_regions(shown[0])
        ious = [found + region_ious(mask, regions, count) for found, mask in zip(ious, shown[1:], strict=True)]
    return ious


def labelled_regions(truth: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Number the regions of ground truth, the largest first.

    Regions are connected over edges and corners. Flecks beside larger regions have the number after the last.

    Args:
        truth: bool [H,W], true on polyps.

    Returns:
        int32 [H,W]: 0 outside, 1 to n in the regions, n + 1 in flecks; and n.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(truth.view(np.uint8))
    if count <= 2:
        return np.asarray(labels, np.int32), count - 1
    areas = stats[1:count, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    kept = max(1, int(np.count_nonzero(areas >= SMALLEST_SHARE * truth.size)))
    number = np.zeros(count, np.int32)
    number[1 + order] = np.minimum(np.arange(len(order)), kept) + 1
    return np.asarray(number[labels], np.int32), kept


def region_ious(predicted: NDArray[np.bool_], regions: Labels, count: int) -> tuple[float, ...]:
    """The IoU of each region of ground truth with what is marked on it.

    What is marked on a region is all connected regions of the prediction that touch it, without their pixels on other
    regions of ground truth: a mark in two pieces finds the polyp that both lie on, and one mark over two polyps is held
    against each of them by its pixels on neither.

    Args:
        predicted: bool [H,W], true where marked.
        regions: int32 [H,W] of `labelled_regions`.
        count: How many regions are polyps.

    Returns:
        0 to 1 for each region; 0 where nothing touches it.
    """
    if not count:
        return ()
    pieces, labels = cv2.connectedComponents(predicted.view(np.uint8))
    rows = count + 2
    codes = (regions * pieces + labels).reshape(-1)
    shared = np.bincount(codes[codes > 0], minlength=rows * pieces).reshape(rows, pieces)
    on_region, outside = shared[1 : count + 1, 1:], shared[0, 1:]
    both = on_region.sum(axis=1)
    union = shared[1 : count + 1].sum(axis=1) + ((on_region > 0) * outside).sum(axis=1)
    return tuple((both / union).tolist())


def found_regions(rows: Sequence[VerdictRow]) -> FoundRegions:
    """Count the regions that each network finds at an IoU of at least 0.5, and name those that only one of them does.

    Args:
        rows: The rows of one comparison; each has the IoU of its regions.
    """
    pairs = [
        (_name(row.name, place, len(row.region_ious)), reference, engine)
        for row in rows
        for place, (reference, engine) in enumerate(zip(row.reference_region_ious, row.region_ious, strict=True), 1)
    ]
    by_reference = [pair for pair in pairs if pair[1] >= FOUND_IOU]
    missed = [pair for pair in pairs if pair[1] < FOUND_IOU]
    lost = [pair for pair in by_reference if pair[2] < FOUND_IOU]
    gained = [pair for pair in missed if pair[2] >= FOUND_IOU]
    return FoundRegions(
        found_iou=FOUND_IOU,
        regions=len(pairs),
        reference_found=len(by_reference),
        engine_found=len(by_reference) - len(lost) + len(gained),
        lost=change(lost, len(by_reference)),
        gained=change(gained, len(missed)),
    )


def change(polyps: Sequence[tuple[str, float, float]], of: int) -> PolypChange:
    """The polyps that changed, the largest change first.

    Args:
        polyps: Name, reference's IoU and engine's IoU of each.
        of: How many could have changed.
    """
    ordered = sorted(polyps, key=lambda polyp: (-abs(polyp[1] - polyp[2]), polyp[0]))
    return PolypChange(
        count=len(polyps),
        of=of,
        names=tuple(name for name, _, _ in ordered),
        interval=share_interval(len(polyps), of) if of else None,
    )


def _name(image: str, place: int, regions: int) -> str:
    return image if regions == 1 else f"{image}, region {place} of {regions}"
