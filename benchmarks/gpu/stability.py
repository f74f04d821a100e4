"""When a measurement may stop: windows of samples until their median no longer moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.01
AGREEING = 3
"""Windows in a row whose medians must lie within the tolerance of each other."""


@dataclass(frozen=True)
class Windows:
    """How long to measure."""

    samples: int = 60
    """In one window."""
    most: int = 40
    """Windows; after as many, the figure is given as not stable."""
    limit_s: float = 20.0


@dataclass(frozen=True)
class Measured:
    """The samples of the last `AGREEING` windows, in the samples' unit."""

    p50: float
    p90: float
    p99: float
    least: float
    samples: int
    """All that were taken."""
    stable: bool


def is_stable(medians: Sequence[float]) -> bool:
    """Whether the last windows' medians lie within the tolerance of their smallest."""
    last = medians[-AGREEING:]
    return len(last) == AGREEING and max(last) - min(last) <= TOLERANCE * min(last)


def alternated(samplers: Mapping[str, Callable[[], float]], windows: Windows) -> dict[str, Measured]:
    """Measure several things in turn, a window of each, until all are stable: what drifts, drifts for all alike.

    Args:
        samplers: Each takes one sample and gives its duration.
        windows: How long.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in samplers}
    medians: dict[str, list[float]] = {name: [] for name in samplers}
    end_s = time.monotonic() + windows.limit_s
    for _ in range(windows.most):
        for name, sample in samplers.items():
            window = [sample() for _ in range(windows.samples)]
            taken[name].append(window)
            medians[name].append(float(np.median(window)))
        if all(is_stable(values) for values in medians.values()) or time.monotonic() > end_s:
            break
    return {name: _summary(taken[name], is_stable(medians[name])) for name in samplers}


def _summary(windows: list[list[float]], stable: bool) -> Measured:
    values = np.array([value for window in windows[-AGREEING:] for value in window])
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return Measured(p50, p90, p99, float(values.min()), sum(map(len, windows)), stable)
