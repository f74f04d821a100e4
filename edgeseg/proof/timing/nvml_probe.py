"""Clocks, power, temperature and throttle reasons of an NVIDIA GPU, by nvidia-ml-py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from edgeseg.errors import MissingComponentError
from edgeseg.optional import require
from edgeseg.proof.timing.probes import Reading

T = TypeVar("T")

THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal (driver)",
    0x40: "thermal (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
"""Bits of nvmlDeviceGetCurrentClocksThrottleReasons (NVML API reference, NvmlClocksThrottleReasons)."""
_MILLI = 1e-3


def reasons_of(bits: int) -> tuple[str, ...]:
    """Throttle reasons in words; a bit that has no name here is told by its number."""
    known = [name for bit, name in THROTTLE_REASONS.items() if bits & bit]
    rest = bits & ~sum(THROTTLE_REASONS)
    return (*known, f"reason {rest:#x}") if rest else tuple(known)


def gpu_bus_id(ordinal: int = 0) -> str:
    """PCI address of a GPU, as NVML takes it; a `CudaDevice` is open."""
    return str(require("pycuda.driver").Device(ordinal).pci_bus_id())


class NvmlProbe:
    """One GPU.

    Args:
        bus_id: Its PCI address as CUDA tells it: CUDA and NVML number GPUs differently.

    Raises:
        MissingComponentError: No nvidia-ml-py, no driver, or no such GPU.
    """

    def __init__(self, bus_id: str) -> None:
        self._nvml: Any = require("pynvml")
        nvml = self._nvml
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise MissingComponentError("NVML does not start", found=error) from error
        try:
            self._gpu: Any = nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
        except nvml.NVMLError as error:
            nvml.nvmlShutdown()
            raise MissingComponentError(f"NVML does not know the GPU {bus_id}", found=error) from error

    def read(self) -> Reading:
        """SM and memory clock, board power, GPU temperature."""
        nvml, gpu = self._nvml, self._gpu
        clocks = {
            "sm": self._asked(lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
            "memory": self._asked(lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),
        }
        power = self._asked(lambda: nvml.nvmlDeviceGetPowerUsage(gpu))
        temperature = self._asked(lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))
        bits = self._asked(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        return Reading(
            {name: float(value) for name, value in clocks.items() if value is not None},
            {} if power is None else {"gpu": float(power) * _MILLI},
            {} if temperature is None else {"gpu": float(temperature)},
            None if bits is None else reasons_of(int(bits)),
        )

    def power_mode(self) -> str | None:
        """The power limit that is in force."""
        limit = self._asked(lambda: self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._gpu))
        return None if limit is None else f"power limit {float(limit) * _MILLI:.0f} W"

    def close(self) -> None:
        """End NVML."""
        self._nvml.nvmlShutdown()

    def _asked(self, question: Callable[[], T]) -> T | None:
        """Many boards do not support one call or another; that sensor is left out."""
        try:
            return question()
        except self._nvml.NVMLError:
            return None
