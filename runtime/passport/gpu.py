"""The NVIDIA GPU of this machine, as the driver alone names it: no TensorRT, no CUDA toolkit, no context."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import MissingComponentError

DRIVER_LIBRARY = "libcuda.so.1"
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
TEGRA_RELEASE = Path("/etc/nv_tegra_release")
"""The file by which a JetPack system is known."""

# The driver API's CUdevice_attribute and CUresult values.
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_NO_DEVICE = 100
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """The GPU that CUDA calls device 0."""

    name: str
    compute_capability: str
    """The compute capability, for example ``8.6``."""
    driver: str
    """The version of the kernel driver, for example ``580.65.06``; ``CUDA 13.0`` where only that is known."""
    jetson: bool = False

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability}, driver {self.driver})"


def find_gpu(library: str = DRIVER_LIBRARY) -> Gpu:
    """Ask the driver for its first GPU. This initialises CUDA in the process, so fork none afterwards.

    Args:
        library: The file of the driver's library.

    Raises:
        MissingComponentError: No driver, no GPU, or a driver that does not start.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        raise _missing(f"no NVIDIA driver ({error})") from error
    result = cuda.cuInit(0)
    if result:
        raise _missing("an NVIDIA driver without a GPU" if result == _NO_DEVICE else f"cuInit fails with {result}")
    count, device = ctypes.c_int(), ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value < 1 or cuda.cuDeviceGet(ctypes.byref(device), 0):
        raise _missing("an NVIDIA driver without a GPU")
    name = ctypes.create_string_buffer(_NAME_BYTES)
    cuda.cuDeviceGetName(name, _NAME_BYTES, device)
    major = _attribute(cuda, _COMPUTE_CAPABILITY_MAJOR, device)
    minor = _attribute(cuda, _COMPUTE_CAPABILITY_MINOR, device)
    return Gpu(name.value.decode(errors="replace"), f"{major}.{minor}", _driver(cuda), TEGRA_RELEASE.exists())


def _missing(found: str) -> MissingComponentError:
    return MissingComponentError(
        "this needs an NVIDIA GPU, and none can be used here",
        found=found,
        expected="an NVIDIA GPU and its driver (nvidia-smi lists them; a container needs --gpus all)",
        next_command="edgeseg build-engine MODEL --backend onnxruntime",
    )


def _attribute(cuda: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value


def _driver(cuda: Any) -> str:
    try:
        found = re.search(r"\d+\.\d+(?:\.\d+)?", DRIVER_VERSION.read_text(errors="replace"))
    except OSError:
        found = None
    if found:
        return found.group()
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return f"CUDA {cuda_version(version.value)}"


def cuda_version(number: int) -> str:
    """Read a version of the driver API: 12060 -> ``12.6``."""
    return f"{number // 1000}.{number % 1000 // 10}"
