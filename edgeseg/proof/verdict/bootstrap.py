"""How far the mean of a few images can be trusted: the expanded percentile bootstrap."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ConfidenceInterval
from edgeseg.proof.verdict.student_t import t_cdf, t_quantile

RESAMPLES = 10_000
SEED = 1993
_BLOCK_VALUES = 2_000_000
"""Values drawn at a time, so that memory does not grow with the number of images."""


def bootstrap_interval(
    values: NDArray[np.float64], level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> ConfidenceInterval:
    """The expanded percentile bootstrap interval of the mean.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13, with the percentiles that Hesterberg gives
    for few values (What teachers should know about the bootstrap, The American Statistician 69, 2015, section 5.3):
    plain ones are too narrow, as intervals by the normal in the place of Student's t are.

    Handed the per-image differences of two networks, this is the paired bootstrap over images: each resample draws
    images with replacement and takes both networks' scores of the same image.

    Args:
        values: float64 [N], one value an image.
        level: Share of such intervals that is to hold the true mean; docs/results.md has what it is found to be.
        resamples: How many resamples.
        seed: The generator's seed; the same values give the same interval.

    Raises:
        ValueError: No values.
    """
    means = resampled_means(values, resamples, seed)
    tail = expanded_tail((1 - level) / 2, values.size)
    low, high = np.quantile(means, [tail, 1 - tail])
    return ConfidenceInterval(low=float(low), high=float(high), level=level)


def expanded_tail(tail: float, count: int) -> float:
    """The share of resampled means to leave out for a tail of Student's t, with the n / (n - 1) that they lack."""
    if count < 2:
        return tail
    return NormalDist().cdf(math.sqrt(count / (count - 1)) * t_quantile(tail, count - 1))


def level_of_tail(share: float, count: int) -> float:
    """The tail for which `expanded_tail` leaves out a share of the resampled means."""
    if count < 2:
        return share
    return t_cdf(math.sqrt((count - 1) / count) * NormalDist().inv_cdf(share), count - 1)


def resampled_means(values: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """The means of resamples with replacement, float64 [resamples].

    Args:
        values: float64 [N], one value an image.
        resamples: How many resamples.
        seed: The generator's seed.

    Raises:
        ValueError: No values.
    """
    if values.size == 0:
        raise ValueError("the bootstrap needs at least one value")
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_VALUES // values.size)
    return np.concatenate(
        [
            values[generator.integers(0, values.size, (min(block, resamples - start), values.size))].mean(axis=1)
            for start in range(0, resamples, block)
        ]
    )
