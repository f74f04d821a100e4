"""Computes a GPU's peaks from its attributes and the published rates of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgeseg.artifacts import Precision
from edgeseg.machine.bench.bench_report import Peaks

PER_KHZ, BITS_PER_BYTE, TRANSFERS_PER_CLOCK = 1e3, 8, 2


@dataclass(frozen=True)
class SmRates:
    """Dense multiply-adds of one multiprocessor in one clock.

    FP16, INT8 and TF32 are the tensor cores', FP32 is the CUDA cores'. Of boards that differ within an architecture
    (GeForce halves FP16 with FP32 accumulation, and TF32) the faster one counts, so that a bound stays a bound.
    """

    fp32: int
    tf32: int | None
    fp16: int
    int8: int
    source: str


_AMPERE_GA10X = SmRates(128, 256, 512, 1024, "NVIDIA Ampere GA102 whitepaper, table of RTX A6000")
SM_RATES: Mapping[tuple[int, int], SmRates] = MappingProxyType(
    {
        (7, 5): SmRates(64, None, 512, 1024, "NVIDIA Turing whitepaper, table of Tesla T4"),
        (8, 0): SmRates(64, 512, 1024, 2048, "NVIDIA A100 whitepaper"),
        (8, 6): _AMPERE_GA10X,
        (8, 7): SmRates(128, 512, 1024, 2048, "Jetson AGX Orin technical brief: 85 dense INT8 TOPS, 16 SM, 1.3 GHz"),
        (8, 9): SmRates(128, 256, 512, 1024, "NVIDIA Ada whitepaper, table of RTX 6000 Ada"),
        (9, 0): SmRates(128, 1024, 2048, 4096, "NVIDIA H100 whitepaper"),
        (10, 0): SmRates(128, 2048, 4096, 8192, "NVIDIA Blackwell architecture brief, B200"),
        (11, 0): SmRates(128, 2048, 4096, 8192, "Jetson T5000 data sheet: 517 dense FP8 TFLOPS, 20 SM, 1.575 GHz"),
        (12, 0): SmRates(128, 256, 512, 1024, "NVIDIA RTX Blackwell whitepaper, table of RTX 5090 and RTX PRO 6000"),
    }
)
"""Compute capability -> rates: the published peak, divided by multiprocessors and boost clock of the board named.
CUDA core rates: CUDA C++ programming guide, throughput of native arithmetic instructions."""


@dataclass(frozen=True)
class GpuAttributes:
    """A GPU's attributes as the driver tells them (CUdevice_attribute)."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    clock_khz: int
    """Highest that the present power mode allows."""
    memory_clock_khz: int
    memory_bus_bits: int
    integrated: bool


def compute_peaks(gpu: GpuAttributes, tf32: bool) -> tuple[dict[Precision, float], str] | None:
    """Operations a second by precision and where the rates are from; None for an architecture that is not in the table.

    Args:
        gpu: Which.
        tf32: Whether FP32 convolutions may use TF32.
    """
    rates = SM_RATES.get(gpu.compute_capability)
    if rates is None or not gpu.multiprocessors or not gpu.clock_khz:
        return None
    per_rate = 2 * gpu.multiprocessors * gpu.clock_khz * PER_KHZ
    fp32 = rates.tf32 if tf32 and rates.tf32 else rates.fp32
    source = f"{gpu.multiprocessors} SM at {gpu.clock_khz / 1e6:.3g} GHz; {rates.source}"
    return {"fp32": fp32 * per_rate, "fp16": rates.fp16 * per_rate, "int8": rates.int8 * per_rate}, source


def memory_peak(gpu: GpuAttributes) -> tuple[float, str] | None:
    """Bytes a second and where that is from, by memory clock and bus width with two transfers a clock.

    None on an integrated GPU, whose attributes do not describe the memory that it shares, and where nothing is told.
    """
    if gpu.integrated or not gpu.memory_clock_khz or not gpu.memory_bus_bits:
        return None
    rate = TRANSFERS_PER_CLOCK * gpu.memory_clock_khz * PER_KHZ * gpu.memory_bus_bits / BITS_PER_BYTE
    return rate, f"{gpu.memory_bus_bits} bits at {gpu.memory_clock_khz / 1e3:.0f} MHz, two transfers a clock"


def gpu_peaks(gpu: GpuAttributes, tf32: bool, measured_bytes_per_second: float | None) -> Peaks | None:
    """Both peaks; None where one is not known.

    Args:
        gpu: Which.
        tf32: Whether FP32 convolutions may use TF32.
        measured_bytes_per_second: Rate of a copy inside the GPU's memory in this run, for a GPU that does not tell.
    """
    compute, memory = compute_peaks(gpu, tf32), memory_peak(gpu)
    if memory is None and measured_bytes_per_second is not None:
        memory = measured_bytes_per_second, "a copy inside the GPU's memory, measured in this run"
    if compute is None or memory is None:
        return None
    return Peaks(
        operations_per_second=compute[0],
        bytes_per_second=memory[0],
        compute_source=compute[1],
        memory_source=memory[1],
    )
