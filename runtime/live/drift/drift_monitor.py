"""The drift watch beside a running stream, in a thread of its own; the engine's thread only lays frames down for it.

The reference runs in a process that gives way to all others. Whatever becomes of it, the stream does not notice: it is
started again within bounds, and past them pictures and flicker are watched without it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Literal

import cv2

from edgeseg.frames import Frame, Mask, Probability, mask_from_probability
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.scene.drift import DriftState, DriftWatch
from edgeseg.runtime.live.scene.flicker import mask_flicker
from edgeseg.runtime.live.scene.motion import estimate_motion
from edgeseg.runtime.live.scene.sampling import Check, Sample, Sampler
from edgeseg.runtime.live.scene.statistics import image_statistics
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.live.takeover import name_of, prove
from edgeseg.runtime.worker.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)
Exchange = Callable[[WorkerEngine, float], None]
"""Makes the stream go over to another engine, which takes so many milliseconds a frame."""
FallBack = Literal["off", "armed", "done", "failed"]
FALL_BACK_TRIES = 3
KEPT_EVENTS = 200
_STEP_S = 0.05


@dataclass(frozen=True)
class MonitorOptions:
    """How the engine is watched."""

    every: int = 50
    """Frames that the engine segmented from one check to the next: a reference ten times as slow as the engine takes a
    fifth of a core."""
    fall_back: Callable[[], WorkerEngine] | None = None
    """Opens the reference as the stream's own engine; None never goes over to it."""
    is_gated: Callable[[], bool] = lambda: False
    """Tells whether no tissue is seen now; such frames say nothing of the engine."""


