"""Probability maps made steady over time, without dragging them behind what moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.live.scene.motion import estimate_motion, moved


@dataclass(frozen=True)
class StabiliserSettings:
    """How much of the past is kept."""

    newest: float = 0.4
    """Weight of the new map where nothing changed: noise of the network falls to half (a/(2-a) of the variance)."""
    cut_level: float = 30
    """Mean luma difference after alignment from which a picture is another scene: nothing is kept. Withdrawal at 25 Hz
    gives 5 to 15."""
    changed_level: float = 24
    """Luma difference of a pixel after alignment from which only the new map counts there."""
    min_response: float = 0.12
    """Correlation below this says nothing about the shift: none is applied."""


@dataclass
class ProbabilityStabiliser:
    """A recursive mean of probability maps along the motion of the picture.

    Dubois & Sabri, Noise reduction in image sequences using motion-compensated temporal filtering, IEEE Trans.
    Communications 32(7), 1984: the former output is moved as the picture moved, and mixed with the new map with a
    weight that goes to 1 where the moved picture does not fit.
    """

    settings: StabiliserSettings = field(default_factory=StabiliserSettings)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the past: after a gated frame, a change of size, a lost engine."""
        self._luma: Mask | None = None
        self._map: Any = None

    def update(self, probability: Probability, luma: Mask) -> Probability:
        """Take in the map of one frame and give the steadied one.

        Args:
            probability: float32 [C,h,w]; left as it is.
            luma: Small luma of the very frame that the map is of, uint8 [h',w'].

        Returns:
            float32 [C,h,w]; every value lies between the new and the moved former one.
        """
        before, self._luma = self._luma, luma
        if before is None or before.shape != luma.shape or self._map.shape != probability.shape:
            self._map = probability.copy()
            return self._map.copy()  # type: ignore[no-any-return]
        motion = estimate_motion(before, luma)
        sure = motion.response >= self.settings.min_response
        aligned = moved(before, motion) if sure else before
        difference: Any = cv2.blur(cv2.absdiff(aligned, luma), (3, 3))
        if float(difference.mean()) >= self.settings.cut_level:
            self._map = probability.copy()
            return self._map.copy()  # type: ignore[no-any-return]
        rows, columns = probability.shape[1:]
        weight = self._weight_of_newest(cv2.resize(difference, (columns, rows), interpolation=cv2.INTER_LINEAR))
        former = np.stack([moved(plane, motion) for plane in self._map]) if sure else self._map
        self._map = former + weight * (probability - former)
        return self._map.copy()  # type: ignore[no-any-return]

    def _weight_of_newest(self, difference: Any) -> Any:
        settings = self.settings
        share = np.clip(difference.astype(np.float32) / settings.changed_level, 0, 1)
        return settings.newest + (1 - settings.newest) * share
