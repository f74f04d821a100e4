"""Names the polyps that a reference finds and its engine loses, image by image; a mean hides them."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.artifacts import FoundPolyps, PolypChange, VerdictRow
from edgeseg.proof.verdict.detection import FOUND_IOU
from edgeseg.proof.verdict.proportion import share_interval


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
        lost=_change(lost, len(by_reference)),
        gained=_change(gained, len(missed)),
    )


def reference_finds(row: VerdictRow) -> bool:
    """Tell whether the reference finds the polyp of an image that shows one."""
    return row.reference_iou is not None and row.reference_iou >= FOUND_IOU


def engine_finds(row: VerdictRow) -> bool:
    """Tell whether the engine finds the polyp of an image that shows one."""
    return row.iou >= FOUND_IOU


def _change(rows: Sequence[VerdictRow], of: int) -> PolypChange:
    ordered = sorted(rows, key=lambda row: (-abs((row.reference_iou or 0) - row.iou), row.name))
    return PolypChange(
        count=len(rows),
        of=of,
        names=tuple(row.name for row in ordered),
        interval=share_interval(len(rows), of) if of else None,
    )
