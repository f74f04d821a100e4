"""An engine in a process of its own as a session: what is lost when the process dies is asked anew of the next one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.frames import Probability
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput, size_of
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Outcome
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, Session, SessionInfo, check_crop
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisedSession, SupervisorOptions

OpenFor = Callable[[int], Session]
"""Opens the session inside the worker, with room for frames of so many bytes; pickled, so a module's function."""


@dataclass(frozen=True)
class WorkerOptions:
    """Bounds for files and proofs, where a frame may be late and may not be lost."""

    supervisor: SupervisorOptions = field(
        default_factory=lambda: SupervisorOptions(answer_deadline_s=10.0, restarts=RestartLimit(3, 600.0))
    )
    start_s: float = 600.0
    """Time for the worker to become ready, restarts included."""


class WorkerSession:
    """A session whose engine lives in a supervised process, which is up when this is.

    It takes batches at the network's size (`Session`), single frames (`WholeFrames`) and streams of frames
    (`FrameEngine`). A frame that is larger than every one before gets a new process with more room.

    Args:
        open_for: Opens the session in the worker.
        info: What it will open.
        options: Bounds.

    Raises:
        EdgesegError: The worker's own, where it cannot open the engine.
    """

    def __init__(self, open_for: OpenFor, info: SessionInfo, options: WorkerOptions | None = None) -> None:
        self._open_for, self._info = open_for, info
        self._options = options or WorkerOptions()
        self._room_bytes = self._options.supervisor.frame_bytes
        self._former_restarts = 0
        self._engine = self._start()
        try:
            self._engine.wait_ready(self._options.start_s)
        except BaseException:
            self._engine.close()
            raise

    @property
    def info(self) -> SessionInfo:
        """The network that runs, and where."""
        return self._info

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._engine.capacity

    @property
    def restarts(self) -> int:
        """How often the process died and was started again."""
        return self._former_restarts + self._engine.restarts

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        return self._engine.device_name

    @property
    def worker_pid(self) -> int | None:
        """Id of the newest process."""
        return self._engine.worker_pid

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network, frame after frame: uint8 [N,h,w,3] RGB in, float32 [N,C,h,w] out."""
        expected = self._info.model.input_shape
        if frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise BadInputError("the batch does not fit the network", found=frames.shape, expected=("N", *expected))
        return np.stack([self._one(NetworkInput(frame)) for frame in frames])

    def probability(self, frame: EngineInput) -> Probability:
        """Run the network on one frame, the resize where the engine is: float32 [C,h,w]."""
        return self._one(frame)

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the worker takes frames.

        Raises:
            EdgesegError: It is given up, or not ready in time.
        """
        self._engine.wait_ready(timeout_s)

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; it is copied. None: not now; see `FrameEngine`.

        Raises:
            BadInputError: The network's crop does not lie inside it.
        """
        if not isinstance(frame, NetworkInput):
            check_crop(self._info.preprocess.crop, *size_of(frame))
        if frame.nbytes > self._room_bytes:
            if self._engine.any_under_way:
                return None
            self._grow(frame.nbytes)
        return self._engine.submit(frame)

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take the outcomes since the last call; see `FrameEngine`."""
        return self._engine.poll(timeout_s)

    def close(self) -> None:
        """End the process; closing twice is fine."""
        self._engine.close()

    def _one(self, frame: EngineInput) -> Probability:
        frames: LosslessFrames[None] = LosslessFrames(self)
        frames.add(None, frame)
        return frames.take()[1].probability

    def _grow(self, frame_bytes: int) -> None:
        self._former_restarts += self._engine.restarts
        self._engine.close()
        self._room_bytes = frame_bytes
        self._engine = self._start()

    def _start(self) -> SupervisedSession:
        options = replace(self._options.supervisor, frame_bytes=self._room_bytes)
        return SupervisedSession(functools.partial(self._open_for, self._room_bytes), self._info, options)
