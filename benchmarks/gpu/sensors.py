"""Clocks, power, temperature and throttling of the first GPU, read by NVML in a thread while something is measured."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

PERIOD_S = 0.25
THROTTLE_REASONS = {
    "nvmlClocksThrottleReasonSwPowerCap": "power cap",
    "nvmlClocksThrottleReasonHwSlowdown": "hardware slowdown",
    "nvmlClocksThrottleReasonSwThermalSlowdown": "temperature",
    "nvmlClocksThrottleReasonHwThermalSlowdown": "temperature, by hardware",
    "nvmlClocksThrottleReasonHwPowerBrakeSlowdown": "power brake",
}


@contextlib.contextmanager
def watched(found: dict[str, Any]) -> Iterator[None]:
    """Fill `found` with minimum, median and maximum of each reading, or with why there is none (a Jetson: no NVML)."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception as error:
        found["not_read"] = f"{type(error).__name__}: {error}"
        yield
        return
    readings: dict[str, list[float]] = {}
    reasons: set[str] = set()
    end = threading.Event()

    def read() -> None:
        while not end.is_set():
            _read(pynvml, handle, readings, reasons)
            end.wait(PERIOD_S)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(5.0)
        for name, values in readings.items():
            found[name] = {"min": min(values), "median": float(np.median(values)), "max": max(values)}
        found["throttled_by"] = sorted(reasons)


def _read(pynvml: Any, handle: Any, readings: dict[str, list[float]], reasons: set[str]) -> None:
    questions = {
        "sm_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
        "power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
    }
    for name, ask in questions.items():
        with contextlib.suppress(pynvml.NVMLError, AttributeError):
            readings.setdefault(name, []).append(float(ask()))
    with contextlib.suppress(pynvml.NVMLError, AttributeError):
        bits = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        reasons.update(words for name, words in THROTTLE_REASONS.items() if bits & getattr(pynvml, name, 0))
