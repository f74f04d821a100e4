"""Names the polyps that a reference finds and its engine loses, image by image; a mean hides them."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.artifacts import FoundPolyps, VerdictRow
from edgeseg.proof.verdict.detection import FOUND_IOU
from edgeseg.proof.verdict.regions import change, found_regions


def found_polyps(rows: Sequence[VerdictRow]) -> FoundPolyps:
    """Count the polyps that each network finds, and name those that only one of them does.

    An image shows a polyp where ground truth marks anything; a network finds it where its mask overlaps ground truth
    with an IoU of at least 0.5 (`detection.FOUND_IOU` names the sources of that rule). An image on which the engine's
    probabilities are not finite is one on which it finds nothing.

    Args:
        rows: The rows of one comparison; each has its reference's IoU.
    """
    shown = [row for row in rows if row.foreground > 0]
    by_reference = [row for row in shown if reference_finds(row)]
    missed = [row for row in shown if not reference_finds(row)]
    lost = [row for row in by_reference if not engine_finds(row)]
    gained = [row for row in missed if engine_finds(row)]
    return FoundPolyps(
        found_iou=FOUND_IOU,
        images_with_polyp=len(shown),
        reference_found=len(by_reference),
        engine_found=len(by_reference) - len(lost) + len(gained),
        lost=change(_ious(lost), len(by_reference)),
        gained=change(_ious(gained), len(missed)),
    )


def lost_count(rows: Sequence[VerdictRow]) -> int:
    """The polyps that count against `--max-lost-polyps`: those lost by image or those lost by region, if more."""
    return max(found_polyps(rows).lost.count, found_regions(rows).lost.count)


def reference_finds(row: VerdictRow) -> bool:
    """Tell whether the reference finds the polyp of an image that shows one."""
    return row.reference_iou is not None and row.reference_iou >= FOUND_IOU


def engine_finds(row: VerdictRow) -> bool:
    """Tell whether the engine finds the polyp of an image that shows one."""
    return row.iou >= FOUND_IOU


def _ious(rows: Sequence[VerdictRow]) -> list[tuple[str, float, float]]:
    return [(row.name, row.reference_iou or 0, row.iou) for row in rows]
