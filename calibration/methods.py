"""The calibration methods by name: how the range of a tensor is chosen."""

from __future__ import annotations

from edgeseg.calibration.histogram_observers import EntropyObserver, MseObserver, PercentileObserver
from edgeseg.calibration.observer import MaxObserver, Observer
from edgeseg.errors import UsageError

METHODS: dict[str, type[Observer]] = {
    "max": MaxObserver,
    "percentile": PercentileObserver,
    "mse": MseObserver,
    "entropy": EntropyObserver,
}
"""Method, as `--method` and the tables name it -> what watches each tensor."""
DEFAULT_METHOD = "max"
AUTO_METHOD = "auto"
"""Tries the methods and keeps one of them, which the table then names."""


def observer_of(method: str) -> type[Observer]:
    """The observer of a method.

    Raises:
        UsageError: There is no such method.
    """
    if method not in METHODS:
        raise UsageError(f"there is no calibration method {method}", expected=" or ".join(METHODS))
    return METHODS[method]
