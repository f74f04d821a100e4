"""Steadies a network's answer along the motion, and keeps it to where a mask counts."""

from __future__ import annotations

import cv2

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.live.scene.watch import LiveGate, keep_counted
from edgeseg.runtime.video.source import SourceFrame

FORGET_S = 0.5
"""After a gap so long (an engine or a source that was away) nothing of what was marked before lives on."""


class SceneRefiner:
    """Refines what the engine says of frames; for the segmenter's thread.

    Args:
        gate: Knows region, text and whether tissue is seen; None leaves masks as they are.
        stabiliser: Steadies probability maps; None leaves them as they are.
    """

    def __init__(self, gate: LiveGate | None, stabiliser: ProbabilityStabiliser | None) -> None:
        self._gate, self._stabiliser = gate, stabiliser
        self._seen_ns = 0

    def probability(self, frame: SourceFrame, probability: Probability) -> Probability:
        """The map of one frame, steadied: float32 [C,h,w]."""
        if self._stabiliser is None:
            return probability
        view = self._gate.view if self._gate is not None else None
        before_ns, self._seen_ns = self._seen_ns, frame.arrived_ns
        if frame.arrived_ns - before_ns > FORGET_S * 1e9 or (view is not None and view.gate.reason is not None):
            self._stabiliser.reset()
        return self._stabiliser.update(probability, reduce_picture(frame.picture).luma)

    def mask(self, mask: Mask) -> Mask:
        """The mask without what lies outside the scope's picture or on text: uint8 [H,W]."""
        view = self._gate.view if self._gate is not None else None
        if view is None or (view.region.height, view.region.width) != mask.shape:
            return mask
        if not view.region.found and not cv2.countNonZero(view.text):
            return mask
        return keep_counted(mask, view.counted(*mask.shape))
