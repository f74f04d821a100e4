"""An engine that computes, unseen, on frames that another has answered, while that one has nothing to do."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.frames import Probability
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import SessionInfo, mask_at_frame
from edgeseg.runtime.live.meters import RollingPercentiles
from edgeseg.runtime.video.engine_input import engine_input
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.worker.worker_engine import WorkerEngine

WINDOW = 200
"""Compared frames that the Dice is taken over."""


@dataclass(frozen=True, eq=False)
class _Question:
    """A frame, and what the shown engine says of it."""

    picture: Picture
    given: EngineInput
    probability: Probability


class Shadow:
    """Compares a new engine with the shown one, frame by frame; see `Beside`. `report` is for any thread.

    Args:
        engine: The new engine's processes, ready or not, which give way to all others; closed here.
        shown: The engine that is shown.
    """

    def __init__(self, engine: WorkerEngine, shown: SessionInfo) -> None:
        self._engine, self._shown = engine, shown
        self._newest: _Question | None = None
        self._under_way: _Question | None = None
        self._overlaps: deque[tuple[int, int]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()
        self.infer_ms = RollingPercentiles()
        self.is_paused = False
        """May be set from any thread: True compares nothing."""
        self.compared = self.lost = self.one_sided = 0

    @property
    def info(self) -> SessionInfo:
        """The new engine."""
        return self._engine.info

    def waitables(self) -> list[Any]:
        """Handles that become readable when it has answered."""
        return self._engine.waitables()

    def see(self, picture: Picture, given: EngineInput, outcome: Segmented) -> None:
        """Keep the newest answered frame."""
        self._newest = None if self.is_paused else _Question(picture, given, outcome.probability)

    def step(self, is_idle: bool) -> None:
        """Compare what has been answered; ask about the newest frame where the shown engine has nothing to do."""
        for outcome in self._engine.poll():
            question, self._under_way = self._under_way, None
            assert question is not None, "one frame may be in flight at a time"
            if isinstance(outcome, Segmented):
                self._compare(question, outcome)
            else:
                self.lost += 1
        question = self._newest
        if not (is_idle and question is not None and self._under_way is None and self._engine.is_ready):
            return
        self._newest, given = None, question.given
        if not isinstance(given, NetworkInput):
            given = engine_input(question.picture, self.info, self._engine.frame_bytes)
        if self._engine.submit(given) is not None:
            self._under_way = question

    def close(self) -> None:
        """End its processes."""
        self._engine.close()

    def report(self) -> dict[str, Any]:
        """The comparison so far, as JSON."""
        with self._lock:
            overlaps = list(self._overlaps)
        shared, marked = (sum(column) for column in zip(*overlaps, strict=True)) if overlaps else (0, 0)
        dice = None if not overlaps else 1.0 if marked == 0 else 2 * shared / marked
        return {
            "compared": self.compared,
            "lost": self.lost,
            "one_sided": self.one_sided,
            "dice": dice,
            "infer_ms": self.infer_ms.summary(),
            "is_ready": self._engine.is_ready,
        }

    def _compare(self, question: _Question, outcome: Segmented) -> None:
        height, width = outcome.probability.shape[1:]
        new = mask_at_frame(self.info, outcome.probability, height, width)
        shown = mask_at_frame(self._shown, question.probability, height, width)
        marked = int(np.count_nonzero(new)), int(np.count_nonzero(shown))
        shared = int(np.count_nonzero((new > 0) & (new == shown)))
        with self._lock:
            self._overlaps.append((shared, sum(marked)))
        self.infer_ms.add(outcome.infer_ms)
        self.compared += 1
        self.one_sided += (marked[0] > 0) != (marked[1] > 0)
