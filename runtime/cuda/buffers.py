"""Device and pinned memory whose release hangs on an ExitStack, so that a failure half way gives everything back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import checked, translated


def device_buffer(stack: contextlib.ExitStack, size_bytes: int, purpose: str) -> int:
    """Allocate device memory and give its address.

    Args:
        stack: Frees it.
        size_bytes: How much.
        purpose: Named in the message: "allocate <purpose>".

    Raises:
        DeviceMemoryError: There is none left.
    """
    pycuda = require("pycuda.driver")
    with translated(f"allocate {size_bytes} bytes for {purpose}"):
        allocation = pycuda.mem_alloc(size_bytes)
    stack.callback(_given_back, allocation.free)
    return int(allocation)


def pinned_array(
    stack: contextlib.ExitStack, shape: tuple[int, ...], dtype: DTypeLike, purpose: str, mapped: bool = False
) -> NDArray[Any]:
    """Allocate page-locked host memory as an array.

    Args:
        stack: Frees it; the array must not be used after that.
        shape: The array's shape.
        dtype: The array's type.
        purpose: Named in the message: "allocate <purpose>".
        mapped: Whether kernels are to reach it as well; `mapped_address` says where.

    Raises:
        DeviceMemoryError: There is none left.
    """
    pycuda = require("pycuda.driver")
    flags = pycuda.host_alloc_flags.DEVICEMAP if mapped else 0
    with translated(f"allocate pinned memory for {purpose}"):
        array: NDArray[Any] = pycuda.pagelocked_empty(shape, dtype, mem_flags=flags)
    stack.callback(_given_back, array.base.free)  # type: ignore[union-attr]
    return array


def mapped_address(array: NDArray[Any]) -> int:
    """The device address of a mapped array of `pinned_array`."""
    with translated("map pinned memory"):
        return int(array.base.get_device_pointer())  # type: ignore[union-attr]


def register(stack: contextlib.ExitStack, memory: NDArray[np.uint8], mapped: bool = False) -> int:
    """Pin memory that another allocator made.

    By cuda-bindings: pycuda 2026.1's register_host_memory crashes with numpy 2.4.

    Args:
        stack: Ends that; `memory` must live until then.
        memory: uint8 [n], on whole pages.
        mapped: Whether kernels are to reach it as well.

    Returns:
        Where they do; 0 where it is not mapped.

    Raises:
        CudaError: It cannot be pinned.
    """
    driver = require("cuda.bindings.driver")
    start, purpose = memory.ctypes.data, "pin the frames' memory"
    flags = driver.CU_MEMHOSTREGISTER_DEVICEMAP if mapped else 0
    checked(driver.cuMemHostRegister(start, memory.nbytes, flags), purpose)
    stack.callback(driver.cuMemHostUnregister, start)
    return int(checked(driver.cuMemHostGetDevicePointer(start, 0), purpose)) if mapped else 0


def _given_back(release: Callable[[], None]) -> None:
    """A lost context refuses to release anything; its memory goes with the process."""
    with contextlib.suppress(require("pycuda.driver").Error):
        release()


class PinnedFrames:
    """Ranges of pinned host memory that frames may lie in."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, int]] = []

    def add(self, memory: NDArray[np.uint8], address: int) -> None:
        """Note memory that is pinned.

        Args:
            memory: uint8 [n].
            address: The address that kernels find it at; 0 where it is not mapped.
        """
        start = memory.ctypes.data
        self._ranges.append((start, start + memory.nbytes, address))

    def device_address(self, frame: NDArray[np.uint8]) -> int | None:
        """The device address of a contiguous frame: 0 if it is pinned but not mapped, None if it is not pinned."""
        first = frame.ctypes.data
        for start, end, mapped in self._ranges:
            if start <= first and first + frame.nbytes <= end:
                return mapped + first - start if mapped else 0
        return None
