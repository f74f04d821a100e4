"""The targets of a bench, whatever runs them: one frame, frames on lanes, a batch.

The seam to the backends. A session that works on lanes (`submit` and `result`, as `runtime.cuda.session.CudaSession`)
becomes a `LaneTarget`, any other a `SessionTarget`; nothing else of the bench knows a backend.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame, Probability
from edgeseg.runtime.engine.inputs import EngineInput, PackedFrame
from edgeseg.runtime.engine.session import FrameBatch, Session, SessionInfo, mask_at_frame, preprocess
from edgeseg.runtime.onnxruntime.parallel_engine import ParallelEngine

ONE_AT_A_TIME = "a lane of the CUDA runtime takes one frame at a time; lanes give the throughput"
WAIT_S = 60.0
"""The longest wait for one frame before it is asked for again."""


@dataclass(frozen=True)
class Layout:
    """How a target is to be opened."""

    lanes: int = 1
    """Frames at once."""
    threads: int = 0
    """Inside one inference on a CPU; 0 takes every usable core."""
    frame_bytes: int = 1920 * 1080 * 3
    """The size of the largest frame, in bytes."""
    stage_times: bool = False
    """True if a GPU is to time its stages, which costs it some microseconds a frame."""
    largest_batch: int = 1
    """That a GPU shall run at once; above 1 it sets memory aside."""


@dataclass(frozen=True)
class FrameTimes:
    """One frame, from host memory to its mask at the frame's size."""

    total_ns: int
    stages_ns: Mapping[str, int] = field(default_factory=dict)
    """Stage -> its time; empty where the target does not time them now."""


class BenchTarget(Protocol):
    """An engine as the bench uses it. All use on the thread that opened it."""

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        ...

    def run(self, frame: Frame) -> FrameTimes:
        """One BGR frame, uint8 [H,W,3], to its mask at the frame's size."""
        ...

    def submit(self, frame: Frame) -> None:
        """Start on a BGR frame; at most as many as there are lanes."""
        ...

    def finish(self) -> None:
        """Wait until one more frame's result is there, at the network's size."""
        ...

    def infer(self, batch: FrameBatch) -> None:
        """The network alone on uint8 [N,h,w,3]."""
        ...

    def batch_refusal(self, size: int) -> str | None:
        """Why a batch of `size` cannot be run; None where it can."""
        ...

    def pin(self, block: NDArray[np.uint8]) -> bool:
        """Pin the memory that the frames lie in; False where that means nothing here or is refused."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


OpenTarget = Callable[[Layout], BenchTarget]


@runtime_checkable
class LaneSession(Protocol):
    """What tells a session with lanes from others."""

    def submit(self, frame: EngineInput) -> None:
        """Start on a frame."""
        ...

    def result(self) -> Probability:
        """The oldest frame's, float32 [C,h,w]."""
        ...


class SessionTarget:
    """Sessions that know nothing of lanes: one a lane, each on a thread of its own.

    Args:
        open_session: Opens one more session of the same engine.
        lanes: How many.
        largest_batch: That the engine takes.
    """

    def __init__(self, open_session: Callable[[], Session], lanes: int = 1, largest_batch: int = 8) -> None:
        self._sessions = ParallelEngine(open_session, lanes)
        self._finished = 0
        self._first = self._sessions.first
        self._largest_batch = largest_batch

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        return self._first.info

    def run(self, frame: Frame) -> FrameTimes:
        """On the caller's thread; the stages by the host's clock."""
        session = self._first
        started_ns = time.perf_counter_ns()
        batch = preprocess(session, PackedFrame(frame, "bgr"))
        prepared_ns = time.perf_counter_ns()
        probability = session.infer(batch)[0]
        inferred_ns = time.perf_counter_ns()
        mask_at_frame(session, probability, *frame.shape[:2])
        done_ns = time.perf_counter_ns()
        stages = {"pre": prepared_ns - started_ns, "infer": inferred_ns - prepared_ns, "post": done_ns - inferred_ns}
        return FrameTimes(done_ns - started_ns, stages)

    def submit(self, frame: Frame) -> None:
        """On the thread of an idle session."""
        self._sessions.submit(PackedFrame(frame, "bgr"))

    def finish(self) -> None:
        """Wait for the next one that is ready."""
        while not self._finished:
            self._finished = len(self._sessions.poll(WAIT_S))
        self._finished -= 1

    def infer(self, batch: FrameBatch) -> None:
        """On the caller's thread."""
        self._first.infer(batch)

    def batch_refusal(self, size: int) -> str | None:
        """Beyond what the engine was built for."""
        if size <= self._largest_batch:
            return None
        return f"the engine was built for batches of at most {self._largest_batch}"

    def pin(self, block: NDArray[np.uint8]) -> bool:
        """Nothing to pin for."""
        return False

    def close(self) -> None:
        """Wait for what is under way and close every session."""
        self._sessions.close()


class LaneTarget:
    """A session with lanes of its own, such as the CUDA runtime's.

    Args:
        session: Opened with as many lanes as are wanted. `stage_times_ns`, where it has that, gives the GPU's own times
            of the frame that was finished last; `largest_batch` the batch that `infer` takes at once (else 1).
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        info: SessionInfo = self._session.info
        return info

    def run(self, frame: Frame) -> FrameTimes:
        """One lane; the mask is scaled to the frame by the host, as in a stream."""
        started_ns = time.perf_counter_ns()
        self._session.submit(PackedFrame(frame, "bgr"))
        probability = self._session.result()
        result_ns = time.perf_counter_ns()
        mask_at_frame(self._session, probability, *frame.shape[:2])
        done_ns = time.perf_counter_ns()
        gpu_ns: Mapping[str, int] | None = getattr(self._session, "stage_times_ns", None)
        if not gpu_ns:
            return FrameTimes(done_ns - started_ns)
        launch_ns = max(0, result_ns - started_ns - sum(gpu_ns.values()))
        return FrameTimes(done_ns - started_ns, {**gpu_ns, "launch": launch_ns, "scale": done_ns - result_ns})

    def submit(self, frame: Frame) -> None:
        """On an idle lane."""
        self._session.submit(PackedFrame(frame, "bgr"))

    def finish(self) -> None:
        """The oldest lane's result."""
        self._session.result()

    def infer(self, batch: FrameBatch) -> None:
        """The network alone, with the copies to and from the GPU."""
        self._session.infer(batch)

    def batch_refusal(self, size: int) -> str | None:
        """Beyond what the session runs at once."""
        largest = getattr(self._session, "largest_batch", 1)
        if size <= largest:
            return None
        return ONE_AT_A_TIME if largest == 1 else f"the engine was built for batches of at most {largest}"

    def pin(self, block: NDArray[np.uint8]) -> bool:
        """So that frames need no copy on the host."""
        return bool(self._session.pin(block)) if hasattr(self._session, "pin") else False

    def close(self) -> None:
        """Give the GPU back."""
        self._session.close()


def target_of(open_session: Callable[[], Session], lanes: int, largest_batch: int) -> BenchTarget:
    """Open a target around whatever kind of session comes.

    Args:
        open_session: Opens the engine, with `lanes` lanes where its session has lanes.
        lanes: Frames at once.
        largest_batch: That the engine was built for.
    """
    first = open_session()
    if isinstance(first, LaneSession):
        return LaneTarget(first)
    opened = deque([first])
    return SessionTarget(lambda: opened.popleft() if opened else open_session(), lanes, largest_batch)
