"""Between one stream's frames and its masks: it chooses the frame that the engine gets, and pins up the answer."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from edgeseg.frames import Mask, Probability, confidence_of
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import SessionInfo, marked_at_frame, mask_at_frame
from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import RollingPercentiles
from edgeseg.runtime.live.scene.sampling import Sample
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.video.engine_input import network_input_of
from edgeseg.runtime.video.source import SourceFrame

logger = logging.getLogger(__name__)
_SAME_LOSS_S = 10.0
"""The time between two lines of the log while frame after frame is lost for the same reason."""


class Refine(Protocol):
    """Changes an engine's answers before they are shown; see `edgeseg.runtime.live.scene.refine`."""

    def probability(self, frame: SourceFrame, probability: Probability) -> Probability:
        """Return the map that counts, float32 [C,h,w]."""
        ...

    def mask(self, mask: Mask) -> Mask:
        """Return the mask that counts, uint8 [H,W]."""
        ...


class Segmenter:
    """One stream's side of an engine; `SharedEngine`'s thread alone calls its methods. No failure reaches the picture.

    Args:
        frames: The newest frames.
        board: The board that masks are pinned to.
        refine: Changes answers before they are pinned.
        observe: Called with every segmented frame before it is refined; it must return at once.
        useful_ms: The age of a frame past which its answer is useless; None where only the newest waits.
        label: What stands before lines of the log, for example ``left: ``.
    """

    def __init__(
        self,
        frames: NewestSlot[SourceFrame],
        board: MaskBoard,
        refine: Refine | None = None,
        observe: Callable[[Sample], None] | None = None,
        useful_ms: float | None = None,
        label: str = "",
    ) -> None:
        self.frames = frames
        self._board, self._refine, self._label = board, refine, label
        self._observe, self._useful_ms = observe, useful_ms
        self._answer_ms = RollingPercentiles()  # from submission to mask: more than the inference alone
        self._logged: tuple[str, float] = ("", 0.0)
        self.fault = ""
        """Why the newest frame has no mask though the engine runs; it mostly holds for the next, too."""
        self.infer_ms = RollingPercentiles()
        self.inferences = self.lost = self.passed_over = 0

    def take(self) -> SourceFrame | None:
        """Take the oldest frame whose answer can still be of use; None where none waits."""
        while (frame := self.frames.take()) is not None and self._is_too_late_for(frame):
            self.passed_over += 1
        return frame

    def hear(self, frame: SourceFrame, outcome: Outcome, info: SessionInfo, answer_ms: float) -> None:
        """Pin up an engine's answer, or count the frame as lost.

        Args:
            frame: The frame that the engine was given.
            outcome: What came of it.
            info: The engine.
            answer_ms: The time from submission to now.
        """
        if not isinstance(outcome, Segmented):
            self.lose(frame, f"{outcome.loss} {outcome.reason}")
        elif not np.isfinite(
            outcome.probability
        ).all():  # no comparison holds for NaN: it would pass for "nothing there"
            self.give_up(frame, "the engine's answer is not a number")
        else:
            if self._observe is not None:
                look = functools.partial(network_input_of, frame.picture, info)
                self._observe(Sample(frame.index, frame.arrived_ns, look, outcome.probability))
            try:
                self._pin(frame, outcome, info)
            except Exception as error:  # one frame without a mask, not all that follow
                self.give_up(frame, f"{type(error).__name__}: {error}".splitlines()[0])
        self._answer_ms.add(answer_ms)

    def give_up(self, frame: SourceFrame, reason: str) -> None:
        """Count a frame as lost that itself, or whose answer, is at fault; it is said until one is segmented."""
        self.fault = f"a frame cannot be segmented: {reason}"
        self.lose(frame, reason)

    def lose(self, frame: SourceFrame, reason: str) -> None:
        """Count a frame as lost."""
        self.lost += 1
        now_s, (former, at_s) = time.monotonic(), self._logged
        if reason != former or now_s - at_s > _SAME_LOSS_S:
            self._logged = reason, now_s
            logger.warning("%sframe %d is lost: %s", self._label, frame.index, reason)

    def change_engine(self, infer_ms: float) -> None:
        """Forget the former engine's times.

        Args:
            infer_ms: The new one's inference time, which the age limit of masks follows from its first frame on.
        """
        self._answer_ms.clear()
        self.infer_ms.clear()
        self.infer_ms.add(infer_ms)

    def _is_too_late_for(self, frame: SourceFrame) -> bool:
        """Tell whether a frame's answer would come too late; leaving it out lets the next one's be in time.

        Half of the time is always the engine's, so that one that was slow is seen to have become fast again.
        """
        if self._useful_ms is None:
            return False
        needs_ms = min(self._answer_ms.percentile(90) or 0.0, self._useful_ms / 2)
        return (time.monotonic_ns() - frame.arrived_ns) / 1e6 + needs_ms > self._useful_ms

    def _pin(self, frame: SourceFrame, outcome: Segmented, info: SessionInfo) -> None:
        self.infer_ms.add(outcome.infer_ms)
        height, width = frame.picture.height, frame.picture.width
        probability = outcome.probability
        if self._refine is not None:
            probability = self._refine.probability(frame, probability)
        mask = mask_at_frame(info, probability, height, width)
        if self._refine is not None:
            mask = self._refine.mask(mask)
        self._board.pin(
            LiveMask(
                frame.index,
                frame.arrived_ns,
                mask,
                cv2.countNonZero(mask) / mask.size,
                confidence_of(probability),
                outcome.infer_ms,
                marked_at_frame(info, probability, height, width),
            )
        )
        self.inferences += 1
        self.fault = ""
