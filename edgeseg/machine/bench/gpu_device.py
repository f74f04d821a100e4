"""The GPU whose context is current on this thread: its attributes, its address, its copy rate."""

from __future__ import annotations

from typing import Any

from edgeseg.machine.bench.gpu_peaks import GpuAttributes
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import checked, translated

COPY_BYTES = 64 * 2**20
COPIES = 8


def read_attributes(ordinal: int = 0) -> GpuAttributes:
    """Read a GPU's attributes from the driver.

    Raises:
        CudaError: It refuses.
    """
    driver = require("cuda.bindings.driver")

    def attribute(name: str) -> int:
        kind = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(checked(driver.cuDeviceGetAttribute(kind, ordinal), "ask what the GPU can do"))

    return GpuAttributes(
        name=str(require("pycuda.driver").Device(ordinal).name()),
        compute_capability=(attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")),
        multiprocessors=attribute("MULTIPROCESSOR_COUNT"),
        clock_khz=attribute("CLOCK_RATE"),
        memory_clock_khz=attribute("MEMORY_CLOCK_RATE"),
        memory_bus_bits=attribute("GLOBAL_MEMORY_BUS_WIDTH"),
        integrated=bool(attribute("INTEGRATED")),
    )


def copy_bytes_per_second() -> float:
    """Bytes read and written a second by copies inside the GPU's memory; the best of several.

    Raises:
        DeviceMemoryError: Not even 128 MiB are free.
    """
    pycuda = require("pycuda.driver")
    with translated("measure the GPU's memory"):
        source, target = pycuda.mem_alloc(COPY_BYTES), pycuda.mem_alloc(COPY_BYTES)
        try:
            best_ms = min(_copy_ms(pycuda, target, source) for _ in range(COPIES))
        finally:
            source.free()
            target.free()
    return 2 * COPY_BYTES / (best_ms / 1e3)


def _copy_ms(pycuda: Any, target: Any, source: Any) -> float:
    stream, begin, end = pycuda.Stream(), pycuda.Event(), pycuda.Event()
    begin.record(stream)
    pycuda.memcpy_dtod_async(target, source, COPY_BYTES, stream)
    end.record(stream)
    end.synchronize()
    return float(begin.time_till(end))
