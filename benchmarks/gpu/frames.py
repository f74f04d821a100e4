"""The frames that are measured: pinned host memory or device memory, of a picture that fills the video's range."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame
from edgeseg.optional import require
from edgeseg.runtime.cuda.buffers import device_buffer
from edgeseg.runtime.cuda.session import CudaSession

PAGE_BYTES = 4096


def picture(height: int, width: int, seed: int) -> Frame:
    """Coloured blobs with grain: neither flat, which would help caches and clocks, nor pure noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (8, 12, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 12 // width
    grain = rng.integers(0, 30, (height, width, 1), dtype=np.uint8)
    return np.asarray(coarse[rows][:, columns] + grain, np.uint8)


def pinned_frames(session: CudaSession, count: int, height: int, width: int) -> list[Frame]:
    """Frames in memory that the session has pinned, as the worker pins its ring; valid while it is open."""
    frame_bytes = 3 * height * width
    stride = -(-frame_bytes // PAGE_BYTES) * PAGE_BYTES
    memory = np.zeros(count * stride + PAGE_BYTES, np.uint8)
    start = -memory.ctypes.data % PAGE_BYTES
    pages = memory[start : start + count * stride]
    if not session.pin(pages):
        raise RuntimeError("the frames' memory cannot be pinned here")
    frames = []
    for index in range(count):
        frame = pages[index * stride : index * stride + frame_bytes].reshape(height, width, 3)
        frame[...] = picture(height, width, index)
        frames.append(frame)
    return frames


def on_device(stack: contextlib.ExitStack, data: NDArray[np.uint8], purpose: str) -> int:
    """A copy on the device and its address."""
    address = device_buffer(stack, data.nbytes, purpose)
    require("pycuda.driver").memcpy_htod(address, np.ascontiguousarray(data))
    return address
