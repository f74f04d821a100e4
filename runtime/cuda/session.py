"""An engine on a GPU as a session: whole frames over lanes, or batches at the network's size."""

from __future__ import annotations

import contextlib
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.frames import Frame, Probability
from edgeseg.runtime.cuda.buffers import PinnedFrames, register
from edgeseg.runtime.cuda.driver import CudaDevice, DeviceTraits
from edgeseg.runtime.cuda.errors import CudaError, DeviceMemoryError, StickyCudaError
from edgeseg.runtime.cuda.kernels.compile import compiled_kernels
from edgeseg.runtime.cuda.lane import PIXEL_FORMATS, ExecutionContext, Lane, LaneResult, LaneSpec
from edgeseg.runtime.cuda.launches import Kernels
from edgeseg.runtime.cuda.timed_lane import TimedLane
from edgeseg.runtime.session import ColourOrder, FrameBatch, ProbabilityBatch, SessionInfo


class Engine(Protocol):
    """What the runtime calls of TensorRT's ICudaEngine."""

    def create_execution_context(self) -> ExecutionContext | None:
        """A context with its own activation memory; None where there is none for it."""
        ...


@dataclass(frozen=True)
class CudaOptions:
    """How a session uses its GPU."""

    ordinal: int = 0
    """Which GPU."""
    lanes: int = 1
    """Frames at once: one for live video, two or three for throughput."""
    frame_bytes: int = 1920 * 1080 * 3
    """Of the largest frame."""
    stage_times: bool = False
    """Whether the GPU times the stages of each frame (`CudaSession.stage_times_ns`); costs nothing when off."""


class CudaSession:
    """A loaded engine on a GPU. All use, closing included, is on the thread that made it.

    Args:
        open_engine: Deserialises the engine; called once the GPU's context is current.
        info: What the engine is.
        options: How to use the GPU.

    Raises:
        MissingComponentError: No GPU, or none of what is needed to use it.
        DeviceMemoryError: The GPU has too little memory; nothing stays allocated.
    """

    def __init__(
        self, open_engine: Callable[[], Engine], info: SessionInfo, options: CudaOptions | None = None
    ) -> None:
        self._info = info
        self._options = options or CudaOptions()
        self._pinned = PinnedFrames()
        self._under_way: deque[Lane] = deque()
        self._finished: Lane | None = None
        with contextlib.ExitStack() as stack:
            self._device = stack.enter_context(CudaDevice(self._options.ordinal))
            stack.push(_forget_locals)
            image = compiled_kernels((self._device.traits.architecture,))
            kernels = Kernels(image, info.model.width, info.model.height)
            stack.callback(kernels.close)
            engine = open_engine()
            self._idle = deque(self._open_lane(engine, kernels, stack) for _ in range(self._options.lanes))
            self._resources = stack.pop_all()

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        return self._info

    @property
    def device(self) -> DeviceTraits:
        """Where it runs."""
        return self._device.traits

    @property
    def lanes(self) -> int:
        """Frames that it can work on at once."""
        return self._options.lanes

    @property
    def stage_times_ns(self) -> dict[str, int] | None:
        """The GPU's own times of the frame that was finished last; None where `stage_times` is off.

        ``copy`` (to a discrete GPU), ``pre``, ``infer``, ``post`` (mask and the copies back), in nanoseconds.
        """
        return self._finished.stage_times_ns() if isinstance(self._finished, TimedLane) else None

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Pin host memory that frames will lie in, for as long as the session lives, which saves a copy of each.

        Args:
            memory: uint8 [n] on whole pages; it must outlive the session.

        Returns:
            Whether it is pinned; where the driver refuses that, each frame is copied to memory that is.

        Raises:
            StickyCudaError: Nothing will run in this process any more.
        """
        self._device.check_thread()
        integrated = self._device.traits.integrated
        if not self._device.traits.registers_host_memory:
            return False
        try:
            self._pinned.add(memory, register(self._resources, memory, integrated))
        except StickyCudaError:
            raise
        except CudaError:
            return False
        return True

    def submit(self, frame: Frame, colour_order: ColourOrder = "bgr") -> None:
        """Start on a frame of any size, uint8 [H,W,3]; it must stay as it is until its result is there.

        Raises:
            BadInputError: It is larger than `frame_bytes`, or the network's crop leaves it.
            CudaError: The driver refused this frame.
            StickyCudaError: Nothing will run in this process any more.
        """
        self._device.check_thread()
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.nbytes > self._options.frame_bytes:
            raise BadInputError(
                "the frame does not fit what was set aside for one",
                found=f"uint8 {list(frame.shape)}",
                expected=f"uint8 [H,W,3], at most {self._options.frame_bytes} bytes",
            )
        if not self._idle:
            raise EdgesegError("every lane has a frame under way; take a result first", found=f"{self.lanes} lanes")
        self._idle[0].submit(frame, PIXEL_FORMATS[colour_order], self._pinned)
        self._under_way.append(self._idle.popleft())

    def finish(self) -> LaneResult:
        """Wait for the oldest frame under way: probability, mask and area, valid until the next `submit`.

        Raises:
            StickyCudaError: It failed on the GPU, and nothing will run in this process any more.
        """
        self._device.check_thread()
        if not self._under_way:
            raise EdgesegError("a result was asked for with no frame under way")
        lane = self._finished = self._under_way.popleft()
        self._idle.append(lane)
        return lane.result()

    def result(self) -> Probability:
        """As `finish`, the probability alone: float32 [C,h,w]."""
        return self.finish().probability

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network, frame after frame: uint8 [N,h,w,3] RGB in, float32 [N,C,h,w] out."""
        self._device.check_thread()
        expected = self._info.model.input_shape
        if frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise BadInputError("the batch does not fit the network", found=frames.shape, expected=("N", *expected))
        if not self._idle:
            raise EdgesegError("every lane has a frame under way; take a result first", found=f"{self.lanes} lanes")
        lane = self._idle[0]
        return np.stack([lane.infer(np.ascontiguousarray(frame)) for frame in frames])

    def close(self) -> None:
        """Give the GPU back; closing twice is fine."""
        self._finished = None
        self._resources.close()

    def _open_lane(self, engine: Engine, kernels: Kernels, stack: contextlib.ExitStack) -> Lane:
        context = engine.create_execution_context()
        if context is None:
            raise DeviceMemoryError(
                "the GPU has no memory left for the engine's activations", expected="fewer lanes or a smaller network"
            )
        spec = LaneSpec(
            self._info.model, self._info.preprocess.crop, self._options.frame_bytes, self._device.traits.integrated
        )
        lane = (TimedLane if self._options.stage_times else Lane)(context, kernels, spec)
        stack.callback(lane.close)
        return lane


def _forget_locals(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    """An error's traceback would keep streams and modules alive past the context that they belong to."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
