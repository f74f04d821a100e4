"""The thread between frames and masks: it gives the engine the newest frame and pins up the mask."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from multiprocessing import connection
from typing import Protocol

import cv2
import numpy as np

from edgeseg.frames import Mask, Probability, confidence_of
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import marked_at_frame, mask_at_frame
from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import RollingPercentiles
from edgeseg.runtime.live.scene.sampling import Sample
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.live.states import EngineState
from edgeseg.runtime.video.engine_input import engine_input, network_input_of
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.worker.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)
_STEP_S = 0.05
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
    """Runs an engine on the newest frames, in a thread of its own. No failure here reaches the picture.

    Args:
        engine: The engine; this thread alone uses it, and closes it at its end.
        frames: The newest frames.
        board: The board that masks are pinned to.
        refine: Changes answers before they are pinned.
        observe: Called with every segmented frame before it is refined; it must return at once.
        useful_ms: The age of a frame past which its answer is useless; None where only the newest waits.
    """

    def __init__(
        self,
        engine: WorkerEngine,
        frames: NewestSlot[SourceFrame],
        board: MaskBoard,
        refine: Refine | None = None,
        observe: Callable[[Sample], None] | None = None,
        useful_ms: float | None = None,
    ) -> None:
        self._engine, self._frames, self._board, self._refine = engine, frames, board, refine
        self._observe, self._useful_ms = observe, useful_ms
        self._next: WorkerEngine | None = None
        self._next_infer_ms = 0.0
        self._former_restarts = 0
        self._under_way: dict[int, tuple[SourceFrame, int]] = {}
        self._answer_ms = RollingPercentiles()  # from submission to mask: more than the inference alone
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeseg-segmenter", daemon=True)
        self._defect = ""
        self._logged: tuple[str, float] = ("", 0.0)
        self.fault = ""
        """Why the newest frame has no mask though the engine runs; it mostly holds for the next, too."""
        self.infer_ms = RollingPercentiles()
        self.inferences = self.lost = self.passed_over = 0
        self.was_ready = False
        self.engine_state: EngineState = "starting"
        self.restarts = 0

    @property
    def engine(self) -> WorkerEngine:
        """The engine now; only its description and counts are for other threads."""
        return self._engine

    @property
    def reason(self) -> str:
        """The reason why the engine is not ready, for a person to read."""
        failure = self._engine.failure
        return self._defect or (str(failure).splitlines()[0] if failure is not None else "")

    @property
    def is_alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def exchange(self, engine: WorkerEngine, infer_ms: float) -> None:
        """Change to another engine once frames under way have come back; any thread may call this, once.

        Args:
            engine: The other engine, ready; the segmenter closes it.
            infer_ms: Its inference time, which the age limit of masks follows from its first frame on.
        """
        self._next_infer_ms = infer_ms
        self._next = engine

    def stop(self, timeout_s: float) -> None:
        """End the thread and the engine's processes."""
        self._stop.set()
        self._frames.close()
        self._thread.join(timeout_s)
        if self._next is not None and not self._thread.is_alive():
            self._next.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
        except Exception as error:
            logger.exception("the segmenter failed; the picture goes on without masks")
            self._defect = f"{type(error).__name__}: {error}"
            self.engine_state = "down"
        finally:
            self._engine.close()

    def _step(self) -> None:
        has_room = len(self._under_way) < self._engine.capacity and self._engine.is_ready
        waitables = self._engine.waitables()
        connection.wait([self._frames.fileno(), *waitables] if has_room else waitables, _STEP_S)
        for outcome in self._engine.poll():
            frame, submitted_ns = self._under_way.pop(outcome.sequence)
            self._hear(frame, outcome)
            self._answer_ms.add((time.monotonic_ns() - submitted_ns) / 1e6)
        if self._next is not None and not self._under_way:
            self._go_over(self._next)
        self._note()
        while self._next is None and len(self._under_way) < self._engine.capacity and self._engine.is_ready:
            newest = self._frames.take()
            if newest is None:
                break
            if self._is_too_late_for(newest):
                self.passed_over += 1
            else:
                self._submit(newest)
        if self._frames.closed and not self._under_way:
            self._stop.wait(_STEP_S)

    def _is_too_late_for(self, frame: SourceFrame) -> bool:
        """Tell whether a frame's answer would come too late; leaving it out lets the next one's be in time.

        Half of the time is always the engine's, so that one that was slow is seen to have become fast again.
        """
        if self._useful_ms is None:
            return False
        needs_ms = min(self._answer_ms.percentile(90) or 0.0, self._useful_ms / 2)
        return (time.monotonic_ns() - frame.arrived_ns) / 1e6 + needs_ms > self._useful_ms

    def _submit(self, frame: SourceFrame) -> None:
        try:
            given = engine_input(frame.picture, self._engine.info, self._engine.frame_bytes)
            sequence = self._engine.submit(given)
        except Exception as error:  # this frame does not fit; the next may
            self._give_up(frame, str(error).splitlines()[0])
            return
        if sequence is None:
            self._lose(frame, "no process could take it")
        else:
            self._under_way[sequence] = frame, time.monotonic_ns()

    def _hear(self, frame: SourceFrame, outcome: Outcome) -> None:
        if not isinstance(outcome, Segmented):
            self._lose(frame, f"{outcome.loss} {outcome.reason}")
            return
        if not np.isfinite(outcome.probability).all():  # no comparison holds for NaN: it would pass for "nothing there"
            self._give_up(frame, "the engine's answer is not a number")
            return
        if self._observe is not None:
            look = functools.partial(network_input_of, frame.picture, self._engine.info)
            self._observe(Sample(frame.index, frame.arrived_ns, look, outcome.probability))
        try:
            self._pin(frame, outcome)
        except Exception as error:  # one frame without a mask, not all that follow
            self._give_up(frame, f"{type(error).__name__}: {error}".splitlines()[0])

    def _give_up(self, frame: SourceFrame, reason: str) -> None:
        self.fault = f"a frame cannot be segmented: {reason}"
        self._lose(frame, reason)

    def _lose(self, frame: SourceFrame, reason: str) -> None:
        self.lost += 1
        now_s, (former, at_s) = time.monotonic(), self._logged
        if reason != former or now_s - at_s > _SAME_LOSS_S:
            self._logged = reason, now_s
            logger.warning("frame %d is lost: %s", frame.index, reason)

    def _go_over(self, engine: WorkerEngine) -> None:
        former, self._engine, self._next = self._engine, engine, None
        self._former_restarts += former.restarts
        self._answer_ms.clear()
        self.infer_ms.clear()
        self.infer_ms.add(self._next_infer_ms)
        threading.Thread(target=former.close, name="edgeseg-retired", daemon=True).start()  # it may take its time

    def _pin(self, frame: SourceFrame, outcome: Segmented) -> None:
        self.infer_ms.add(outcome.infer_ms)
        height, width = frame.picture.height, frame.picture.width
        probability = outcome.probability
        if self._refine is not None:
            probability = self._refine.probability(frame, probability)
        mask = mask_at_frame(self._engine.info, probability, height, width)
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
                marked_at_frame(self._engine.info, probability, height, width),
            )
        )
        self.inferences += 1
        self.fault = ""

    def _note(self) -> None:
        self.restarts = self._former_restarts + self._engine.restarts
        if self._engine.is_ready:
            self.engine_state, self.was_ready = "ready", True
        elif self._engine.is_down:
            self.engine_state = "down"
        else:
            self.engine_state = "restarting" if self.was_ready else "starting"
