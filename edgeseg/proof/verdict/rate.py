"""How far a rate of a few events can be trusted: the exact interval of Garwood."""

from __future__ import annotations

import math

from edgeseg.artifacts import ConfidenceInterval

_HALVINGS = 80
"""Halvings of the range: more than a float64 can tell apart."""


def rate_interval(count: int, exposure: float, level: float = 0.95) -> ConfidenceInterval:
    """The exact interval of the rate of events that come independently of each other, for instance a minute.

    Garwood, Fiducial limits for the Poisson distribution, Biometrika 28, 1936. The bounds are the rates at which
    `count` or more, and `count` or fewer, are just not too rare, so that at least `level` of such intervals hold the
    true rate.

    Args:
        count: How many came, 0 or more.
        exposure: How long they could have come, in the unit of time of the rate; above 0.
        level: At least this share of such intervals holds the true rate.

    Raises:
        ValueError: Fewer events than none, or no time in which they could have come.
    """
    if count < 0 or not exposure > 0:
        raise ValueError(f"{count} events in {exposure} is no rate")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else _mean_at(count - 1, 1 - tail)
    return ConfidenceInterval(low=low / exposure, high=_mean_at(count, tail) / exposure, level=level)


def _mean_at(count: int, share: float) -> float:
    """The mean of a Poisson distribution that gives `count` or fewer with a probability of `share`."""
    low, high = 0.0, count + 10.0 * math.sqrt(count + 1) + 20.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, middle) > share else (low, middle)
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    """The probability of at most `count` events where `mean`, above 0, are expected."""
    return math.fsum(math.exp(events * math.log(mean) - mean - math.lgamma(events + 1)) for events in range(count + 1))
