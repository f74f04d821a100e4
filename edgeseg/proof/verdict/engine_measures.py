"""Sums up the rows of a comparison by polyp size and by the distance of borders; no rule judges these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.artifacts import BoundaryComparison, BoundaryError, SizeComparison, VerdictRow
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.detection import SIZES, size_name
from edgeseg.proof.verdict.lost_polyps import found_polyps


def compare_by_size(rows: Sequence[VerdictRow]) -> tuple[SizeComparison, ...]:
    """Both networks on small, medium and large polyps, by the bounds of SUN-SEG (`detection.SIZES`).

    Images without a polyp are in no group.
    """
    return tuple(_size(rows, *size) for size in SIZES)


def boundary_comparison(rows: Sequence[VerdictRow]) -> BoundaryComparison | None:
    """The boundary errors of both networks over the images that show a polyp; None where none does."""
    shown = [row for row in rows if row.foreground > 0]
    if not shown:
        return None
    diagonals = [row.diagonal_px for row in shown]
    engine, reference = (
        _boundary([getattr(row, field) for row in shown], diagonals) for field in ("hd95_px", "reference_hd95_px")
    )
    return BoundaryComparison(image_count=len(shown), engine=engine, reference=reference)


def _size(rows: Sequence[VerdictRow], name: str, above: float, below: float) -> SizeComparison:
    members = [row for row in rows if row.foreground > 0 and size_name(row.foreground) == name]
    polyps = found_polyps(members)
    drops = np.array([row.drop for row in members], np.float64)
    return SizeComparison(
        name=name,
        above=above,
        below=below,
        image_count=len(members),
        mean_dice=float(np.mean([row.dice for row in members])) if members else None,
        reference_mean_dice=float(np.mean([row.reference_dice for row in members])) if members else None,
        mean_dice_drop=float(drops.mean()) if members else None,
        drop_interval=bootstrap_interval(drops) if members else None,
        lost=polyps.lost.count,
        reference_found=polyps.reference_found,
    )


def _boundary(distances_px: Sequence[float], diagonals_px: Sequence[float | None]) -> BoundaryError:
    distances = np.array(distances_px, np.float64)
    return BoundaryError(
        mean_px=float(distances.mean()),
        median_px=float(np.median(distances)),
        mean_of_diagonal=float(np.mean(distances / np.array(diagonals_px, np.float64))),
    )
