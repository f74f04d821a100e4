"""How far probabilities can be taken at their word: the calibration error and Brier score of all pixels, streamed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationComparison, CalibrationError
from edgeseg.frames import Mask
from edgeseg.proof.verdict.probability_shift import STEPS, Plane

BINS = 15
"""As many as Guo et al. take (On calibration of modern neural networks, 2017, arXiv:1706.04599)."""


class CalibrationMeter:
    """Counts the pixels of each probability, in steps of 0.0001, in and outside polyps.

    Its memory does not grow with the pictures; rounding moves neither figure by more than 0.0001.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(2 * (STEPS + 1), np.int64)

    def add(self, marked: Plane, truth: Mask, ignored: NDArray[np.bool_] | None = None) -> None:
        """Take in one picture.

        Args:
            marked: How likely each pixel is marked, float32 [h,w], 0 to 1; pixels are counted at this size.
            truth: uint8 of any size; everything but 0 is polyp.
            ignored: bool of the size of `truth`, true where nobody may judge; None where everything counts.
        """
        size = marked.shape[1], marked.shape[0]
        codes = (marked * np.float32(STEPS) + np.float32(0.5)).astype(np.int32)
        codes += codes
        codes += _at(truth > 0, size)
        if ignored is not None:
            codes = codes[~_at(ignored, size)]
        self._counts += np.bincount(codes.reshape(-1), minlength=self._counts.size)

    def error(self) -> CalibrationError | None:
        """The figures over all pictures; None where no pixel came."""
        outside, inside = self._counts.reshape(-1, 2).T.astype(np.float64)
        total = outside.sum() + inside.sum()
        if not total:
            return None
        probability = np.arange(STEPS + 1) / STEPS
        bins = np.minimum(np.arange(STEPS + 1) * BINS // STEPS, BINS - 1)
        excess = probability * (outside + inside) - inside
        squares = outside @ probability**2 + inside @ (1 - probability) ** 2
        return CalibrationError(
            expected_error=float(np.abs(np.bincount(bins, excess, BINS)).sum() / total), brier=float(squares / total)
        )


class CalibrationMeters:
    """The meters of an engine and its reference, fed with the same pictures."""

    def __init__(self) -> None:
        self.engine, self.reference = CalibrationMeter(), CalibrationMeter()

    def comparison(self) -> CalibrationComparison | None:
        """Both networks' figures; None where no picture came."""
        engine, reference = self.engine.error(), self.reference.error()
        if engine is None or reference is None:
            return None
        return CalibrationComparison(bins=BINS, engine=engine, reference=reference)


def _at(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask at another size (width, height), each pixel the nearest."""
    if mask.shape == (size[1], size[0]):
        return mask
    return np.asarray(cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0)
