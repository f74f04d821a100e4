"""A histogram of magnitudes that takes values as they come, without knowing how large they will be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 8192
_CHUNK = 1 << 18
"""Values binned at a time: what is made of them stays within a core's cache."""

_SMALLEST = 1e-30
"""The bins reach at least so far, so that float32 holds how many of them make one."""

Counts = NDArray[np.float64]


class Histogram:
    """Counts magnitudes in equal bins from zero on; memory and resolution do not depend on how many came.

    When a value lies beyond the last bin, neighbours are joined, so that the bins become twice as wide, as often as it
    takes. So every count stays exact, and at least half of the bins are in use.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, np.int64)
        self.width = 0.0
        """The width of a bin; 0 while nothing but zeros came."""
        self.largest = 0.0
        """The largest magnitude."""

    @property
    def total(self) -> int:
        """The number of values."""
        return int(self._counts.sum())

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values; every one is finite.

        Args:
            values: float32 of any shape.
        """
        flat = values.reshape(-1)
        if not flat.size:
            return
        self._make_room(max(-float(flat.min()), float(flat.max())))
        if not self.width:
            self._counts[0] += flat.size
            return
        per_width = np.float32(1.0 / self.width)
        for start in range(0, flat.size, _CHUNK):
            bins = (np.abs(flat[start : start + _CHUNK]) * per_width).astype(np.intp)
            np.minimum(bins, BINS - 1, out=bins)  # the largest value itself, by rounding
            self._counts += np.bincount(bins, minlength=BINS)

    def counts(self, bins: int) -> Counts:
        """The counts in equal bins from zero to the largest magnitude; a bin that is cut is shared out evenly.

        Args:
            bins: How many.

        Returns:
            float64 [bins]; all values count as zeros where nothing else came.
        """
        if not self.width:
            return np.asarray([float(self.total), *[0.0] * (bins - 1)])
        edges = np.linspace(0.0, self.largest, bins + 1)
        edges[-1] = self.width * BINS  # the last bin holds the largest value, wherever rounding put it
        below = np.r_[0.0, np.cumsum(self._counts, dtype=np.float64)]
        return np.asarray(np.diff(np.interp(edges, self.width * np.arange(BINS + 1), below)), np.float64)

    def _make_room(self, magnitude: float) -> None:
        self.largest = max(self.largest, magnitude)
        if magnitude and not self.width:
            self.width = max(magnitude, _SMALLEST) / BINS
        while self.width and magnitude > self.width * BINS:
            self._counts = np.r_[self._counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)]
            self.width *= 2.0
