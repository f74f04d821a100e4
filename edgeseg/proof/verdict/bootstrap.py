"""How far the mean of a few images can be trusted: the percentile bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ConfidenceInterval

RESAMPLES = 10_000
SEED = 1993
_BLOCK_VALUES = 2_000_000
"""Values drawn at a time, so that memory does not grow with the number of images."""


def bootstrap_interval(
    values: NDArray[np.float64], level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> ConfidenceInterval:
    """The percentile bootstrap interval of the mean.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Handed the per-image differences of
    two networks, this is the paired bootstrap over images: each resample draws images with replacement and takes
    both networks' scores of the same image.

    Args:
        values: float64 [N], one value an image.
        level: Share of the resampled means inside the interval.
        resamples: How many resamples.
        seed: The generator's seed; the same values give the same interval.

    Raises:
        ValueError: No values.
    """
    means = resampled_means(values, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return ConfidenceInterval(low=float(low), high=float(high), level=level)


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
