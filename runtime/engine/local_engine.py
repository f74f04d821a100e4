"""The engine of this process: one session of a network, or several side by side.

One inference spread over all cores waits at every layer for its slowest thread; whole inferences side by side never
wait for one another (`benchmarks/stream.py` measures both). Frames wait here for a session, so that none idles while
the caller works on a result.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome, Segmented, refused
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, Session, SessionInfo, preprocess


class LocalEngine:
    """Sessions as an `Engine`. One alone infers in `poll`, on the caller's thread; several have threads.

    Args:
        open_session: Opens one session; called `sessions` times.
        sessions: The number of frames that are inferred at once.
        waiting: The number of frames that may be under way beside those.
    """

    device_name = None
    restarts = 0

    def __init__(self, open_session: Callable[[], Session], sessions: int = 1, waiting: int = 0) -> None:
        self._sessions = [open_session() for _ in range(sessions)]
        self._free: deque[Session] = deque(self._sessions)
        self._threads = ThreadPoolExecutor(sessions, thread_name_prefix="edgeseg-infer") if sessions > 1 else None
        self._waiting: deque[tuple[int, EngineInput]] = deque()  # only where the caller's thread infers
        self._ready: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        self._capacity = sessions + waiting
        self._under_way = self._sequence = 0

    @property
    def info(self) -> SessionInfo:
        """The network, and where it runs."""
        return self._sessions[0].info

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._capacity

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network on one batch, on the caller's thread: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        return self._sessions[0].infer(frames)

    def wait_ready(self, timeout_s: float) -> None:
        """Return at once: sessions are ready when they are open."""

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Say no: nothing is copied to a GPU here."""
        return False

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over, its resize included; see `Engine`."""
        if self._under_way >= self._capacity:
            return None
        self._under_way += 1
        self._sequence += 1
        if self._threads is None:
            self._waiting.append((self._sequence, frame))
        else:
            self._threads.submit(self._run, self._sequence, frame)
        return self._sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call; see `Engine`.

        Raises:
            Exception: An inference raised it, and it is no `EdgesegError` or says that the process is lost.
        """
        if not self._under_way:
            return []
        if self._waiting:
            self._run(*self._waiting.popleft())
        outcomes: list[Outcome] = []
        try:
            outcomes.append(self._taken(timeout_s))
            while True:
                outcomes.append(self._taken(0.0))
        except Empty:
            return outcomes

    def close(self) -> None:
        """End the threads and close the sessions; closing twice is fine."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _taken(self, timeout_s: float) -> Outcome:
        ready = self._ready.get(timeout=timeout_s) if timeout_s > 0 else self._ready.get_nowait()
        self._under_way -= 1
        if isinstance(ready, BaseException):
            raise ready
        return ready

    def _run(self, sequence: int, frame: EngineInput) -> None:
        session = self._free.popleft()  # thread-safe, and there is a session for every thread
        try:
            self._ready.put(_outcome(session, sequence, frame))
        except Exception as error:  # `poll` raises it in the caller's thread
            self._ready.put(error)
        finally:
            self._free.append(session)


def engine_of(opened: Session | Engine) -> Engine:
    """Make an engine of whatever a backend opened; closing it closes that."""
    return opened if isinstance(opened, Engine) else LocalEngine(lambda: opened)


def _outcome(session: Session, sequence: int, frame: EngineInput) -> Outcome:
    started_ns = time.perf_counter_ns()
    try:
        batch = preprocess(session.info, frame)
        prepared_ns = time.perf_counter_ns()
        probability = session.infer(batch)[0]
    except EdgesegError as error:
        return refused(sequence, error)
    done_ns = time.perf_counter_ns()
    return Segmented(sequence, probability, (done_ns - prepared_ns) / 1e6, (prepared_ns - started_ns) / 1e6)
