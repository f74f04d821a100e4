"""How far an engine's probabilities are from its reference's, whatever their masks: streamed, a picture at a time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ProbabilityShift
from edgeseg.frames import Mask, scale_plane

STEPS = 10_000
"""Steps from 0 to 1 in which absolute differences are counted."""
PERCENTILE = 0.99

Plane = NDArray[np.float32]


class ShiftMeter:
    """Counts differences of probabilities in steps of 0.0001; its memory does not grow with the pictures."""

    def __init__(self) -> None:
        self._counts = np.zeros(STEPS + 1, np.int64)
        self._sum = 0.0
        self._inside = np.zeros(3)
        """Pixels inside the reference's masks, and the sums of both networks' probabilities there."""

    def add(self, reference: Plane, engine: Plane, mask: Mask) -> tuple[float, float] | None:
        """Take in one picture.

        Args:
            reference: How likely each pixel is marked, float32 [h,w], 0 to 1; pixels are counted at this size.
            engine: Likewise, of any size; scaled to the reference's.
            mask: The reference's mask, uint8 of any size; everything but 0 is inside.

        Returns:
            The means of the reference's and of the engine's probabilities inside the mask; None where it is empty.
        """
        height, width = reference.shape
        engine = scale_plane(engine, height, width)
        difference = np.abs(engine - reference)
        self._sum += float(difference.sum(dtype=np.float64))
        steps = np.rint(np.minimum(difference, 1) * np.float32(STEPS)).astype(np.intp)
        self._counts += np.bincount(steps.reshape(-1), minlength=STEPS + 1)
        small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0
        inside = np.array([small.sum(), *(plane[small].sum(dtype=np.float64) for plane in (reference, engine))])
        self._inside += inside
        return (inside[1] / inside[0], inside[2] / inside[0]) if inside[0] else None

    def shift(self) -> ProbabilityShift | None:
        """The figures over all pictures; None where none came."""
        below = np.cumsum(self._counts)
        if not below[-1]:
            return None
        pixels, reference, engine = self._inside.tolist()
        return ProbabilityShift(
            mean_difference=self._sum / int(below[-1]),
            p99_difference=int(np.searchsorted(below, PERCENTILE * below[-1])) / STEPS,
            confidence=engine / pixels if pixels else None,
            reference_confidence=reference / pixels if pixels else None,
        )


def shift_in_words(shift: ProbabilityShift) -> str:
    """The figures as one sentence without a full stop."""
    words = (
        f"probabilities are off the reference's by {shift.mean_difference:.4f} in the mean over pixels and "
        f"{shift.p99_difference:.4f} at the 99th percentile"
    )
    if shift.confidence is None or shift.reference_confidence is None:
        return words
    return (
        f"{words}; inside the reference's masks their mean is {shift.confidence:.4f} "
        f"(reference {shift.reference_confidence:.4f}, {shift.confidence - shift.reference_confidence:+.4f})"
    )
