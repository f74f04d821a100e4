"""Marks that last: in video a mark is shown once the network was sure of it for some frames, then while it is there.

False marks mostly come and go with a fold or a reflection that passes, and the network is less sure of them; a polyp
stays. So a mark is withheld until it was strong in several frames, and afterwards only needs the usual threshold: the
two thresholds of Canny, 1986 (IEEE Trans. PAMI 8(6)), over time instead of along an edge. Nothing is ever added to what
the network marks in a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.frames import THRESHOLD, Mask, Probability

WITHHELD = 0.49
"""The probability to which withheld marks are lowered: below the threshold, and still seen in a heat map."""


@dataclass(frozen=True)
class PersistenceSettings:
    """When a mark counts as real."""

    confirm_frames: int = 3
    """A mark is shown from the so many-th frame on in which it is strong: the delay is at least one frame less."""
    strong: float = 0.7
    """The probability that a mark must reach somewhere to be strong; at least the threshold, 0.5."""
    forget_frames: int = 5
    """A mark that was away for more frames than this must be confirmed again."""
    reach: float = 0.05
    """Distance that a mark may move between two frames, as a share of the map's longer side."""


@dataclass(frozen=True, eq=False)
class _Mark:
    """A region that was marked, where its next mark may lie."""

    near: Mask
    """uint8 [h,w], not 0 where the next mark belongs to it."""
    frames: int
    """Frames in which it was strong."""
    away: int = 0
    """Frames since it was marked last."""


@dataclass
class MarkPersistence:
    """Withholds marks until they have lasted; for the maps of one video in their order."""

    settings: PersistenceSettings = field(default_factory=PersistenceSettings)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all marks: after a gated frame, a lost engine, another scene."""
        self._marks: list[_Mark] = []

    def update(self, probability: Probability) -> Probability:
        """Take in the map of one frame and give the one that counts.

        Args:
            probability: float32 [1,h,w]; left as it is.

        Returns:
            float32 [1,h,w]: marks that are withheld are lowered to `WITHHELD`, all else is unchanged.

        Raises:
            UsageError: A network of several classes, where the largest probability decides.
        """
        refuse_several_classes(len(probability))
        plane = probability[0]
        count, regions = cv2.connectedComponents((plane >= THRESHOLD).astype(np.uint8), connectivity=8)
        shown, marks, followed = probability.copy(), [], set()
        for region in (regions == label for label in range(1, count)):
            former = {index for index, mark in enumerate(self._marks) if mark.near[region].any()}
            is_strong = bool(plane[region].max() >= self.settings.strong)
            frames = max((self._marks[index].frames for index in former), default=0) + is_strong
            if frames:
                marks.append(_Mark(self._near(region), frames))
            if frames < self.settings.confirm_frames:
                shown[0][region] = WITHHELD
            followed |= former
        self._marks = marks + self._missing(followed)
        return shown

    def _near(self, region: NDArray[np.bool_]) -> Mask:
        radius = max(round(self.settings.reach * max(region.shape)), 1)
        kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        return np.asarray(cv2.dilate(region.astype(np.uint8), kernel), np.uint8)

    def _missing(self, followed: set[int]) -> list[_Mark]:
        """The marks that no region of this frame continues and that are not forgotten yet."""
        return [
            _Mark(mark.near, mark.frames, mark.away + 1)
            for index, mark in enumerate(self._marks)
            if index not in followed and mark.away < self.settings.forget_frames
        ]


def refuse_several_classes(count: int) -> None:
    """Refuse networks of several classes.

    Raises:
        UsageError: More than one class.
    """
    if count != 1:
        raise UsageError(
            "marks can be steadied for networks of one class only",
            found=f"{count} classes",
            next_command="the same command without --steady",
        )
