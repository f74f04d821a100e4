"""A lane: one frame's way over the GPU, everything allocated and captured before the first frame.

preprocess kernel -> engine -> mask kernel -> probability, mask and area back to pinned memory, unless they shall stay.
A discrete GPU copies a host's frame to itself first; an integrated one reads it where it lies; a frame that is on the
device already is read there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.frames import THRESHOLD, Frame, Probability
from edgeseg.optional import require
from edgeseg.runtime.cuda.buffers import PinnedFrames
from edgeseg.runtime.cuda.cuda_errors import translated
from edgeseg.runtime.cuda.device_frames import DeviceFrame, device_image
from edgeseg.runtime.cuda.execution import ExecutionContext, execute
from edgeseg.runtime.cuda.graph import CapturedGraph
from edgeseg.runtime.cuda.host_frames import HostImage
from edgeseg.runtime.cuda.kernels.parameters import (
    PREPROCESS_KERNELS,
    FrameLayout,
    MaskParams,
    PixelFormat,
    preprocess_params,
)
from edgeseg.runtime.cuda.lane_buffers import allocate
from edgeseg.runtime.cuda.lane_results import DeviceOutput, DeviceResult, LaneResult
from edgeseg.runtime.cuda.launches import Kernels
from edgeseg.runtime.cuda.streams import StreamOrder
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, Crop, ModelSpec

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not ordered with the legacy stream
_CHROMA_PITCHES: dict[PixelFormat, int] = {"nv12": 2, "yuv420p": 1}
"""Chroma pitches of a frame of one pixel."""


@dataclass(frozen=True)
class LaneSpec:
    """The frames and results that a lane is made for."""

    model: ModelSpec
    frame_bytes: int
    """Size of the largest frame."""
    integrated: bool
    """True if the GPU reads host memory in place."""
    ordinal: int = 0
    """Ordinal of the GPU."""
    copies_back: bool = True
    """True if results are brought to the host."""


class Lane:
    """One stream with its engine context, buffers and captured graph. One frame at a time.

    Args:
        context: A context of the engine that belongs to this lane alone.
        kernels: Kernels for the network's size.
        spec: What to set memory aside for.

    Raises:
        CudaError: Something was refused; nothing stays allocated.
    """

    def __init__(self, context: ExecutionContext, kernels: Kernels, spec: LaneSpec) -> None:
        self._context, self._kernels, self._spec = context, kernels, spec
        self._pycuda = pycuda = require("pycuda.driver")
        with contextlib.ExitStack() as stack:
            stack.callback(self._let_go)
            with translated("make a stream"):
                self._stream: Any = pycuda.Stream(_NON_BLOCKING)
                self._done: Any = pycuda.Event(pycuda.event_flags.BLOCKING_SYNC | pycuda.event_flags.DISABLE_TIMING)
            self._order = StreamOrder(stack, self._stream)
            self._buffers = allocate(stack, spec.model, spec.frame_bytes, spec.integrated)
            self._bind()
            self._warm_up()
            self._graph = CapturedGraph(self._stream, lambda: self._launch_all("bgr24"))
            stack.callback(self._graph.close)
            self._first_kernels = {kind: self._first_kernel_of(kind) for kind in PREPROCESS_KERNELS}
            self._resources = stack.pop_all()
        self.busy = False
        """True if a frame is under way."""
        self._unread = False
        self._kept: object = None

    def submit(self, image: HostImage, pinned: PinnedFrames) -> None:
        """Start on a frame; it must stay as it is until `result`.

        Args:
            image: The frame.
            pinned: Memory whose frames need not be copied to pinned memory first.

        Raises:
            BadInputError: It does not fit the lane or the network.
            CudaError: The driver refused; the lane takes the next frame.
        """
        self._settle()
        source = self._place(image.samples, pinned)
        self._launch(image.layout, source, *(source + offset for offset in image.chroma_offsets))

    def submit_device(self, frame: DeviceFrame, crop: Crop | None) -> None:
        """Start on a frame that is on the GPU already; it must stay as it is until the result is there.

        Args:
            frame: The frame; its memory is kept until then.
            crop: Window of the frame that the network sees.

        Raises:
            BadInputError: It cannot be read, or does not fit the network.
            CudaError: The driver refused; the lane takes the next frame.
        """
        self._settle()
        image = device_image(frame, crop, self._stream.handle)
        for array in image.arrays:
            self._order.after(array, self._spec.ordinal)
        self._kept = image
        self._launch(image.layout, image.source, image.chroma)

    def result(self) -> LaneResult:
        """Wait for the frame under way.

        Raises:
            StickyCudaError: It failed on the GPU.
        """
        self.busy = False
        with translated("finish the frame"):
            self._done.synchronize()
        self._kept = None
        buffers = self._buffers
        return LaneResult(buffers.host_probability, buffers.host_mask, int(buffers.host_area[0]))

    def device_result(self) -> DeviceResult:
        """The frame under way as arrays on the device, which its reader waits for; nothing is waited for here."""
        self.busy, self._unread = False, True
        model, buffers, stream = self._spec.model, self._buffers, self._stream.handle
        size = (model.height, model.width)
        return DeviceResult(
            DeviceOutput(buffers.network_output, (model.channels, *size), "<f4", stream),
            DeviceOutput(buffers.mask, size, "|u1", stream),
            DeviceOutput(buffers.area, (1,), "<u4", stream),
        )

    def infer(self, frame: Frame) -> Probability:
        """Run the engine alone on one frame at the network's size, uint8 [h,w,3] RGB, and wait for it."""
        buffers, pycuda = self._buffers, self._pycuda
        with translated("run the engine"):
            pycuda.memcpy_htod_async(buffers.network_input, frame, self._stream)
            self._execute()
            pycuda.memcpy_dtoh_async(buffers.host_probability, buffers.network_output, self._stream)
            self._stream.synchronize()
        return buffers.host_probability.copy()

    def close(self) -> None:
        """Give everything back; closing twice is fine."""
        self._resources.close()

    def _settle(self) -> None:
        """Wait for a frame whose result was left on the device: it may still be read from the lane's own memory."""
        if self._unread:
            with translated("finish the frame before"):
                self._done.synchronize()
            self._unread = False
        self._kept = None

    def _launch(self, layout: FrameLayout, source: int, chroma: int = 0, chroma_v: int = 0) -> None:
        model, buffers = self._spec.model, self._buffers
        params = preprocess_params(
            layout,
            model.width,
            model.height,
            source=source,
            chroma=chroma,
            chroma_v=chroma_v,
            target=buffers.network_input,
            area=buffers.area,
        )
        self._graph.launch(self._first_kernels[layout.pixel_format], params)
        with translated("mark the end of the frame"):
            self._done.record(self._stream)
        self.busy = True

    def _place(self, frame: NDArray[np.uint8], pinned: PinnedFrames) -> int:
        """Bring a contiguous frame where the preprocess kernel can read it, and give the address."""
        buffers, size = self._buffers, frame.nbytes
        address = pinned.device_address(frame)
        source = frame.reshape(-1)
        if address is None:
            source = buffers.staging[:size]
            source[...] = frame.reshape(-1)
            address = buffers.pinned.device_address(source)
        if self._spec.integrated:
            return address or 0
        with translated("copy the frame to the GPU"):
            self._pycuda.memcpy_htod_async(buffers.frame, source, self._stream)
        return buffers.frame

    def _bind(self) -> None:
        model, buffers = self._spec.model, self._buffers
        agreed = (
            self._context.set_input_shape(INPUT_NAME, (1, *model.input_shape)),
            self._context.set_tensor_address(INPUT_NAME, buffers.network_input),
            self._context.set_tensor_address(OUTPUT_NAME, buffers.network_output),
        )
        if not all(agreed):
            raise EdgesegError(
                "the engine refuses its input and output buffers",
                found=f"shape, input, output: {agreed}",
                expected=f"{INPUT_NAME} uint8 {(1, *model.input_shape)}, {OUTPUT_NAME} float32",
            )

    def _warm_up(self) -> None:
        """One plain run: an engine may allocate and choose in its first, which a capture forbids."""
        with translated("run the engine for the first time"):
            self._pycuda.memset_d8_async(self._buffers.network_input, 0, 3 * self._pixels, self._stream)
            self._launch_all("bgr24")
            self._stream.synchronize()

    def _launch_all(self, pixel_format: PixelFormat) -> None:
        """Everything that the graph holds, on a frame of one pixel."""
        buffers, model, stream = self._buffers, self._spec.model, self._stream
        self._launch_preprocess(pixel_format)
        self._mark("pre")
        self._execute()
        self._mark("infer")
        mask = MaskParams(
            buffers.network_output, buffers.mask, buffers.area, model.channels, self._pixels, THRESHOLD, 0
        )
        self._kernels.mask(mask, stream)
        if self._spec.copies_back:
            self._copy_back()
        self._mark("post")

    def _copy_back(self) -> None:
        buffers, stream = self._buffers, self._stream
        with translated("copy the result from the GPU"):
            self._pycuda.memcpy_dtoh_async(buffers.host_probability, buffers.network_output, stream)
            self._pycuda.memcpy_dtoh_async(buffers.host_mask, buffers.mask, stream)
            self._pycuda.memcpy_dtoh_async(buffers.host_area, buffers.area, stream)

    def _mark(self, stage: str) -> None:
        """Called at the end of each stage while the graph is captured; a lane that times its stages marks them."""

    def _launch_preprocess(self, pixel_format: PixelFormat) -> None:
        buffers, model = self._buffers, self._spec.model
        source = buffers.frame or buffers.pinned.device_address(buffers.staging) or 0
        layout = FrameLayout(pixel_format, 1, 1, 4, _CHROMA_PITCHES.get(pixel_format, 0))
        params = preprocess_params(
            layout,
            model.width,
            model.height,
            source=source,
            chroma=source,
            chroma_v=source,
            target=buffers.network_input,
            area=buffers.area,
        )
        self._kernels.preprocess(pixel_format, params, self._stream)

    def _first_kernel_of(self, pixel_format: PixelFormat) -> Any:
        """The preprocess kernel of another format as a graph's first kernel, read from a graph of it alone."""
        alone = CapturedGraph(self._stream, lambda: self._launch_preprocess(pixel_format))
        try:
            return alone.first_kernel()
        finally:
            alone.close()

    def _execute(self) -> None:
        execute(self._context, self._stream.handle)

    def _let_go(self) -> None:
        """Let go of what ends with its last reference while the GPU's context is still current."""
        self._stream = self._done = self._kept = None
        del self._context

    @property
    def _pixels(self) -> int:
        return self._spec.model.height * self._spec.model.width
