"""An observer: it watches a tensor during calibration and chooses the range that INT8 gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Observer(ABC):
    """Watches one tensor image by image; its memory does not grow with their number."""

    extremes_suffice: ClassVar[bool] = False
    """True if `update` needs no more than a tensor's smallest and largest value: then the tensor stays in the graph."""

    @abstractmethod
    def update(self, values: NDArray[np.float32]) -> None:
        """Take in what the tensor holds for one image; every value is finite.

        Args:
            values: float32, of the tensor's shape; of shape [2] where the extremes suffice.
        """

    @abstractmethod
    def amax(self) -> float:
        """The magnitude that maps to 127, once every image was seen."""


class MaxObserver(Observer):
    """The largest magnitude seen (Wu et al., 2020, arXiv:2004.09602, section 3.1)."""

    extremes_suffice = True

    def __init__(self) -> None:
        self._largest = 0.0

    def update(self, values: NDArray[np.float32]) -> None:
        """Keep the largest magnitude."""
        self._largest = max(self._largest, float(abs(values).max()))

    def amax(self) -> float:
        """The largest magnitude of all images."""
        return self._largest
