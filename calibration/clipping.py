"""The magnitude at which a distribution of activations is best clipped, found on its histogram.

Each function takes counts in equal bins from zero to the largest magnitude, and gives the magnitude that maps to 127.
"""

from __future__ import annotations

import numpy as np

from edgeseg.calibration.histogram import Counts

LEVELS = 127
CLIPS = 200
"""Clips that are tried for the least mean squared error, evenly spread."""
SMALLEST_CLIP = 1 / 16
"""The smallest of them, as a share of the largest magnitude."""
PERCENTILE = 99.99
"""Per cent of the magnitudes that are not clipped (Wu et al., 2020, arXiv:2004.09602, table 5)."""

MOST_CLIPPED = 0.01
"""Share of the values that the entropy method may clip."""
_EMPTY = 1e-4
"""Counts of a level in which nothing but outliers lies, so that the divergence stays finite."""


def percentile_clip(counts: Counts, largest: float, percentile: float = PERCENTILE) -> float:
    """Return the upper edge of the bin below which a percentile of the magnitudes lies.

    Args:
        counts: float64 [bins].
        largest: The largest magnitude, where the last bin ends.
        percentile: In per cent.
    """
    below = np.cumsum(counts)
    index = int(np.searchsorted(below, percentile / 100.0 * below[-1]))
    return largest * min(index + 1, len(counts)) / len(counts)


def mse_clip(counts: Counts, largest: float) -> float:
    """Return the clip at which rounding to 127 levels and clipping together make the least mean squared error.

    Args:
        counts: float64 [bins]; what lies in a bin counts as its centre.
        largest: The largest magnitude, where the last bin ends.
    """
    used = np.flatnonzero(counts)
    centres, weights = (used.astype(np.float64) + 0.5) * (largest / len(counts)), counts[used]
    clips = largest * np.linspace(SMALLEST_CLIP, 1.0, CLIPS)
    errors = [float(weights @ (centres - _rounded(centres, clip)) ** 2) for clip in clips]
    return float(clips[int(np.argmin(errors))])


def entropy_clip(counts: Counts, largest: float) -> float:
    """Return the clip whose 128 levels keep most of the distribution's information.

    For every number of bins from 128 on, the reference distribution is the histogram up to there, with all that lies
    beyond in the last bin; the candidate is the same histogram without it, averaged over 128 levels. The pair with the
    least Kullback-Leibler divergence is taken (Migacz, '8-bit Inference with TensorRT', GTC 2017). Two things
    are ours, without which networks with ReLU6 lose everything here. The zeros, which a ReLU makes many of and which
    every clip keeps, count as much as the next bin, and so do the largest values where nothing is clipped. And no more
    than 1 % of the values are clipped: the divergence does not see how far a value is moved, so a value that half of
    the picture has looks like a good clip.

    Args:
        counts: float64 [bins], more than 128.
        largest: The largest magnitude, where the last bin ends.
    """
    histogram = counts.copy()
    histogram[0] = histogram[1]
    if not histogram.any():
        return largest
    beyond = np.r_[histogram[::-1].cumsum()[::-1][1:], 0.0]
    first = max(LEVELS + 1, int(np.searchsorted(-beyond, -MOST_CLIPPED * counts.sum())) + 1)
    divergences = [_divergence(histogram[:stop], beyond[stop - 1]) for stop in range(first, len(histogram))]
    histogram[-1] = min(histogram[-2:])
    divergences.append(_divergence(histogram, 0.0) if histogram.any() else 0.0)
    return largest * (first + int(np.argmin(divergences))) / len(histogram)


def _divergence(kept: Counts, outliers: float) -> float:
    """The Kullback-Leibler divergence of a histogram with its outliers from the same in 128 levels, in nats."""
    if not kept.any():
        return float("inf")
    levels, reference = LEVELS + 1, kept.copy()
    reference[-1] += outliers
    there = reference > 0
    starts = -(-np.arange(levels) * len(kept) // levels)
    sums, members = np.add.reduceat(kept, starts), np.add.reduceat(there.astype(np.float64), starts)
    means = np.divide(sums, members, out=np.zeros(levels), where=members > 0)
    candidate = np.maximum(np.repeat(means, np.diff(np.r_[starts, len(kept)]))[there], _EMPTY)
    reference = reference[there] / reference.sum()
    return float(reference @ np.log(reference * candidate.sum() / candidate))


def _rounded(magnitudes: Counts, clip: float) -> Counts:
    step = clip / LEVELS
    rounded: Counts = np.minimum(np.rint(magnitudes / step), LEVELS) * step
    return rounded
