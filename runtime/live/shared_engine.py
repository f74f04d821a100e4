"""The thread that gives an engine the streams' newest frames, in turn, and hands each answer back to its stream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Protocol

from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Loss, Outcome, Segmented
from edgeseg.runtime.live.meters import RollingPercentiles
from edgeseg.runtime.live.segmenter import Segmenter
from edgeseg.runtime.live.states import EngineState
from edgeseg.runtime.live.turns import Turns
from edgeseg.runtime.video.engine_input import engine_input
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.worker.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)
RECENT = 50
"""Inferences that tell how fast an engine is now."""
_STEP_S = 0.05
_FATAL: tuple[Loss, ...] = ("died", "hung", "device")


class Beside(Protocol):
    """Computes while the engine has nothing to do; the engine's thread alone calls it."""

    def waitables(self) -> list[Any]:
        """Handles that become readable when `step` has something to do."""
        ...

    def see(self, picture: Picture, given: EngineInput, outcome: Segmented) -> None:
        """Look at a frame that the engine has answered; it must return at once."""
        ...

    def step(self, is_idle: bool) -> None:
        """Hear what is done, and begin something only where the engine has nothing to do."""
        ...

    def close(self) -> None:
        """End its processes."""
        ...


@dataclass(frozen=True, eq=False)
class _Flight:
    """A frame that the engine has."""

    number: int
    """The number of its stream."""
    frame: SourceFrame
    given: EngineInput
    submitted_ns: int


class SharedEngine:
    """One engine for one stream or several, in a thread of its own. No failure here reaches a picture.

    Args:
        engine: The engine; this thread alone uses it, and closes it at its end.
    """

    def __init__(self, engine: WorkerEngine) -> None:
        self._engine = engine
        self._segmenters: list[Segmenter] = []
        self._turns = Turns()
        self._next: WorkerEngine | None = None
        self._next_infer_ms, self._keeps_former = 0.0, False
        self._kept: WorkerEngine | None = None
        self._former_restarts = 0
        self._under_way: dict[int, _Flight] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeseg-engine", daemon=True)
        self._defect = ""
        self.beside: Beside | None = None
        """May be set before `start`; it is closed here."""
        self.report_roll_out: Callable[[], dict[str, Any] | None] = lambda: None
        """Tells how a new engine does beside this one; None where there is none. May be set before `start`."""
        self.infer_ms = RollingPercentiles(RECENT)
        """The newest inferences of the engine that runs now."""
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

    def add(self, segmenter: Segmenter) -> None:
        """Let one more stream take part; before `start`."""
        self._segmenters.append(segmenter)
        self._turns.add()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def exchange(self, engine: WorkerEngine, infer_ms: float, keep_former: bool = False) -> None:
        """Change to another engine once frames under way have come back; from any thread, one change at a time.

        Args:
            engine: The other engine, ready; it is closed here.
            infer_ms: Its inference time; see `Segmenter.change_engine`.
            keep_former: Keep the engine that runs now warm, so that a later exchange can go back to it.
        """
        self._next_infer_ms, self._keeps_former = infer_ms, keep_former
        self._next = engine

    def stop(self, timeout_s: float) -> None:
        """End the thread and the engine's processes."""
        self._stop.set()
        if self._thread.ident is None:
            self._close()
            return
        self._thread.join(timeout_s)
        if self._next is not None and self._next is not self._kept and not self._thread.is_alive():
            self._next.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
        except Exception as error:
            logger.exception("the engine's thread failed; pictures go on without masks")
            self._defect = f"{type(error).__name__}: {error}"
            self.engine_state = "down"
        finally:
            self._close()

    def _close(self) -> None:
        for each in (self._engine, self._kept, self.beside):
            if each is not None:
                each.close()

    def _step(self) -> None:
        beside = [] if self.beside is None else self.beside.waitables()
        connection.wait([*self._slots(), *self._engine.waitables(), *beside], _STEP_S)
        if self._kept is not None:
            self._kept.poll()  # a process of it that ended is started again
        for outcome in self._engine.poll():
            self._hear(self._under_way.pop(outcome.sequence), outcome)
        if self._next is not None and not self._under_way:
            self._go_over(self._next)
        self._note()
        while self._has_room():
            waiting = [len(segmenter.frames) > 0 for segmenter in self._segmenters]
            number = self._turns.next(waiting)
            if number is None:
                break
            frame = self._segmenters[number].take()
            if frame is not None:
                self._submit(number, frame)
        self._let_beside(lambda beside: beside.step(self._has_room() and not self._under_way))

    def _let_beside(self, do: Callable[[Beside], None]) -> None:
        """Let what computes beside the engine do something; if it fails it is ended, and the engine goes on."""
        if self.beside is None:
            return
        try:
            do(self.beside)
        except Exception:
            logger.exception("the new engine failed beside the one that is shown; it is no longer compared")
            failed, self.beside = self.beside, None
            failed.close()

    def _has_room(self) -> bool:
        return self._next is None and len(self._under_way) < self._engine.capacity and self._engine.is_ready

    def _slots(self) -> list[int]:
        """List the slots of streams that could have the next turn, to wait for their frames."""
        if not self._has_room():
            return []
        return [
            segmenter.frames.fileno()
            for number, segmenter in enumerate(self._segmenters)
            if not self._turns.rests(number) and not (segmenter.frames.closed and not len(segmenter.frames))
        ]

    def _submit(self, number: int, frame: SourceFrame) -> None:
        segmenter = self._segmenters[number]
        try:
            given = engine_input(frame.picture, self._engine.info, self._engine.frame_bytes)
            sequence = self._engine.submit(given)
        except Exception as error:  # this frame does not fit; the next may
            segmenter.give_up(frame, str(error).splitlines()[0])
            return
        if sequence is None:
            segmenter.lose(frame, "no process could take it")
        else:
            self._under_way[sequence] = _Flight(number, frame, given, time.monotonic_ns())

    def _hear(self, flight: _Flight, outcome: Outcome) -> None:
        if isinstance(outcome, Segmented):
            self.infer_ms.add(outcome.infer_ms)
            self._let_beside(lambda beside: beside.see(flight.frame.picture, flight.given, outcome))
        elif outcome.loss in _FATAL:
            self._turns.note_fatal(flight.number)
        answer_ms = (time.monotonic_ns() - flight.submitted_ns) / 1e6
        self._segmenters[flight.number].hear(flight.frame, outcome, self._engine.info, answer_ms)

    def _go_over(self, engine: WorkerEngine) -> None:
        former, self._engine, self._next = self._engine, engine, None
        self._former_restarts += former.restarts - (engine.restarts if engine is self._kept else 0)
        self._kept = former if self._keeps_former else None
        self.infer_ms.clear()
        for segmenter in self._segmenters:
            segmenter.change_engine(self._next_infer_ms)
        if not self._keeps_former:  # it may take its time
            threading.Thread(target=former.close, name="edgeseg-retired", daemon=True).start()

    def _note(self) -> None:
        self.restarts = self._former_restarts + self._engine.restarts
        if self._engine.is_ready:
            self.engine_state, self.was_ready = "ready", True
        elif self._engine.is_down:
            self.engine_state = "down"
        else:
            self.engine_state = "restarting" if self.was_ready else "starting"
