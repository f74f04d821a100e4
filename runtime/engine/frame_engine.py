"""Frames in, outcomes out: the one shape that video runs on, wherever the engine is."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol, runtime_checkable

from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.frame_session import FrameSession, HostFrames
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Lost, Outcome, Segmented
from edgeseg.runtime.engine.session import Session, SessionInfo


@runtime_checkable
class FrameEngine(Protocol):
    """Takes whole frames and tells later what came of each. For one thread.

    `SupervisedSession` and `WorkerSession` (an engine in a process of its own) and `InProcessEngine` are of this shape.
    """

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        ...

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        ...

    @property
    def restarts(self) -> int:
        """How often the engine's process had to be started again."""
        ...

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        ...

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until frames are taken.

        Raises:
            EdgesegError: They never will be, or not in time.
        """
        ...

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; it must stay as it is until its outcome is there.

        Args:
            frame: Planes only where `info` says that they are taken.

        Returns:
            Its sequence number; None where it cannot be taken now.

        Raises:
            BadInputError: It cannot be taken at all.
        """
        ...

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """What has come of frames since the last call, each frame once.

        Args:
            timeout_s: Wait so long where nothing has, but a frame is under way.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...


def frame_engine(session: Session) -> FrameEngine:
    """A session as an engine for whole frames; closing either closes both."""
    return session if isinstance(session, FrameEngine) else InProcessEngine(session)


class InProcessEngine:
    """A session of this process as a `FrameEngine`; `poll` waits for the oldest frame, whatever its timeout says.

    A failure that a second try may mend is a `Lost`; every other is raised.

    Args:
        session: Any session; closing this closes it.
    """

    restarts = 0

    def __init__(self, session: Session) -> None:
        self._frames: FrameSession = session if isinstance(session, FrameSession) else HostFrames(session)
        self._on_host = isinstance(self._frames, HostFrames)
        self._under_way: deque[tuple[int, int, float]] = deque()
        self._refused: list[Outcome] = []
        self._sequence = 0

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        return self._frames.info

    @property
    def capacity(self) -> int:
        """One frame a lane."""
        return self._frames.lanes

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on."""
        return self._frames.device_name

    def wait_ready(self, timeout_s: float) -> None:
        """It is."""

    def submit(self, frame: EngineInput) -> int | None:
        """Start on a frame, or say None: every lane has one."""
        if len(self._under_way) >= self.capacity:
            return None
        self._sequence += 1
        started_ns = time.perf_counter_ns()
        try:
            self._frames.submit(frame)
        except TransientError as error:
            self._refused.append(_refusal(self._sequence, error))
        else:
            pre_ms = (time.perf_counter_ns() - started_ns) / 1e6
            self._under_way.append((self._sequence, started_ns, pre_ms))
        return self._sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """The oldest frame's outcome, and the frames that were refused since the last call."""
        outcomes, self._refused = self._refused, []
        if self._under_way:
            outcomes.append(self._finish(*self._under_way.popleft()))
        return outcomes

    def close(self) -> None:
        """Close the session."""
        self._frames.close()

    def _finish(self, sequence: int, started_ns: int, pre_ms: float) -> Outcome:
        try:
            probability = self._frames.result()
        except TransientError as error:
            return _refusal(sequence, error)
        took_ms = (time.perf_counter_ns() - started_ns) / 1e6
        if self._on_host:
            return Segmented(sequence, probability, took_ms - pre_ms, pre_ms)
        return Segmented(sequence, probability.copy(), took_ms)


def _refusal(sequence: int, error: TransientError) -> Lost:
    if isinstance(error, ProcessLostError):
        raise error
    return Lost(sequence, "refused", str(error), error)
