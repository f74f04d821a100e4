"""Observers that choose a tensor's range from the distribution of its magnitudes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from edgeseg.calibration.clipping import entropy_clip, mse_clip, percentile_clip
from edgeseg.calibration.histogram import BINS, Counts, Histogram
from edgeseg.calibration.observer import Observer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENTROPY_BINS = 2048
"""As TensorRT's entropy calibration has them."""


class HistogramObserver(Observer):
    """Keeps a histogram of a tensor's magnitudes over all images, 64 KiB a tensor."""

    bins: ClassVar[int] = BINS
    """How many equal bins, from zero to the largest magnitude, the method is given."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        """The magnitudes that came so far."""

    def update(self, values: NDArray[np.float32]) -> None:
        """Count the tensor's magnitudes."""
        self.histogram.add(values)

    def amax(self) -> float:
        """The magnitude that the method clips at; never beyond the largest."""
        return self.clip_of(self.histogram)

    @classmethod
    def clip_of(cls, histogram: Histogram) -> float:
        """The magnitude that the method clips at, given a tensor's histogram; 0 where it holds nothing but zeros."""
        return cls.clip(histogram.counts(cls.bins), histogram.largest) if histogram.largest else 0.0

    @staticmethod
    @abstractmethod
    def clip(counts: Counts, largest: float) -> float:
        """Choose the magnitude to clip at.

        Args:
            counts: float64 [bins].
            largest: The largest magnitude, above 0, where the last bin ends.
        """


class PercentileObserver(HistogramObserver):
    """Clips the largest 0.01 % of the magnitudes; see `percentile_clip`."""

    clip = staticmethod(percentile_clip)


class MseObserver(HistogramObserver):
    """Makes the mean squared error of the tensor smallest; see `mse_clip`."""

    clip = staticmethod(mse_clip)


class EntropyObserver(HistogramObserver):
    """Keeps most of the tensor's information, as TensorRT's entropy calibration does; see `entropy_clip`."""

    clip = staticmethod(entropy_clip)
    bins = ENTROPY_BINS
