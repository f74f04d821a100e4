"""Several things measured in turn until each stands still by the bench's rule: what drifts, drifts for all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgeseg.proof.timing.stability import StabilityRule, is_stable

RULE = StabilityRule(window_samples=60, window_s=0.1, max_s=20.0)
"""Stability rule of one window; its bound is that of all windows together."""


@dataclass(frozen=True)
class Alternated:
    """The samples of the last windows that must agree, in milliseconds."""

    p50: float
    p90: float
    p99: float
    least: float
    samples: int
    """All that were taken."""
    stable: bool


def alternated(samplers: Mapping[str, Callable[[], float]], rule: StabilityRule = RULE) -> dict[str, Alternated]:
    """Measure one window of each, again and again, until the medians of all stand still or the time is over.

    Args:
        samplers: Each takes one sample and gives its duration in milliseconds.
        rule: When to stop; nothing is started after `max_s`, but each is measured at least once.
    """
    windows: dict[str, list[list[float]]] = {name: [] for name in samplers}
    end_s = time.monotonic() + rule.max_s
    while True:
        for name, sample in samplers.items():
            windows[name].append(_window(sample, rule))
        stable = {name: _stands_still(taken, rule) for name, taken in windows.items()}
        if all(stable.values()) or time.monotonic() >= end_s:
            return {name: _summary(taken, rule, stable[name]) for name, taken in windows.items()}


def _window(sample: Callable[[], float], rule: StabilityRule) -> list[float]:
    samples: list[float] = []
    end_s = time.monotonic() + rule.window_s
    while len(samples) < rule.window_samples or time.monotonic() < end_s:
        samples.append(sample())
    return samples


def _stands_still(windows: list[list[float]], rule: StabilityRule) -> bool:
    return is_stable([float(np.median(window)) for window in windows], rule.windows, rule.tolerance)


def _summary(windows: list[list[float]], rule: StabilityRule, stable: bool) -> Alternated:
    values = np.array([value for window in windows[-rule.windows :] for value in window])
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return Alternated(p50, p90, p99, float(values.min()), sum(map(len, windows)), stable)
