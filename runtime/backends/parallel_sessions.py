"""Several one-thread sessions of one engine side by side: the layout that segments most frames a second on a CPU.

One inference spread over all cores waits at every layer for its slowest thread; whole inferences side by side never
wait for one another (`benchmarks/stream.py` measures both).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.frames import Frame, Probability
from edgeseg.runtime.session import ColourOrder, FrameBatch, ProbabilityBatch, Session, SessionInfo, preprocess


class ParallelSessions:
    """A `FrameSession` with a thread and a session a lane; results come in order.

    Args:
        open_session: Opens one session; called `lanes` times.
        lanes: Frames at once.
    """

    device_name = None

    def __init__(self, open_session: Callable[[], Session], lanes: int) -> None:
        self._sessions = [open_session() for _ in range(lanes)]
        self._free: deque[Session] = deque(self._sessions)
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="edgeseg-infer")
        self._under_way: deque[Future[ProbabilityBatch]] = deque()

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        return self._sessions[0].info

    @property
    def first(self) -> Session:
        """One of the sessions, for what one alone does."""
        return self._sessions[0]

    @property
    def lanes(self) -> int:
        """Frames that it can work on at once."""
        return len(self._sessions)

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Host memory needs no preparation here."""
        return False

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network on one batch: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        return self._sessions[0].infer(frames)

    def submit(self, frame: Frame, colour_order: ColourOrder = "bgr", prepared: bool = False) -> None:
        """Start on a frame, its resize included; see `FrameSession`."""
        if len(self._under_way) >= self.lanes:
            raise EdgesegError("every lane has a frame under way")
        self._under_way.append(self._threads.submit(self._infer, frame, colour_order, prepared))

    def result(self) -> Probability:
        """Wait for the oldest frame under way: float32 [C,h,w]."""
        if not self._under_way:
            raise EdgesegError("a result was asked for with no frame under way")
        probability: Probability = self._under_way.popleft().result()[0]
        return probability

    def close(self) -> None:
        """End the threads and close the sessions; closing twice is fine."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _infer(self, frame: Frame, colour_order: ColourOrder, prepared: bool) -> ProbabilityBatch:
        session = self._free.popleft()  # a deque's ends are safe between threads, and there is one a thread
        try:
            return session.infer(frame[np.newaxis] if prepared else preprocess(session, frame, colour_order))
        finally:
            self._free.append(session)