class DriftMonitor:
    """Holds a sample of the engine's answers against the reference's; alarms, figures and events are for any thread.

    Args:
        watch: Judges.
        live: The engine that is watched.
        reference: Its processes, ready or not; None watches pictures and flicker alone. The monitor closes it.
        options: How.
    """

    def __init__(
        self,
        watch: DriftWatch,
        live: SessionInfo,
        reference: WorkerEngine | None = None,
        options: MonitorOptions | None = None,
    ) -> None:
        self._watch, self._live, self._reference = watch, live, reference
        self._reference_info = None if reference is None else reference.info
        self._options = options or MonitorOptions()
        self._sampler = Sampler(self._options.every)
        self._checks: NewestSlot[Check] = NewestSlot()
        self._under_way: Check | None = None
        self._exchange: Exchange | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeseg-drift", daemon=True)
        self._state = DriftState(0, None, None, {})
        self._events: deque[tuple[float, str]] = deque(maxlen=KEPT_EVENTS)
        self._tries = self._former_restarts = 0
        self._defect = ""
        self.checks = self.lost = 0
        self.fall_back: FallBack = "off" if self._options.fall_back is None else "armed"

    def see(self, sample: Sample) -> None:
        """Look at a segmented frame, in the engine's thread: at most a reference to it is kept."""
        if self._options.is_gated():
            return
        check = self._sampler.take(sample)
        if check is not None:
            self._checks.put(check)

    def start(self, exchange: Exchange) -> None:
        """Begin.

        Args:
            exchange: Makes the stream go over to another engine; called at most once, from the monitor's thread.
        """
        self._exchange = exchange
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread and the reference's process."""
        self._stop.set()
        self._checks.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        elif self._reference is not None:
            self._reference.close()

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that hold now, in a word each."""
        return ("fallen-back", *self._state.alarms) if self.fall_back == "done" else self._state.alarms

    def complaints(self) -> Iterator[str]:
        """Say what is wrong now, for a person."""
        if self.fall_back == "done" and self._reference_info is not None:
            yield f"fallen back to the reference, {name_of(self._reference_info)}"
        state = self._state
        for alarm in state.alarms:
            yield f"drift: {state.describe(alarm)}"
        if self.fall_back == "failed":
            yield "the reference could not take over"

    def events(self) -> list[tuple[float, str]]:
        """The newest alarms and their ends, oldest first, with the time of day in seconds since 1970."""
        return list(self._events)

    def report(self) -> dict[str, Any]:
        """All figures, as JSON."""
        state, info = self._state, self._reference_info
        reference = None
        if info is not None:
            reference = {"backend": info.backend, "precision": info.precision, "engine": info.sha256}
        before = {"backend": self._live.backend, "precision": self._live.precision, "engine": self._live.sha256}
        return {
            "reference": reference,
            "reference_state": self._reference_state(),
            "reference_restarts": self._restarts(),
            "reference_lost": self.lost,
            "every": self._options.every,
            "checks": self.checks,
            "missed": self._checks.drops,
            "dice": state.dice,
            "flicker": state.flicker,
            "distances": state.distances,
            "has_statistics": self._watch.training is not None,
            "alarms": list(self.alarms),
            "fall_back": self.fall_back,
            "fallen_back_from": before if self.fall_back == "done" else None,
            "defect": self._defect,
        }

    def _reference_state(self) -> str:
        reference = self._reference
        if self._reference_info is None:
            return "none"
        if reference is None:
            return "live"
        if self._stop.is_set():
            return "stopped"
        return "ready" if reference.is_ready else "down" if reference.is_down else "starting"

    def _restarts(self) -> int:
        reference = self._reference
        return self._former_restarts + (0 if reference is None else reference.restarts)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
        except Exception as error:
            logger.exception("the drift watch failed; the stream goes on without it")
            self._defect = f"{type(error).__name__}: {error}"
        finally:
            if self._reference is not None:
                self._reference.close()

    def _step(self) -> None:
        reference = self._reference
        if reference is None:
            check = self._checks.take(_STEP_S)
            if check is not None:
                self._judge(check, None)
            return
        takes = self._under_way is None and (reference.is_ready or reference.is_down)
        waitables = reference.waitables()
        connection.wait([self._checks.fileno(), *waitables] if takes else waitables, _STEP_S)
        self._hear(reference)
        if self._reference is reference and self._under_way is None and (reference.is_ready or reference.is_down):
            self._ask(reference)

    def _hear(self, reference: WorkerEngine) -> None:
        for outcome in reference.poll():
            check, self._under_way = self._under_way, None
            assert check is not None, "one frame may be in flight at a time"
            if isinstance(outcome, Segmented):
                self._judge(check, outcome.probability)
            else:
                self.lost += 1
                logger.warning("the reference gave no answer: %s %s", outcome.loss, outcome.reason)
                self._judge(check, None)

    def _ask(self, reference: WorkerEngine) -> None:
        check = self._checks.take()
        if check is None:
            return
        if reference.submit(check.sample.input) is not None:
            self._under_way = check
        else:
            self._judge(check, None)

    def _judge(self, check: Check, reference: Probability | None) -> None:
        sample, before = check.sample, check.before
        mask = _mask(sample)
        flicker = None
        if before is not None:
            motion = estimate_motion(_luma(before.frame), _luma(sample.frame))
            flicker = mask_flicker(_marked(_mask(before)), _marked(mask), motion)
        said = None if reference is None else mask_from_probability(reference, *mask.shape)
        self._state = state = self._watch.check(mask, said, image_statistics(sample.frame), flicker)
        self.checks += 1
        for alarm in state.began:
            self._note(f"drift: {state.describe(alarm)}")
        for alarm in state.ended:
            self._note(f"drift is over: {state.describe(alarm)}")
        if state.fall_back and self.fall_back == "armed" and not self._stop.is_set():
            self._fall_back(sample.frame)

    def _note(self, text: str) -> None:
        logger.warning("%s", text)
        self._events.append((time.time(), text))

    def _fall_back(self, frame: Frame) -> None:
        """Bring the reference up beside the engine, see it answer, then change over."""
        assert self._options.fall_back is not None
        assert self._exchange is not None
        self._tries += 1
        reference: WorkerEngine | None = None
        try:
            reference = self._options.fall_back()
            infer_ms = prove(reference, frame, self._stop.is_set)
        except Exception as error:
            if reference is not None:
                reference.close()
            if self._stop.is_set():
                return
            self._note(f"the reference could not take over: {str(error).splitlines()[0]}")
            if self._tries >= FALL_BACK_TRIES:
                self.fall_back = "failed"
            return
        checker, self._reference = self._reference, None
        self._former_restarts += 0 if checker is None else checker.restarts
        self._exchange(reference, infer_ms)
        self._state, self.fall_back = self._watch.forget_masks(self._state), "done"
        self._note(f"fallen back from {name_of(self._live)} to the reference, {name_of(reference.info)}")
        if checker is not None:
            checker.close()


def _mask(sample: Sample) -> Mask:
    return mask_from_probability(sample.probability, *sample.probability.shape[1:])


def _marked(mask: Mask) -> Mask:
    marked: Mask = (mask > 0).astype("uint8") * 255
    return marked


def _luma(frame: Frame) -> Mask:
    luma: Mask = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
    return luma
