"""Marks that last: in video a mark is shown once the network was sure of it for some frames, then while it is there.

False marks mostly come and go with a fold or a reflection that passes, and the network is less sure of them; a polyp
stays. So a mark is withheld until it was strong in several frames, and afterwards only needs the usual threshold: the
two thresholds of Canny, 1986 (IEEE Trans. PAMI 8(6)), over time instead of along an edge. Nothing is ever added to what
the network marks in a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.frames import THRESHOLD, Probability
from edgeseg.runtime.video.tracks import FORGET_FRAMES, REACH, RegionFollower

WITHHELD = 0.49
"""The probability to which withheld marks are lowered: below the threshold, and still seen in a heat map."""


@dataclass(frozen=True)
class PersistenceSettings:
    """When a mark counts as real."""

    confirm_frames: int = 3
    """A mark is shown from the so many-th frame on in which it is strong: the delay is at least one frame less."""
    strong: float = 0.7
    """The probability that a mark must reach somewhere to be strong; at least the threshold, 0.5."""
    forget_frames: int = FORGET_FRAMES
    """A mark that was away for more frames than this must be confirmed again."""
    reach: float = REACH
    """Distance that a mark may move between two frames, as a share of the map's longer side."""


@dataclass
class MarkPersistence:
    """Withholds marks until they have lasted; for the maps of one video in their order."""

    settings: PersistenceSettings = field(default_factory=PersistenceSettings)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all marks: after a gated frame, a lost engine, another scene."""
        self._follower = RegionFollower(self.settings.reach, self.settings.forget_frames)
        self._strong_frames: dict[int, int] = {}
        """The frames in which each remembered region, and what it continues, was strong."""

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
        shown, before, now = probability.copy(), self._strong_frames, {}
        for region in self._follower.update((plane >= THRESHOLD).view(np.uint8)):
            is_strong = bool(plane[region.pixels].max() >= self.settings.strong)
            now[region.number] = max((before[number] for number in region.continues), default=0) + is_strong
            if now[region.number] < self.settings.confirm_frames:
                shown[0][region.pixels] = WITHHELD
        known = before | now
        self._strong_frames = {number: known[number] for number in self._follower.remembered}
        return shown


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
