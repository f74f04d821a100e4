"""The measures of a verdict that no rule judges, as sentences for the command line."""

from __future__ import annotations

from edgeseg.artifacts import CalibrationComparison, FoundRegions, SizeComparison, Verdict
from edgeseg.proof.verdict.non_inferiority import non_inferiority_in_words
from edgeseg.proof.verdict.probability_shift import shift_in_words


def measure_lines(verdict: Verdict) -> list[str]:
    """One sentence without a full stop for each measure that the verdict has."""
    lines = []
    if verdict.non_inferiority is not None:
        lines.append(non_inferiority_in_words(verdict.non_inferiority, verdict.image_count))
    shown = 0 if verdict.polyps is None else verdict.polyps.images_with_polyp
    if verdict.regions is not None and verdict.regions.regions > shown:
        lines.append(_regions_in_words(verdict.regions))
    if any(size.image_count for size in verdict.by_size):
        lines.append("; ".join(_size_in_words(size) for size in verdict.by_size if size.image_count))
    if verdict.boundary is not None:
        engine, reference = verdict.boundary.engine, verdict.boundary.reference
        lines.append(
            f"borders lie off ground truth's by {engine.mean_px:.2f} px (reference {reference.mean_px:.2f}) at the "
            f"95th percentile, {100 * engine.mean_of_diagonal:.2f} % of the diagonal "
            f"(reference {100 * reference.mean_of_diagonal:.2f} %), means over images"
        )
    if verdict.calibration is not None:
        lines.append(_calibration_in_words(verdict.calibration))
    if verdict.probability_shift is not None:
        lines.append(shift_in_words(verdict.probability_shift))
    return lines


def _regions_in_words(regions: FoundRegions) -> str:
    return (
        f"region by region: {regions.engine_found} of {regions.regions} found (reference {regions.reference_found}), "
        f"{regions.lost.count} lost, {regions.gained.count} gained"
    )


def _size_in_words(size: SizeComparison) -> str:
    assert size.mean_dice is not None and size.reference_mean_dice is not None
    plural = "" if size.image_count == 1 else "s"
    return (
        f"{size.name} polyps: Dice {size.mean_dice:.4f} (reference {size.reference_mean_dice:.4f}, "
        f"{size.image_count} image{plural}, {size.lost} lost)"
    )


def _calibration_in_words(calibration: CalibrationComparison) -> str:
    engine, reference = calibration.engine, calibration.reference
    return (
        f"expected calibration error {engine.expected_error:.4f} (reference {reference.expected_error:.4f}), "
        f"Brier score {engine.brier:.4f} (reference {reference.brier:.4f}), over pixels"
    )
