"""Several one-thread sessions of one engine side by side: the layout that segments most frames a second on a CPU.

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

from edgeseg.runtime.engine.failures import TransientError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Lost, Outcome, Segmented
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, Session, SessionInfo, preprocess


class ParallelEngine:
    """A `FrameEngine` with a thread a session; outcomes come as they are ready.

    Args:
        open_session: Opens one session; called `sessions` times.
        sessions: Frames that are inferred at once.
        waiting: Frames that may be under way beside those.
    """

    device_name = None
    restarts = 0

    def __init__(self, open_session: Callable[[], Session], sessions: int, waiting: int = 0) -> None:
        self._sessions = [open_session() for _ in range(sessions)]
        self._free: deque[Session] = deque(self._sessions)
        self._threads = ThreadPoolExecutor(sessions, thread_name_prefix="edgeseg-infer")
        self._ready: SimpleQueue[Outcome | Exception] = SimpleQueue()
        self._capacity = sessions + waiting
        self._under_way = self._sequence = 0

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        return self._sessions[0].info

    @property
    def first(self) -> Session:
        """One of the sessions, for what one alone does."""
        return self._sessions[0]

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._capacity

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network on one batch: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        return self._sessions[0].infer(frames)

    def wait_ready(self, timeout_s: float) -> None:
        """It is."""

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over, its resize included; see `FrameEngine`. What is wrong with it is raised by `poll`."""
        if self._under_way >= self._capacity:
            return None
        self._under_way += 1
        self._sequence += 1
        self._threads.submit(self._run, self._sequence, frame)
        return self._sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """What has come of frames since the last call; see `FrameEngine`.

        Raises:
            EdgesegError: What an inference raised, and a second try would not mend.
        """
        if not self._under_way:
            return []
        outcomes: list[Outcome] = []
        try:
            outcomes.append(self._taken(timeout_s))
            while True:
                outcomes.append(self._taken(0.0))
        except Empty:
            return outcomes

    def close(self) -> None:
        """End the threads and close the sessions; closing twice is fine."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _taken(self, timeout_s: float) -> Outcome:
        ready = self._ready.get(timeout=timeout_s) if timeout_s > 0 else self._ready.get_nowait()
        self._under_way -= 1
        if isinstance(ready, Exception):
            raise ready
        return ready

    def _run(self, sequence: int, frame: EngineInput) -> None:
        session = self._free.popleft()  # a deque's ends are safe between threads, and there is one a thread
        try:
            self._ready.put(_segmented(session, sequence, frame))
        except TransientError as error:
            self._ready.put(Lost(sequence, "refused", str(error), error))
        except Exception as error:  # the caller's thread is told
            self._ready.put(error)
        finally:
            self._free.append(session)


def _segmented(session: Session, sequence: int, frame: EngineInput) -> Segmented:
    started_ns = time.perf_counter_ns()
    batch = preprocess(session, frame)
    prepared_ns = time.perf_counter_ns()
    probability = session.infer(batch)[0]
    done_ns = time.perf_counter_ns()
    return Segmented(sequence, probability, (done_ns - prepared_ns) / 1e6, (prepared_ns - started_ns) / 1e6)
