"""How far a quantile of a few times can be trusted: the exact interval between two order statistics."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeseg.artifacts import ConfidenceInterval, QuantileInterval


def quantile_interval(values: ArrayLike, quantile: float, level: float = 0.95) -> QuantileInterval:
    """The interval of a quantile between two order statistics, whatever the distribution.

    How many of N values lie below the true quantile is binomial, which gives the ranks (Conover, Practical
    Nonparametric Statistics, 1999, section 3.2; David & Nagaraja, Order Statistics, 2003, section 7.1). An end is open
    where even the outermost value is not rare enough: the 95 % interval of p99 has an upper end from 368 values on.

    Args:
        values: float [N], at least one, independent of each other. Slow frames that come in bursts are not quite, and
            the interval is too narrow by that.
        quantile: Above 0 and below 1.
        level: Share of such intervals that hold the true quantile, at least.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    at_most = np.cumsum(_binomial(len(ordered), quantile))  # P(at most k values lie below the quantile)
    tail = (1 - level) / 2
    low = int(np.searchsorted(at_most, tail, side="right"))  # the ranks count from 1; 0 and N + 1 are open ends
    high = int(np.searchsorted(at_most, 1 - tail, side="left")) + 1
    return QuantileInterval(
        low=float(ordered[low - 1]) if low else None,
        high=float(ordered[high - 1]) if high <= len(ordered) else None,
        level=level,
    )


def median_interval(values: NDArray[np.float64], level: float = 0.95) -> ConfidenceInterval:
    """The interval of a median, by `quantile_interval`.

    Fewer than six values give the smallest and the largest, which is less than 95 %.

    Args:
        values: float64 [N], at least one, independent of each other.
        level: Share of such intervals that hold the true median, at least.
    """
    found = quantile_interval(values, 0.5, level)
    low = float(values.min()) if found.low is None else found.low
    high = float(values.max()) if found.high is None else found.high
    return ConfidenceInterval(low=low, high=high, level=level)


def _binomial(count: int, share: float) -> NDArray[np.float64]:
    """The probabilities of 0 to `count` hits in `count` draws, float64 [count + 1]."""
    hits = np.arange(count + 1)
    factorials = np.array([math.lgamma(number + 1) for number in hits])
    ways = factorials[-1] - factorials - factorials[::-1]
    logarithms = ways + hits * math.log(share) + (count - hits) * math.log1p(-share)
    return np.asarray(np.exp(logarithms), np.float64)
