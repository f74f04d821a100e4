"""An engine in a process of its own, so that what happens to the engine does not happen to the picture.

The parent never waits for the worker beyond the time that its caller gives: a frame that cannot be taken is passed, a
frame whose worker dies, hangs or errs is lost, and the worker is started again within bounds. No thread runs here;
`submit` and `poll` move everything on, so one of them is to be called at least once a frame.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from edgeseg.errors import EdgesegError, MismatchError
from edgeseg.runtime.engine.failures import LOST_EXIT_CODE, EngineDownError, ProcessLostError
from edgeseg.runtime.engine.inputs import EngineInput, taken_apart
from edgeseg.runtime.engine.outcomes import Loss, Outcome
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.worker.counts import SupervisorCounts, WorkerState
from edgeseg.runtime.worker.flights import Flights
from edgeseg.runtime.worker.messages import Answered, Failed, Ready, Refused, Submitted
from edgeseg.runtime.worker.process import WorkerProcess
from edgeseg.runtime.worker.restarts import RestartBudget, RestartLimit
from edgeseg.runtime.worker.ring import FrameRing, RingLayout
from edgeseg.runtime.worker.worker_loop import EngineFactory


@dataclass(frozen=True)
class SupervisorOptions:
    """Bounds of a supervised process."""

    slots: int = 4
    """Frames that may be under way at once."""
    frame_bytes: int = 1920 * 1080 * 3
    """Room for one frame."""
    answer_deadline_s: float = 1.0
    """Longest time from the last sign of progress to the next answer; past it the worker counts as hung."""
    start_deadline_s: float = 120.0
    """Time to load and warm the engine."""
    end_deadline_s: float = 2.0
    """Time for a worker to end once it has said that it will."""
    restarts: RestartLimit = field(default_factory=RestartLimit)
    niceness: int = 0
    """0 to 19: how readily the worker gives way to every other process."""


class Supervisor:
    """One worker process and its successors: frames in, outcomes out. It starts at once. For one thread.

    Args:
        factory: Opens the engine, in the worker; pickled, so a module's function with small arguments.
        info: What it will open; a worker that opens something else is not used.
        options: Bounds.
    """

    def __init__(self, factory: EngineFactory, info: SessionInfo, options: SupervisorOptions | None = None) -> None:
        self._options = options or SupervisorOptions()
        self._factory = factory
        self._info = info
        shape = (info.model.channels, info.model.height, info.model.width)
        self._ring = FrameRing.create(RingLayout(self._options.slots, self._options.frame_bytes, shape))
        self.counts = SupervisorCounts()
        self._flights = Flights(self._ring, self.counts)
        self._budget = RestartBudget(self._options.restarts)
        self.failure: EdgesegError | None = None
        """The last error that a worker ended with by its own word."""
        self._hopeless = False
        self.device_name: str | None = None
        """The GPU that the newest ready worker runs on."""
        self.pinned = False
        """True if that GPU reads frames from the shared memory without one more copy."""
        self._state: WorkerState = "starting"
        self._loss: Loss = "died"
        self._progress_s = 0.0
        self._worker = self._spawn()

    @property
    def restarts(self) -> int:
        """Workers that were started after the first."""
        return self.counts.restarts

    @property
    def any_under_way(self) -> bool:
        """True if a frame waits for its outcome."""
        return self._flights.any_under_way or self._flights.has_outcomes

    @property
    def under_way(self) -> int:
        """Frames that wait for their outcome."""
        return self._flights.count

    @property
    def has_room(self) -> bool:
        """True if a ready worker could take another frame."""
        return self._flights.has_room

    @property
    def state(self) -> WorkerState:
        """The worker's state, as of the last call."""
        return self._state

    @property
    def worker_pid(self) -> int | None:
        """The worker's id; None where there is no worker."""
        return None if self._state in ("resting", "down", "closed") else self._worker.pid

    def waitables(self) -> list[Any]:
        """Handles that become readable when the worker has said something or ended; empty where neither will happen."""
        return [] if self._state in ("resting", "down", "closed") else self._worker.waitables()

    def advance(self) -> None:
        """Hear the worker and watch its deadline, without waiting."""
        self._advance(0.0)

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the worker takes frames; the one call that may take long.

        Raises:
            EdgesegError: The worker's own error, where it is given up; or it was not ready in time.
        """
        until = time.monotonic() + timeout_s
        while self._state != "ready":
            if self._state in ("down", "closed"):
                raise self.failure or never_ready("the engine's process ended again and again before it was ready")
            if time.monotonic() >= until:
                raise never_ready(f"the engine was not ready within {timeout_s} s")
            self._advance(0.05)

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; it is copied into its slot.

        Args:
            frame: A frame of any size that has room.

        Returns:
            Its sequence number, or None where no worker can take it now: show it as it is.

        Raises:
            BadInputError: It is larger than the room for one.
        """
        samples, form = taken_apart(frame)
        self._ring.check_room(samples.shape)
        self._advance(0.0)
        if self._state != "ready" or not self._flights.has_room:
            self.counts.passed += 1
            return None
        if not self._flights.any_under_way:
            self._progress_s = time.monotonic()
        sequence, slot = self._flights.begin()
        self._ring.frame(slot, samples.shape)[...] = samples
        self._worker.send(Submitted(sequence, slot, samples.shape, form))
        return sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call, each frame once.

        Args:
            timeout_s: Wait so long where nothing has, but a frame is under way.
        """
        until = time.monotonic() + timeout_s
        self._advance(0.0)
        while self._flights.any_under_way and not self._flights.has_outcomes:
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            self._advance(left_s)
        return self._flights.take_outcomes()

    def close(self) -> None:
        """End the worker and remove the shared memory; frames under way are lost. Closing twice is fine."""
        if self._state == "closed":
            return
        self._flights.lose_all("closed", "the engine was closed")
        self._worker.stop()
        self._state = "closed"
        self._ring.close()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self) -> WorkerProcess:
        self.counts.worker_starts += 1
        self._state, self._loss = "starting", "died"
        worker = WorkerProcess(self._factory, self._ring, self._options.niceness)
        self._progress_s = time.monotonic()
        return worker

    def _advance(self, timeout_s: float) -> None:
        """One step: hear the worker, watch its deadline, reap and replace it when it is dead."""
        if self._state == "resting":
            self._start_again()
        if self._state in ("resting", "down", "closed"):
            return
        for message in self._worker.receive(max(0.0, min(timeout_s, self._left_s()))):
            self._take(message)
        if self._worker.broken and self._state != "ending":
            self._begin_end(self._loss)
        elif self._left_s() <= 0:
            if self._state != "ending":
                self._begin_end("hung")
            self._worker.kill()
        exit_code = self._worker.reap() if self._state == "ending" else None
        if exit_code is not None:
            self._bury(exit_code)

    def _left_s(self) -> float:
        """Time until the worker is overdue; a worker that has nothing to do never is."""
        options = self._options
        allowed_s = {"starting": options.start_deadline_s, "ending": options.end_deadline_s}.get(self._state)
        if allowed_s is None:
            allowed_s = options.answer_deadline_s if self._flights.any_under_way else float("inf")
        return self._progress_s + allowed_s - time.monotonic()

    def _take(self, message: object) -> None:
        self._progress_s = time.monotonic()
        if isinstance(message, Ready):
            self._meet(message)
        elif isinstance(message, Answered):
            self._flights.answered(message.sequence, message.infer_ns, message.stages_ns)
        elif isinstance(message, Refused):
            self._flights.refused(message.sequence, message.error)
        elif isinstance(message, Failed):
            self.failure, self._hopeless = message.error, not message.again
            loss: Loss = "device" if isinstance(message.error, ProcessLostError) else "died"
            self._begin_end(loss, str(message.error))

    def _meet(self, ready: Ready) -> None:
        if ready.info == self._info:
            self._state, self.device_name, self.pinned = "ready", ready.device_name, ready.pinned
            return
        what = "the engine's process opened another engine"
        self.failure = MismatchError(what, found=ready.info, expected=self._info)
        self._hopeless = True
        self._begin_end("died")
        self._worker.kill()

    def _begin_end(self, loss: Loss, reason: str = "") -> None:
        """The worker's frames are lost now; it is replaced once it is reaped."""
        self._state, self._loss = "ending", loss
        self._progress_s = time.monotonic()
        self._flights.lose_all(loss, reason)

    def _bury(self, exit_code: int) -> None:
        if self._loss == "hung":
            self.counts.hangs += 1
        elif exit_code == LOST_EXIT_CODE:
            self.counts.device_losses += 1
        else:
            self.counts.deaths += 1
        self._start_again()

    def _start_again(self) -> None:
        without: WorkerState = "down" if self._hopeless or self._options.restarts.is_final else "resting"
        if self._hopeless or not self._budget.take(time.monotonic()):
            self._state = without
            return
        self.counts.restarts += 1
        try:
            self._worker = self._spawn()
        except OSError as error:  # no process can be had; the picture goes on without one
            self.failure = EdgesegError("the engine's process cannot be started again", found=error)
            self._state = without


def never_ready(what: str) -> EngineDownError:
    """Say that no process came up."""
    return EngineDownError(what, expected="an engine that starts and stays up", next_command="edgeseg doctor")
