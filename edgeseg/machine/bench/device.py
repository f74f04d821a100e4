"""Finds out once what the engine runs on: a GPU with its attributes and peaks, or the CPU."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.errors import EdgesegError
from edgeseg.machine.bench.bench_report import Peaks
from edgeseg.machine.bench.gpu_device import copy_bytes_per_second, read_attributes
from edgeseg.machine.bench.gpu_peaks import GpuAttributes, gpu_peaks, memory_peak
from edgeseg.proof.timing.conditions import find_probes
from edgeseg.proof.timing.nvml_probe import gpu_bus_id
from edgeseg.proof.timing.probes import Probe
from edgeseg.runtime.cuda.driver import CudaDevice


@dataclass(frozen=True)
class Device:
    """The processor or GPU that an engine runs on."""

    gpu: GpuAttributes | None
    """None: the CPU."""
    probes: tuple[Probe, ...]
    gpu_peaks: Peaks | None = None

    @property
    def gpu_name(self) -> str | None:
        """The GPU's name with its compute capability."""
        if self.gpu is None:
            return None
        major, minor = self.gpu.compute_capability
        return f"{self.gpu.name} (compute capability {major}.{minor})"

    def close(self) -> None:
        """Give the sensors back."""
        for probe in self.probes:
            probe.close()


def find_device(on_cpu: bool, tf32: bool) -> Device:
    """Look at the GPU, or at the CPU. This opens the GPU for as long as it looks.

    Args:
        on_cpu: Whether the engine runs there.
        tf32: Whether its FP32 convolutions may use TF32.
    """
    if on_cpu:
        return Device(None, find_probes(None))
    with CudaDevice():
        gpu = read_attributes()
        measured = _copy_rate() if memory_peak(gpu) is None else None
        return Device(gpu, find_probes(gpu_bus_id()), gpu_peaks(gpu, tf32, measured))


def _copy_rate() -> float | None:
    try:
        return copy_bytes_per_second()
    except EdgesegError:  # no room for it
        return None
