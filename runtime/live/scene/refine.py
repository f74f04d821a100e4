"""Steadies a network's answer along the motion and over time, and keeps it to where a mask counts."""

from __future__ import annotations

import cv2

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.live.scene.watch import LiveGate, keep_counted
from edgeseg.runtime.video.persistence import MarkPersistence
from edgeseg.runtime.video.source import SourceFrame

FORGET_S = 0.5
"""After a gap so long (an engine or a source that was away) nothing of what was marked before lives on."""


class SceneRefiner:
    """Refines what the engine says of frames; for the segmenter's thread.

    Args:
        gate: Knows region, text and whether tissue is seen; None leaves masks as they are.
        stabiliser: Steadies probability maps; None leaves them as they are.
        persistence: Withholds marks that do not last; None shows every mark at once.
    """

    def __init__(
        self,
        gate: LiveGate | None,
        stabiliser: ProbabilityStabiliser | None,
        persistence: MarkPersistence | None = None,
    ) -> None:
        self._gate, self._stabiliser, self._persistence = gate, stabiliser, persistence
        self._seen_ns = 0

    def probability(self, frame: SourceFrame, probability: Probability) -> Probability:
        """The map of one frame, steadied: float32 [C,h,w]."""
        if self._stabiliser is None and self._persistence is None:
            return probability
        view = self._gate.view if self._gate is not None else None
        before_ns, self._seen_ns = self._seen_ns, frame.arrived_ns
        if frame.arrived_ns - before_ns > FORGET_S * 1e9 or (view is not None and view.gate.reason is not None):
            for memory in (self._stabiliser, self._persistence):
                if memory is not None:
                    memory.reset()
        if self._stabiliser is not None:
            probability = self._stabiliser.update(probability, reduce_picture(frame.picture).luma)
        return probability if self._persistence is None else self._persistence.update(probability)

    def mask(self, mask: Mask) -> Mask:
        """The mask without what lies outside the scope's picture or on text: uint8 [H,W]."""
        view = self._gate.view if self._gate is not None else None
        if view is None or (view.region.height, view.region.width) != mask.shape:
            return mask
        if not view.region.found and not cv2.countNonZero(view.text):
            return mask
        return keep_counted(mask, view.counted(*mask.shape))
