"""Several processes with one engine: some work, a spare stands ready; a death costs a frame and not a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.failures import EngineDownError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.worker.loop import SessionFactory
from edgeseg.runtime.worker.supervisor import SupervisedSession, SupervisorOptions

_STEP_S = 0.05
"""How often deadlines are looked at while nothing is heard."""


@dataclass(frozen=True)
class PoolOptions:
    """How many processes, and the bounds of each."""

    active: int = 1
    """Processes that are given frames at a time."""
    spares: int = 1
    """Loaded and warm processes beyond that; each holds the engine's memory."""
    supervisor: SupervisorOptions = field(default_factory=lambda: SupervisorOptions(slots=1))


class EnginePool:
    """Supervised sessions of one engine as one `FrameEngine`; outcomes may come out of order. For one thread.

    Args:
        factory: Opens the session in a worker; pickled.
        info: What it will open.
        options: How many, and bounds.
    """

    def __init__(self, factory: SessionFactory, info: SessionInfo, options: PoolOptions | None = None) -> None:
        self._options = options or PoolOptions()
        self._info = info
        self._sessions: list[SupervisedSession] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._sequence = 0
        try:
            for _ in range(self._options.active + self._options.spares):
                self._sessions.append(SupervisedSession(factory, info, self._options.supervisor))
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> SessionInfo:
        """The network that runs, and where."""
        return self._info

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._options.active * self._options.supervisor.slots

    @property
    def frame_bytes(self) -> int:
        """Room for one frame."""
        return self._options.supervisor.frame_bytes

    @property
    def under_way(self) -> int:
        """Frames that are."""
        return len(self._numbers)

    @property
    def restarts(self) -> int:
        """Processes that were started after the first ones."""
        return sum(session.restarts for session in self._sessions)

    @property
    def device_name(self) -> str | None:
        """The GPU that a ready process runs on."""
        return next((session.device_name for session in self._sessions if session.device_name), None)

    @property
    def is_ready(self) -> bool:
        """True if a process takes frames, as of the last call."""
        return any(session.state == "ready" for session in self._sessions)

    @property
    def is_down(self) -> bool:
        """True if every process was given up."""
        return all(session.state in ("down", "closed") for session in self._sessions)

    @property
    def failure(self) -> EdgesegError | None:
        """The last error that a process ended with by its own word."""
        return next((session.failure for session in self._sessions if session.failure is not None), None)

    @property
    def worker_pids(self) -> list[int]:
        """Ids of the processes, those that are given frames first."""
        return [session.worker_pid for session in self._sessions if session.worker_pid is not None]

    def waitables(self) -> list[Any]:
        """Handles that become readable when `poll` has something to do, for `multiprocessing.connection.wait`."""
        return [item for session in self._sessions for item in session.waitables()]

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until one process takes frames.

        Raises:
            EdgesegError: All are given up, or none was ready in time.
        """
        until_s = time.monotonic() + timeout_s
        while not self.is_ready:
            if all(session.state in ("resting", "down", "closed") for session in self._sessions):
                raise self.failure or EngineDownError("the engine's processes ended before one was ready")
            if time.monotonic() >= until_s:
                raise EngineDownError(f"the engine was not ready within {timeout_s} s", next_command="edgeseg doctor")
            connection.wait(self.waitables(), _STEP_S)
            for session in self._sessions:
                session.advance()

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame to the process with the least to do; see `FrameEngine`."""
        self._sort()
        ready = [session for session in self._sessions if session.state == "ready"][: self._options.active]
        for session in sorted(ready, key=lambda session: session.under_way):
            if not session.has_room:
                continue
            number = session.submit(frame)
            if number is not None:
                self._sequence += 1
                self._numbers[id(session), number] = self._sequence
                return self._sequence
        return None

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call; see `FrameEngine`."""
        until_s = time.monotonic() + timeout_s
        while True:
            outcomes = [
                replace(outcome, sequence=self._numbers.pop((id(session), outcome.sequence)))
                for session in self._sessions
                for outcome in session.poll()
            ]
            left_s = until_s - time.monotonic()
            if outcomes or not self._numbers or left_s <= 0:
                return outcomes
            connection.wait(self.waitables(), min(left_s, _STEP_S))

    def close(self) -> None:
        """End all processes; closing twice is fine."""
        for session in self._sessions:
            session.close()

    def _sort(self) -> None:
        """Order the processes: those that are ready first; one that came back becomes the spare."""
        self._sessions = sorted(
            self._sessions, key=lambda session: session.state != "ready"
        )  # others may be reading it
