"""An engine on a GPU: whole frames over lanes, or batches at the network's size."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.runtime.cuda.batch_lane import BatchLane
from edgeseg.runtime.cuda.buffers import PinnedFrames, register
from edgeseg.runtime.cuda.cuda_errors import CudaError, DeviceMemoryError, StickyCudaError, forget_locals
from edgeseg.runtime.cuda.device_frames import DeviceFrame
from edgeseg.runtime.cuda.driver import CudaDevice, DeviceTraits
from edgeseg.runtime.cuda.execution import Deserialised, ExecutionContext
from edgeseg.runtime.cuda.host_frames import host_image
from edgeseg.runtime.cuda.kernels.compile import compiled_kernels
from edgeseg.runtime.cuda.lane import Lane, LaneSpec
from edgeseg.runtime.cuda.lane_results import DeviceResult, LaneResult
from edgeseg.runtime.cuda.launches import Kernels
from edgeseg.runtime.cuda.timed_lane import TimedLane
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome, Segmented, refused
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo


@dataclass(frozen=True)
class CudaOptions:
    """How an engine uses its GPU."""

    ordinal: int = 0
    """Ordinal of the GPU."""
    lanes: int = 1
    """Frames at once: one for live video, two or three for throughput."""
    frame_bytes: int = 1920 * 1080 * 3
    """Size of the largest frame of the host."""
    results: Literal["host", "device"] = "host"
    """Brings results to the host, or only leaves them on the device, where `finish_device` gives them."""
    stage_times: bool = False
    """True if the GPU times the stages of each frame (`Segmented.stages_ns`); costs nothing when off."""
    largest_batch: int = 1
    """Largest batch that `infer` hands to the network at once; above 1 a context and memory are set aside for it."""


class CudaEngine:
    """A loaded engine on a GPU, an `Engine`. All use, closing included, is on the thread that made it.

    Beside `submit` and `poll` there are `start`, `start_device`, `finish` and `finish_device`, which give masks and
    areas too, leave results on the device, and raise what goes wrong.

    Args:
        open_engine: Deserialises the engine; called once the GPU's context is current.
        info: What the engine is.
        options: How to use the GPU.

    Raises:
        MissingComponentError: No GPU, or none of what is needed to use it.
        DeviceMemoryError: The GPU has too little memory; nothing stays allocated.
    """

    def __init__(
        self, open_engine: Callable[[], Deserialised], info: SessionInfo, options: CudaOptions | None = None
    ) -> None:
        self._info = replace(info, takes_planes=True)
        self._options = options or CudaOptions()
        self._pinned = PinnedFrames()
        self._under_way: deque[Lane] = deque()
        self._finished: Lane | None = None
        self._submitted: deque[tuple[int, int]] = deque()
        self._refused: list[Outcome] = []
        self._sequence = 0
        with contextlib.ExitStack() as stack:
            self._device = stack.enter_context(CudaDevice(self._options.ordinal))
            stack.push(forget_locals)
            image = compiled_kernels((self._device.traits.architecture,))
            kernels = Kernels(image, info.model.width, info.model.height)
            stack.callback(kernels.close)
            engine = open_engine()
            self._idle = deque(self._open_lane(engine, kernels, stack) for _ in range(self._options.lanes))
            self._batches = self._open_batches(engine, stack) if self._options.largest_batch > 1 else None
            self._resources = stack.pop_all()

    @property
    def info(self) -> SessionInfo:
        """The network and where it runs."""
        return self._info

    @property
    def device(self) -> DeviceTraits:
        """The GPU that it runs on."""
        return self._device.traits

    @property
    def device_name(self) -> str:
        """The GPU's name."""
        return self._device.traits.name

    @property
    def capacity(self) -> int:
        """Frames that it can work on at once: one a lane."""
        return self._options.lanes

    @property
    def restarts(self) -> int:
        """None: what ends here ends the process."""
        return 0

    @property
    def largest_batch(self) -> int:
        """Pictures that `infer` hands to the network at once."""
        return self._options.largest_batch

    @property
    def stage_times_ns(self) -> dict[str, int] | None:
        """The GPU's own times of the frame that was finished last; None where `stage_times` is off.

        ``copy`` (to a discrete GPU), ``pre``, ``infer``, ``post`` (mask and the copies back), in nanoseconds.
        """
        return self._finished.stage_times_ns() if isinstance(self._finished, TimedLane) else None

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Pin host memory that frames will lie in, for as long as the engine lives, which saves a copy of each.

        Args:
            memory: uint8 [n] on whole pages; it must outlive the engine.

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

    def wait_ready(self, timeout_s: float) -> None:
        """Return at once: the engine is warm when it is open."""

    def submit(self, frame: EngineInput) -> int | None:
        """Start on a frame, or say None: every lane has one; see `Engine`."""
        if not self._idle:
            return None
        self._sequence += 1
        started_ns = time.perf_counter_ns()
        try:
            self.start(frame)
        except EdgesegError as error:
            self._refused.append(refused(self._sequence, error))
        else:
            self._submitted.append((self._sequence, started_ns))
        return self._sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Wait for the oldest frame; its outcome, and the frames that were refused since the last call."""
        outcomes, self._refused = self._refused, []
        if self._submitted:
            sequence, started_ns = self._submitted.popleft()
            outcomes.append(self._outcome(sequence, started_ns))
        return outcomes

    def start(self, frame: EngineInput) -> None:
        """Start on a frame of any size; it must stay as it is until its result is there.

        Args:
            frame: Packed pixels, a decoder's planes or the network's input.

        Raises:
            BadInputError: It is larger than `frame_bytes` or of another shape, or the network's crop leaves it.
            CudaError: The driver refused this frame.
            StickyCudaError: Nothing will run in this process any more.
        """
        self._device.check_thread()
        image = host_image(frame, self._info.preprocess.crop)
        if image.samples.nbytes > self._options.frame_bytes:
            raise BadInputError(
                "the frame does not fit what was set aside for one",
                found=f"{image.samples.nbytes} bytes",
                expected=f"at most {self._options.frame_bytes} bytes",
            )
        self._free_lane().submit(image, self._pinned)
        self._under_way.append(self._idle.popleft())

    def start_device(self, frame: DeviceFrame) -> None:
        """Start on a frame that is on this GPU already: no copy, and no wait but of one stream for another.

        Args:
            frame: Packed pixels or NV12, as arrays with `__dlpack__` or `__cuda_array_interface__`. It must stay as it
                is until its result is there.

        Raises:
            BadInputError: It is not uint8 on this GPU, or of another shape, or the network's crop leaves it.
            CudaError: The driver refused this frame.
            StickyCudaError: Nothing will run in this process any more.
        """
        self._device.check_thread()
        self._free_lane().submit_device(frame, self._info.preprocess.crop)
        self._under_way.append(self._idle.popleft())

    def finish(self) -> LaneResult:
        """Wait for the oldest frame under way: probability, mask and area, valid until the next `start`.

        Raises:
            StickyCudaError: It failed on the GPU, and nothing will run in this process any more.
        """
        if self._options.results == "device":
            raise EdgesegError("this engine leaves its results on the device", expected="finish_device")
        return self._oldest().result()

    def finish_device(self) -> DeviceResult:
        """The oldest frame under way as arrays on the device, waited for by whoever reads them.

        They are valid until the lane's next frame: read them, or order another stream's reading, before one more frame
        than there are lanes is started. That start waits for this frame.
        """
        return self._oldest().device_result()

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network, `largest_batch` pictures at a time: uint8 [N,h,w,3] RGB in, float32 [N,C,h,w] out."""
        self._device.check_thread()
        expected = self._info.model.input_shape
        if frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise BadInputError("the batch does not fit the network", found=frames.shape, expected=("N", *expected))
        if self._batches is not None and len(frames) > 1:
            largest = self._options.largest_batch
            parts = [self._batches.infer(frames[at : at + largest]) for at in range(0, len(frames), largest)]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        lane = self._free_lane()
        return np.stack([lane.infer(np.ascontiguousarray(frame)) for frame in frames])

    def close(self) -> None:
        """Give the GPU back; closing twice is fine."""
        self._finished = None
        self._resources.close()

    def _outcome(self, sequence: int, started_ns: int) -> Outcome:
        try:
            probability = self.finish().probability.copy()
        except EdgesegError as error:
            return refused(sequence, error)
        took_ms = (time.perf_counter_ns() - started_ns) / 1e6
        return Segmented(sequence, probability, took_ms, stages_ns=self.stage_times_ns)

    def _free_lane(self) -> Lane:
        if not self._idle:
            raise EdgesegError("every lane has a frame under way; take a result first", found=f"{self.capacity} lanes")
        return self._idle[0]

    def _oldest(self) -> Lane:
        self._device.check_thread()
        if not self._under_way:
            raise EdgesegError("a result was asked for with no frame under way")
        lane = self._finished = self._under_way.popleft()
        self._idle.append(lane)
        return lane

    def _open_batches(self, engine: Deserialised, stack: contextlib.ExitStack) -> BatchLane:
        batches = BatchLane(_context_of(engine), self._info.model, self._options.largest_batch)
        stack.callback(batches.close)
        return batches

    def _open_lane(self, engine: Deserialised, kernels: Kernels, stack: contextlib.ExitStack) -> Lane:
        context, options = _context_of(engine), self._options
        spec = LaneSpec(
            self._info.model,
            options.frame_bytes,
            self._device.traits.integrated,
            options.ordinal,
            options.results == "host",
        )
        lane = (TimedLane if options.stage_times else Lane)(context, kernels, spec)
        stack.callback(lane.close)
        return lane


def _context_of(engine: Deserialised) -> ExecutionContext:
    context = engine.create_execution_context()
    if context is None:
        raise DeviceMemoryError(
            "the GPU has no memory left for the engine's activations", expected="fewer lanes or a smaller network"
        )
    return context
