"""Tests whether an engine is not worse than its reference by a margin, and how many images that takes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import NonInferiority
from edgeseg.proof.verdict.bootstrap import bootstrap_interval, level_of_tail, resampled_means

LEVEL = 0.95
"""The two-sided interval whose upper end is the one-sided bound. ICH E9, section 5.5, sets the one-sided level to half
of the two-sided one: 0.025."""
POWER = 0.8
"""How often the number of images that is told would show it; ICH E9, section 3.5, asks for 0.8 or more."""
MIN_IMAGES = 6
"""The smallest number of pairs on which a paired sign test can reach 5 % at all (2 * 2^-6 = 3.1 %)."""


def non_inferiority(drops: NDArray[np.float64], margin: float) -> NonInferiority:
    """Test that the mean drop is below a margin, by the paired bootstrap.

    Args:
        drops: float64 [N], reference minus engine of each image; at least one.
        margin: The largest mean drop that may be; below 0 it demands a gain.

    Raises:
        ValueError: No drops.
    """
    interval, means = bootstrap_interval(drops, LEVEL), resampled_means(drops)
    beyond = float((1 + np.count_nonzero(means >= margin)) / (2 + means.size))
    return NonInferiority(
        margin=margin,
        alpha=(1 - LEVEL) / 2,
        upper_bound=interval.high,
        p=level_of_tail(beyond, drops.size),
        shown=interval.high < margin,
        images_needed=images_needed(float(drops.mean()), float(drops.std(ddof=1)) if drops.size > 1 else 0.0, margin),
    )


def images_needed(mean_drop: float, sd: float, margin: float, power: float = POWER) -> int | None:
    """The number of images with which the one-sided test at 0.025 would show a drop below the margin.

    The normal approximation n = ((z(1 - alpha) + z(power)) * sd / (margin - mean))^2 for a paired difference (Julious,
    Sample sizes for clinical trials with normal data, Statistics in Medicine 23, 2004).

    Args:
        mean_drop: The mean drop to expect.
        sd: The standard deviation of the drops of single images.
        margin: The largest mean drop that may be.
        power: How often it shall be shown.

    Returns:
        At least 6; None where the mean is not below the margin.
    """
    room = margin - mean_drop
    if room <= 0:
        return None
    normal = NormalDist()
    steps = normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(power)
    return max(MIN_IMAGES, math.ceil((steps * sd / room) ** 2))


def non_inferiority_in_words(test: NonInferiority, images: int) -> str:
    """The test as one sentence without a full stop.

    Args:
        test: Its result.
        images: How many images were tested.
    """
    what = f"a drop below {test.margin:g}" if test.margin >= 0 else f"a gain above {-test.margin:g}"
    words = (
        f"non-inferiority ({what}) is {'shown' if test.shown else 'not shown'}: upper bound of the mean drop "
        f"{test.upper_bound:+.4f}, p {test.p:.4f}, one-sided paired bootstrap at {test.alpha:g}, {images} images"
    )
    if test.shown:
        return words
    if test.images_needed is None:
        return f"{words}; with this mean no number of images would show it"
    return f"{words}; about {max(test.images_needed, images + 1)} images like these would show it 4 times in 5"
