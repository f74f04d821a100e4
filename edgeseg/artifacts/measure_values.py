"""The parts of a verdict on images that say more than its mean: a test, regions, sizes, borders, calibration."""

from __future__ import annotations

import pydantic

from edgeseg.artifacts.proof_values import ConfidenceInterval
from edgeseg.values import Part


class NonInferiority(Part):
    """A one-sided test that the engine's mean Dice is not worse than the reference's by the margin or more.

    The null hypothesis is a mean drop of at least the margin (ICH E9, Statistical principles for clinical trials, 1998,
    section 3.3.2). The test is the paired bootstrap over images. The limit of the mean decides a verdict; this says how
    surely images like these hold it.
    """

    margin: float
    """The limit of the mean Dice drop."""
    alpha: float
    """The level of the one-sided test: half of what the two-sided interval leaves out."""
    upper_bound: float
    """The one-sided bound of the mean drop: the upper end of the verdict's interval."""
    p: float = pydantic.Field(ge=0, le=1)
    """The smallest level at which the test would show it; never 0, for resamples are finite."""
    shown: bool
    """True if the upper bound is below the margin."""
    images_needed: int | None
    """Images like these with which the test would show it four times in five; None where the mean drop is not below the
    margin, so that no number would."""


class PolypChange(Part):
    """The polyps that one of the two networks finds and the other does not."""

    count: int
    of: int
    """Polyps with which it could have happened."""
    names: tuple[str, ...]
    """Their images, the largest change of the IoU first; a region of several is named ``IMAGE, region 2 of 3``."""
    interval: ConfidenceInterval | None
    """Interval of the share `count / of`; None where `of` is 0."""


class FoundRegions(Part):
    """The polyps that each network finds, where each connected region of ground truth is a polyp of its own."""

    found_iou: float
    """The IoU from which a region counts as found; see `edgeseg.proof.verdict.regions.region_ious`."""
    regions: int
    reference_found: int
    engine_found: int
    lost: PolypChange
    """Found by the reference, not by the engine."""
    gained: PolypChange
    """Found by the engine, not by the reference."""


class SizeComparison(Part):
    """Both networks on the images whose polyp takes a share of the picture between two bounds."""

    name: str
    above: float
    """The polyp's share is more than this in the smallest and the largest group, at least this in the one between."""
    below: float
    """Upper end of the group: below it in the smallest group, at most this in the others."""
    image_count: int
    mean_dice: float | None
    """The engine's; None where there is no image, as are all that follow."""
    reference_mean_dice: float | None
    mean_dice_drop: float | None
    drop_interval: ConfidenceInterval | None
    """Interval of the mean drop."""
    lost: int
    """Images whose polyp the reference finds and the engine loses."""
    reference_found: int


class BoundaryError(Part):
    """How far a network's borders lie from those of ground truth, over the images that show a polyp.

    The distance of an image is the 95th percentile Hausdorff distance (`edgeseg.boundary.hausdorff_95_px`); a polyp of
    which nothing is marked counts with the picture's diagonal.
    """

    mean_px: float
    median_px: float
    mean_of_diagonal: float
    """Mean of the distance as a share of the picture's diagonal, which pictures of several sizes have in common."""


class BoundaryComparison(Part):
    """The boundary errors of both networks on the same images."""

    image_count: int
    engine: BoundaryError
    reference: BoundaryError


class CalibrationError(Part):
    """How far a network's probabilities can be taken at their word, over the pixels of all images.

    Pixels are counted at the size of the network's output; of the 15 bins of the expected calibration error each is as
    wide as the others (Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; Guo et
    al., On calibration of modern neural networks, 2017, arXiv:1706.04599).
    """

    expected_error: float
    """Mean over pixels of |mean probability - share of polyp| of the pixel's bin."""
    brier: float
    """Mean squared difference of probability and truth (Brier, 1950)."""


class CalibrationComparison(Part):
    """The calibration of both networks' probabilities; no limit judges it."""

    bins: int
    engine: CalibrationError
    reference: CalibrationError


class SystematicDifference(Part):
    """Differences between two networks that are the same on every image, as medians over images.

    `edgeseg.proof.verdict.systematic` measures them, where both networks' outputs have the same size.
    """

    image_count: int
    """Images from which a displacement could be told."""
    right_px: float
    """How far the engine's probabilities lie to the right of the reference's, in pixels of the network's output."""
    right_sure: bool
    """True if more images agree on the direction than chance brings (a sign test at 5 %)."""
    down_px: float
    down_sure: bool
    offset_count: int
    """Images from which an offset could be told."""
    logit_offset: float
    """Engine minus reference near the threshold; a threshold t in the place of 0.5 has the offset -logit(t)."""
    offset_sure: bool
