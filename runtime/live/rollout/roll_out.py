"""Changes over from the engine that runs to a new one at a frame border, and back, by hand or by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.rollout.shadow import Shadow
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.sinks.lines import utc_text
from edgeseg.runtime.live.takeover import name_of, prove
from edgeseg.runtime.worker.worker_engine import WorkerEngine

logger = logging.getLogger(__name__)
Action = Literal["switch", "back"]
Phase = Literal["shadow", "opening", "shown"]
"""The new engine computes unseen; its own processes are opened beside; it is shown, and the old one is kept warm."""
ENOUGH = 25
"""Compared frames before it may be shown, and its inferences before it is judged."""
SLOWER = 2.0
"""It is taken back when it takes so many times as long as the old one, where no limit is named."""
MASK_ALARMS = ("dice", "flicker")
"""The drift watch's alarms that speak of masks; the others speak of pictures, which no engine changes."""
KEPT_EVENTS = 50


class RollOutRefusedError(EdgesegError):
    """The engines cannot be changed now."""


@dataclass(frozen=True, eq=False)
class RollOutEvent:
    """A change from one engine to another, or one that failed."""

    change: Literal["switched", "back", "failed"]
    engine: str
    """The engine that is shown from then on."""
    reason: str
    arrived_ns: int
    """When, by `time.monotonic_ns`."""
    recordable: bool = True
    """Always: it has no picture."""

    def to_dict(self) -> dict[str, object]:
        """Give the change as JSON, with the time of day by the clock as it is now."""
        return {
            "event": "roll-out",
            "change": self.change,
            "engine": self.engine,
            "reason": self.reason,
            "time": utc_text(self.arrived_ns),
        }


class RollOut:
    """The way of a new engine onto the screen; `ask`, `report` and `events` are for any thread, `look` for one.

    Args:
        shared: The engine that runs; its thread runs the shadow, too.
        shadow: The new engine, unseen.
        open_engine: Opens the new engine as one that is shown.
        monitors: The streams' drift watches.
        limit_ms: The median inference beyond which it is taken back; None takes twice the old engine's.
    """

    def __init__(
        self,
        shared: SharedEngine,
        shadow: Shadow,
        open_engine: Callable[[], WorkerEngine],
        monitors: Sequence[DriftMonitor] = (),
        limit_ms: float | None = None,
    ) -> None:
        self._shared, self._shadow, self._open_engine = shared, shadow, open_engine
        self._monitors, self._named_limit_ms = tuple(monitors), limit_ms
        self._lock = threading.Lock()
        self._phase: Phase = "shadow"
        self._old = shared.engine
        self._new: WorkerEngine | None = None
        self._old_infer_ms = 0.0
        self._limit_ms: float | None = limit_ms
        self._alarms_before: frozenset[str] = frozenset()
        self._opener: threading.Thread | None = None
        self._ending = threading.Event()
        self._events: deque[RollOutEvent] = deque(maxlen=KEPT_EVENTS)
        self._switches = self._backs = 0
        self.listeners: list[Callable[[RollOutEvent], None]] = []
        """Told of every change; to be filled before streams run."""
        shared.beside = shadow
        shared.report_roll_out = self.report

    @property
    def is_shown(self) -> bool:
        """True while the new engine is the one that is shown."""
        return self._phase == "shown"

    def ask(self, action: Action) -> None:
        """Begin a change: to the new engine, which is opened first, or back to the old one at once.

        Raises:
            RollOutRefusedError: It cannot be had now.
        """
        with self._lock:
            if action == "back":
                if self._phase != "shown" or self._shared.engine is not self._new:
                    raise RollOutRefusedError("there is nothing to take back", found=f"phase {self._phase}")
                self._go_back("asked for")
                return
            if self._phase != "shadow" or self._shared.engine is not self._old:
                raise RollOutRefusedError("the new engine is shown already, or about to be", found=self._phase)
            if self._shadow.compared < ENOUGH:
                raise RollOutRefusedError(
                    "the new engine has not been compared long enough",
                    found=f"{self._shadow.compared} frames",
                    expected=f"at least {ENOUGH}",
                    next_command="wait, and look at its Dice first",
                )
            self._phase = "opening"
            self._opener = threading.Thread(target=self._open, name="edgeseg-roll-out", daemon=True)
            self._opener.start()

    def look(self) -> None:
        """Take the new engine back where it does worse; a few times a second."""
        with self._lock:
            if self._phase == "shown" and self._shared.engine is self._new:
                reason = self._complaint()
                if reason:
                    self._backs += 1
                    self._go_back(reason)

    def stop(self, timeout_s: float) -> None:
        """End what is being opened."""
        self._ending.set()
        if self._opener is not None:
            self._opener.join(timeout_s)

    def report(self) -> dict[str, Any]:
        """All figures, as JSON."""
        info = self._shadow.info
        return {
            "phase": self._phase,
            "engine": {"backend": info.backend, "precision": info.precision, "engine": info.sha256},
            "limit_ms": self._limit_ms,
            "switches": self._switches,
            "backs": self._backs,
            "events": [event.to_dict() for event in self.events()],
            "shadow": self._shadow.report(),
        }

    def events(self) -> list[RollOutEvent]:
        """The newest changes, oldest first."""
        return list(self._events)

    def _open(self) -> None:
        model = self._shadow.info.model
        engine: WorkerEngine | None = None
        try:
            engine = self._open_engine()
            frame = np.zeros((model.height, model.width, 3), np.uint8)
            infer_ms = prove(engine, frame, self._ending.is_set)
        except Exception as error:
            if engine is not None:
                engine.close()
            with self._lock:
                self._phase = "shadow"
                if not self._ending.is_set():
                    self._note("failed", self._old, str(error).splitlines()[0])
            return
        with self._lock:
            self._old_infer_ms = self._shared.infer_ms.percentile(50) or 0.0
            self._limit_ms = self._named_limit_ms or SLOWER * self._old_infer_ms
            self._alarms_before = self._alarms()
            self._new, self._phase, self._shadow.is_paused = engine, "shown", True
            self._switches += 1
            self._shared.exchange(engine, infer_ms, keep_former=True)
            self._note("switched", engine, "asked for")

    def _complaint(self) -> str:
        state = self._shared.engine_state
        if state != "ready":
            return f"the new engine is {state}"
        median_ms = self._shared.infer_ms.percentile(50)
        enough = self._shared.infer_ms.count >= ENOUGH
        if enough and self._limit_ms and median_ms is not None and median_ms > self._limit_ms:
            return f"the new engine takes {median_ms:.1f} ms, over its limit of {self._limit_ms:.1f} ms"
        began = sorted(self._alarms() - self._alarms_before)
        return f"the drift watch raised an alarm: {', '.join(began)}" if began else ""

    def _alarms(self) -> frozenset[str]:
        return frozenset(alarm for monitor in self._monitors for alarm in monitor.alarms if alarm in MASK_ALARMS)

    def _go_back(self, reason: str) -> None:
        """Show the old engine from the next frame border on; the new one's processes end then."""
        self._shared.exchange(self._old, self._old_infer_ms)
        self._new, self._phase, self._shadow.is_paused = None, "shadow", False
        self._note("back", self._old, reason)

    def _note(self, change: Literal["switched", "back", "failed"], engine: WorkerEngine, reason: str) -> None:
        event = RollOutEvent(change, name_of(engine.info), reason, time.monotonic_ns())
        logger.warning("roll-out: %s, %s is shown: %s", change, event.engine, reason)
        self._events.append(event)
        for listen in self.listeners:
            listen(event)
