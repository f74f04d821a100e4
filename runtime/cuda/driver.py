"""A GPU in use: its primary context, current on the one thread that opened it, and what it can do."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import CudaError, checked, translated


@dataclass(frozen=True)
class DeviceTraits:
    """The GPU's traits that the runtime asks for."""

    name: str
    compute_capability: tuple[int, int]
    integrated: bool
    """True if it shares the host's memory, so that frames need no copy."""
    registers_host_memory: bool
    """True if memory that another allocator made can be pinned."""

    @property
    def architecture(self) -> int:
        """The compute capability times ten, for example 87."""
        major, minor = self.compute_capability
        return 10 * major + minor


class CudaDevice:
    """The primary context of one GPU, retained and current while this is open.

    pycuda frees memory, streams and events only where their context is current, so all use, closing included, is on
    the thread that made this.

    Args:
        ordinal: Which GPU.

    Raises:
        MissingComponentError: pycuda or cuda-bindings is not installed, or there is no such GPU.
        CudaError: The context cannot be made.
    """

    def __init__(self, ordinal: int = 0) -> None:
        pycuda = require("pycuda.driver")
        require("cuda.bindings.driver")
        self._thread = threading.get_ident()
        with translated("open the GPU"):
            pycuda.init()
            device = pycuda.Device(ordinal)
            self.traits = _traits_of(pycuda, device, ordinal)
            self._context: Any = device.retain_primary_context()
            self._context.push()

    def check_thread(self) -> None:
        """Refuse use from another thread than the one that opened the GPU.

        Raises:
            EdgesegError: A defect of the caller.
        """
        if threading.get_ident() != self._thread:
            raise EdgesegError("a CUDA engine was used on another thread than the one that opened it")

    def synchronize(self) -> None:
        """Wait for all work of this process on the GPU.

        Raises:
            StickyCudaError: Some of it failed.
        """
        with translated("finish the work under way"):
            self._context.synchronize()

    def close(self) -> None:
        """Make the context not current and release it; closing twice is fine, and so is a lost context."""
        context, self._context = self._context, None
        if context is None:
            return
        self.check_thread()
        context.pop()
        with contextlib.suppress(CudaError), translated("release the GPU"):  # a lost context ends with the process
            context.detach()

    def __enter__(self) -> CudaDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _traits_of(pycuda: Any, device: Any, ordinal: int) -> DeviceTraits:
    driver = require("cuda.bindings.driver")
    attribute = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED
    registers = checked(driver.cuDeviceGetAttribute(attribute, ordinal), "ask what the GPU can do")
    return DeviceTraits(
        name=device.name(),
        compute_capability=device.compute_capability(),
        integrated=bool(device.get_attribute(pycuda.device_attribute.INTEGRATED)),
        registers_host_memory=bool(registers),
    )
