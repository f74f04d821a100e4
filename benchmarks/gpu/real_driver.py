"""Tells whether a real GPU is measured, and which: no figure of anything else is written."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import EdgesegError, MissingComponentError
from edgeseg.runtime.passport.gpu import DRIVER_VERSION, TEGRA_RELEASE, find_gpu


@dataclass(frozen=True)
class RealGpu:
    """The GPU whose figures these are."""

    name: str
    compute_capability: str
    driver: str

    @property
    def slug(self) -> str:
        """The GPU's name as a part of file names, such as ``nvidia-h200``."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def real_gpu() -> RealGpu:
    """The first GPU.

    Raises:
        MissingComponentError: None is here.
        EdgesegError: The driver is the test double, or nothing but libcuda says that there is a driver.
    """
    gpu = find_gpu()
    if hasattr(ctypes.CDLL("libcuda.so.1"), "cudadouble_is_double"):
        raise EdgesegError(
            "this is the test double of the CUDA driver, not a GPU",
            expected="a real GPU: figures of anything else are not written",
        )
    if not (DRIVER_VERSION.exists() or TEGRA_RELEASE.exists() or Path("/dev/nvidiactl").exists() or _nvml_answers()):
        raise MissingComponentError("a libcuda without a kernel driver", expected="the driver of an NVIDIA GPU")
    return RealGpu(gpu.name, gpu.compute_capability, gpu.driver)


def _nvml_answers() -> bool:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return False
    return True
