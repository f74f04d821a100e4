"""Tests of what the tests of the kernels ask of memory and launches, on a GPU."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import translated
from edgeseg.runtime.cuda.kernels.compile import compiled_kernels
from edgeseg.runtime.cuda.kernels.parameters import Launch

Bytes = NDArray[np.uint8]


class GuardedOnDevice:
    """An allocation on the GPU with its copy on the host, `bytes`; a launch brings it there and back.

    The bytes touch the end of the allocation, where compute-sanitizer's memcheck sees the first byte too many, or its
    start. `PAD` bytes on the other side keep their value, or a kernel has written outside.
    """

    PAD = 0x5A
    ALIGNED = 256
    live: ClassVar[weakref.WeakSet[GuardedOnDevice]] = weakref.WeakSet()

    def __init__(self, size: int, at_end: bool = True) -> None:
        pycuda = require("pycuda.driver")
        room = -(-max(size, 1) // self.ALIGNED) * self.ALIGNED
        self.everything: Bytes = np.full(room, self.PAD, np.uint8)
        self.allocation: Any = pycuda.mem_alloc(room)
        start = room - size if at_end else 0
        self.bytes = self.everything[start : start + size]
        self._pads = self.everything[:start], self.everything[start + size :]
        self.address = int(self.allocation) + start
        self.live.add(self)

    def intact(self) -> bool:
        return all(bool((pad == self.PAD).all()) for pad in self._pads)


class GpuKernels:
    """The kernels as nvcc builds them."""

    def __init__(self, architecture: int) -> None:
        self._pycuda = pycuda = require("pycuda.driver")
        self._module: Any = pycuda.module_from_buffer(compiled_kernels((architecture,)))

    def launch(self, name: str, launch: Launch, params: ctypes.Structure) -> None:
        """Run a kernel on everything that `GuardedOnDevice` holds, and wait for it."""
        grid, block = launch
        memories = list(GuardedOnDevice.live)
        for memory in memories:
            self._pycuda.memcpy_htod(memory.allocation, memory.everything)
        with translated(f"run {name}"):
            self._module.get_function(name)(np.frombuffer(bytes(params), np.uint8), grid=grid, block=block)
            self._pycuda.Context.synchronize()
        for memory in memories:
            self._pycuda.memcpy_dtoh(memory.everything, memory.allocation)

    def close(self) -> None:
        """Unload them, and free what tests have left."""
        for memory in list(GuardedOnDevice.live):
            memory.allocation.free()
        GuardedOnDevice.live.clear()
        self._module = None


@contextlib.contextmanager
def memory_filled() -> Iterator[None]:
    """The device's memory full, but for less than a megabyte."""
    pycuda = require("pycuda.driver")
    taken = []
    chunk_bytes = pycuda.mem_get_info()[0]
    while chunk_bytes >= 1 << 20:
        try:
            taken.append(pycuda.mem_alloc(chunk_bytes))
        except pycuda.MemoryError:
            chunk_bytes //= 2
    try:
        yield
    finally:
        for allocation in taken:
            allocation.free()
