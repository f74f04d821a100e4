"""Student's t distribution for whole degrees of freedom, exactly, where scipy is not installed."""

from __future__ import annotations

import math

import numpy as np

_HALVINGS = 80
_FARTHEST = 1e6
"""Quantiles are searched up to here: no interval needs a tail as rare."""


def t_cdf(t: float, degrees: int) -> float:
    """The probability of a value up to `t`.

    Abramowitz & Stegun, Handbook of Mathematical Functions, 1964, formulas 26.7.3 and 26.7.4: a finite sum.

    Args:
        t: Any number.
        degrees: Degrees of freedom, at least 1.
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    steps = np.arange(1, degrees // 2)
    if degrees % 2:
        factors = cosine * np.cumprod(np.concatenate([[1.0], 2 * steps / (2 * steps + 1) * cosine**2]))
        inside = 2 / math.pi * (angle + (sine * float(factors.sum()) if degrees > 1 else 0.0))
    else:
        factors = np.cumprod(np.concatenate([[1.0], (2 * steps - 1) / (2 * steps) * cosine**2]))
        inside = sine * float(factors.sum())
    return (1 + inside) / 2


def t_quantile(share: float, degrees: int) -> float:
    """The value that a share of the distribution lies below.

    Args:
        share: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, at least 1.
    """
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < share else (low, middle)
    return (low + high) / 2
