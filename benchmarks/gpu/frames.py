"""The frames that are measured: the bench's own, in pinned host memory or copied to the device."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame
from edgeseg.machine.bench.bench_frames import synthetic_frames
from edgeseg.optional import require
from edgeseg.runtime.cuda.buffers import device_buffer
from edgeseg.runtime.cuda.cuda_engine import CudaEngine
from edgeseg.runtime.engine.planes import PlanarForm, PlanarFrame


def pinned_frames(session: CudaEngine, height: int, width: int) -> tuple[list[Frame], bool]:
    """BGR frames whose memory the session pins, as the worker pins its ring, and whether the driver allows that.

    They must outlive the session.
    """
    frames = synthetic_frames(height, width, planar=False)
    return [picture.bgr for picture in frames.pictures], session.pin(frames.block)


def some_frames(height: int, width: int, count: int) -> list[Frame]:
    """The first of the same frames, where their memory does not matter."""
    return [picture.bgr for picture in synthetic_frames(height, width, planar=False).pictures[:count]]


def planes_in(frame: Frame) -> PlanarFrame:
    """The memory of packed pixels read as planes of the same size, both sides even; what they show does not matter."""
    height, width, _ = frame.shape
    samples = frame.reshape(-1)[: height * width * 3 // 2].reshape(height * 3 // 2, width)
    return PlanarFrame(samples, PlanarForm(height, width, "bt709", full_range=False))


class ArrayOnDevice:
    """A device address as an array of any library: `__cuda_array_interface__`, version 3, no stream to wait for."""

    def __init__(self, address: int, shape: tuple[int, ...], typestr: str) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": typestr,
            "strides": None,
            "version": 3,
        }


def on_device(stack: contextlib.ExitStack, data: NDArray[np.uint8], purpose: str) -> int:
    """A copy on the device and its address."""
    address = device_buffer(stack, data.nbytes, purpose)
    require("pycuda.driver").memcpy_htod(address, np.ascontiguousarray(data))
    return address
