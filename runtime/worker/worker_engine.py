"""Supervised processes of one engine: some work, spares stand ready, so that a death costs a frame and not a second."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput, size_of
from edgeseg.runtime.engine.outcomes import Outcome
from edgeseg.runtime.engine.session import SessionInfo, check_crop
from edgeseg.runtime.worker.supervisor import Supervisor, SupervisorOptions, never_ready

OpenFor = Callable[[int], Engine]
"""Opens the engine inside a worker, with room for frames of so many bytes; pickled, so a module's function."""
_STEP_S = 0.05
"""How often deadlines are looked at while nothing is heard."""


@dataclass(frozen=True)
class WorkerOptions:
    """How many processes, and the bounds of each."""

    active: int = 1
    """Processes that are given frames at a time."""
    spares: int = 0
    """Loaded and warm processes beyond that; each holds the engine's memory."""
    grows: bool = True
    """True if a frame larger than all before gets new processes with more room; otherwise it is refused."""
    supervisor: SupervisorOptions = field(default_factory=SupervisorOptions)


class WorkerEngine:
    """Supervised processes as one `Engine`; they start at once, and outcomes may come out of order. For one thread.

    Args:
        open_for: Opens the engine in a worker.
        info: What it will open.
        options: How many, and bounds.
    """

    def __init__(self, open_for: OpenFor, info: SessionInfo, options: WorkerOptions | None = None) -> None:
        self._open_for, self._info = open_for, info
        self._options = options or WorkerOptions()
        self._room_bytes = self._options.supervisor.frame_bytes
        self._former_restarts = 0
        self._workers: list[Supervisor] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._sequence = 0
        self._start()

    @property
    def info(self) -> SessionInfo:
        """The network, and where it runs."""
        return self._info

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._options.active * self._options.supervisor.slots

    @property
    def frame_bytes(self) -> int:
        """Room for one frame, in bytes."""
        return self._room_bytes

    @property
    def under_way(self) -> int:
        """Frames that are under way."""
        return len(self._numbers)

    @property
    def restarts(self) -> int:
        """How often a process that had ended was started again."""
        return self._former_restarts + sum(worker.restarts for worker in self._workers)

    @property
    def device_name(self) -> str | None:
        """The GPU that a ready process runs on; None on the host's processor."""
        return next((worker.device_name for worker in self._workers if worker.device_name), None)

    @property
    def is_ready(self) -> bool:
        """True if a process takes frames, as of the last call."""
        return any(worker.state == "ready" for worker in self._workers)

    @property
    def is_down(self) -> bool:
        """True if every process was given up."""
        return all(worker.state in ("down", "closed") for worker in self._workers)

    @property
    def failure(self) -> EdgesegError | None:
        """The last error that a process ended with by its own word."""
        return next((worker.failure for worker in self._workers if worker.failure is not None), None)

    @property
    def worker_pids(self) -> list[int]:
        """Ids of the processes, those that are given frames first."""
        return [worker.worker_pid for worker in self._workers if worker.worker_pid is not None]

    def waitables(self) -> list[Any]:
        """Handles that become readable when `poll` has something to do, for `multiprocessing.connection.wait`."""
        return [item for worker in self._workers for item in worker.waitables()]

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until one process takes frames.

        Raises:
            EdgesegError: All are given up (their own error, where they gave one), or none was ready in time.
        """
        until_s = time.monotonic() + timeout_s
        while not self.is_ready:
            if all(worker.state in ("resting", "down", "closed") for worker in self._workers):
                raise self.failure or never_ready("the engine's process ended again and again before it was ready")
            if time.monotonic() >= until_s:
                raise never_ready(f"the engine was not ready within {timeout_s} s")
            connection.wait(self.waitables(), _STEP_S)
            for worker in self._workers:
                worker.advance()

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Say whether the processes have pinned the memory that they share: frames are copied there, not read here."""
        return any(worker.pinned for worker in self._workers)

    def submit(self, frame: EngineInput) -> int | None:
        """Copy a frame over to the process with the least to do; see `Engine`.

        Raises:
            BadInputError: The network's crop does not lie inside it, or there is no room for it.
        """
        if not isinstance(frame, NetworkInput):
            check_crop(self._info.preprocess.crop, *size_of(frame))
        if frame.nbytes > self._room_bytes and self._options.grows:
            if any(worker.any_under_way for worker in self._workers):
                return None
            self._grow(frame.nbytes)
        self._sort()
        ready = [worker for worker in self._workers if worker.state == "ready"] or self._workers
        for worker in sorted(ready[: self._options.active], key=lambda worker: worker.under_way):
            number = worker.submit(frame)
            if number is not None:
                self._sequence += 1
                self._numbers[id(worker), number] = self._sequence
                return self._sequence
        return None

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call; see `Engine`."""
        until_s = time.monotonic() + timeout_s
        while True:
            outcomes = [
                replace(outcome, sequence=self._numbers.pop((id(worker), outcome.sequence)))
                for worker in self._workers
                for outcome in worker.poll()
            ]
            left_s = until_s - time.monotonic()
            if outcomes or not self._numbers or left_s <= 0:
                return outcomes
            connection.wait(self.waitables(), min(left_s, _STEP_S))

    def close(self) -> None:
        """End all processes; closing twice is fine."""
        for worker in self._workers:
            worker.close()

    def _start(self) -> None:
        """Start the first processes, or new ones where all have been closed."""
        options = replace(self._options.supervisor, frame_bytes=self._room_bytes)
        factory = functools.partial(self._open_for, self._room_bytes)
        self._workers = []
        try:
            for _ in range(self._options.active + self._options.spares):
                self._workers.append(Supervisor(factory, self._info, options))
        except BaseException:
            self.close()
            raise

    def _grow(self, frame_bytes: int) -> None:
        self._former_restarts = self.restarts
        self.close()
        self._room_bytes = frame_bytes
        self._start()

    def _sort(self) -> None:
        """Order the processes: those that are ready first; one that came back becomes the spare."""
        self._workers = sorted(self._workers, key=lambda worker: worker.state != "ready")  # others may be reading it
