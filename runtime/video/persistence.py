"""Marks that last: in video a mark is shown once it has been there for some frames, and lives through short gaps.

Most false marks of a network last for a frame or two, on a fold or a reflection that passes; a polyp stays. So a mark
is withheld until its region has been marked in several frames, and hysteresis keeps it while the network is less sure:
the two thresholds of Canny, 1986 (IEEE Trans. PAMI 8(6)), over time instead of along an edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    """A mark is shown from its so many-th frame on: the delay is one frame less."""
    forget_frames: int = 5
    """A mark that was away for more frames than this must be confirmed again."""
    weak: float = 0.3
    """A confirmed mark stays while its probability reaches this; a new one needs the threshold, 0.5."""
    reach: float = 0.05
    """Distance that a mark may move between two frames, as a share of the map's longer side."""


@dataclass(frozen=True, eq=False)
class _Mark:
    """A region that was marked, where its next mark may lie."""

    near: Mask
    """uint8 [h,w], not 0 where the next mark belongs to it."""
    frames: int
    """Frames in which it was marked."""
    away: int = 0
    """Frames since then."""


@dataclass
class MarkPersistence:
    """Withholds new marks and keeps confirmed ones; for the maps of one video in their order."""

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
            float32 [1,h,w]: withheld marks are lowered to `WITHHELD`, weak parts of confirmed ones raised to the
            threshold; all else is unchanged.

        Raises:
            UsageError: A network of several classes, where the largest probability decides.
        """
        refuse_several_classes(len(probability))
        plane = probability[0]
        regions: Any = cv2.connectedComponents((plane >= self.settings.weak).astype(np.uint8), connectivity=8)[1]
        strong = set(np.unique(regions[plane >= THRESHOLD]).tolist())
        marks, followed = [], set()
        steadied = probability.copy()
        for label in sorted(strong | self._labels_near(regions)):
            region = regions == label
            former = [index for index, mark in enumerate(self._marks) if mark.near[region].any()]
            frames = max((self._marks[index].frames for index in former), default=0) + (label in strong)
            confirmed = frames >= self.settings.confirm_frames
            if label in strong or confirmed:
                followed |= set(former)
                marks.append(_Mark(self._near(region), frames))
            _settle(steadied[0], region, confirmed, label in strong)
        self._marks = marks + self._missing(followed)
        return steadied

    def _labels_near(self, regions: Any) -> set[int]:
        """The regions that may continue a mark; 0 is the background."""
        found = {label for mark in self._marks for label in np.unique(regions[mark.near > 0]).tolist()}
        return found - {0}

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


def _settle(plane: Any, region: NDArray[np.bool_], confirmed: bool, strong: bool) -> None:
    """Lower a region that is withheld; raise one that is confirmed and too weak to be seen; in place."""
    if not confirmed:
        plane[region] = np.minimum(plane[region], WITHHELD)
    elif not strong:
        plane[region] = np.maximum(plane[region], THRESHOLD)


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
