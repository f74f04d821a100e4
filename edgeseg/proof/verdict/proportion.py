"""How far a share of a few images can be trusted: the exact interval of Clopper and Pearson."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgeseg.artifacts import ConfidenceInterval

_HALVINGS = 60
"""Halvings of the range 0 to 1: more than a float64 can tell apart."""


def share_interval(count: int, of: int, level: float = 0.95) -> ConfidenceInterval:
    """The exact interval of a binomial share, which never promises more than `level`, also where nothing was seen.

    Clopper & Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26, 1934. The bounds are the shares at which `count` or more, and `count` or fewer, are just not too
    rare.

    Args:
        count: How often it happened, 0 to `of`.
        of: How often it could have happened.
        level: At least this share of such intervals holds the true share.

    Raises:
        ValueError: Nothing could have happened, or more happened than could have.
    """
    if of < 1 or not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else _crossing(lambda share: _at_most(of - count, of, 1 - share) >= tail)
    high = 1.0 if count == of else _crossing(lambda share: _at_most(count, of, share) <= tail)
    return ConfidenceInterval(low=low, high=high, level=level)


def _crossing(is_beyond: Callable[[float], bool]) -> float:
    """The share from which on a condition holds that does not hold below."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_beyond(middle) else (middle, high)
    return (low + high) / 2


def _at_most(count: int, of: int, share: float) -> float:
    """The probability of at most `count` in `of` draws, each a hit with probability `share` (between 0 and 1)."""
    hits = np.arange(count + 1)
    ways = np.array([math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(count + 1)])
    return float(np.exp(ways + hits * math.log(share) + (of - hits) * math.log1p(-share)).sum())
