"""Asks for what must be loaded to be known, each in its own process; `python -m` takes the name of the probe.

A probe initialises CUDA or loads foreign libraries, so it never runs in the process of a command. It prints one JSON
object: facts, or ``{"missing": why}``.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

from edgeseg.errors import MissingComponentError
from edgeseg.optional import import_package
from edgeseg.runtime.engine.backends import backend_names, find_backend
from edgeseg.runtime.passport.gpu import DRIVER_LIBRARY, cuda_version, find_gpu

CODECS = {"encoders": ("libx264", "h264_nvenc", "h264_v4l2m2m"), "decoders": ("h264", "hevc", "mjpeg", "h264_cuvid")}
"""Codecs that video files and live sources need, and the hardware's own."""
_BUS_ID_BYTES = 32
_INTEGRATED = 18
"""The driver API's CU_DEVICE_ATTRIBUTE_INTEGRATED."""


def gpu(library: str = DRIVER_LIBRARY) -> dict[str, Any]:
    """The first GPU, by the driver alone."""
    try:
        found = find_gpu(library)
    except MissingComponentError as error:
        return {"missing": error.found or error.what}
    cuda: Any = ctypes.CDLL(library)
    device, count, version, integrated = (ctypes.c_int() for _ in range(4))
    memory, bus_id = ctypes.c_size_t(), ctypes.create_string_buffer(_BUS_ID_BYTES)
    cuda.cuDeviceGet(ctypes.byref(device), 0)
    cuda.cuDeviceGetCount(ctypes.byref(count))
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetAttribute(ctypes.byref(integrated), _INTEGRATED, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    cuda.cuDeviceGetPCIBusId(bus_id, _BUS_ID_BYTES, device)
    return {
        "name": found.name,
        "compute_capability": found.compute_capability,
        "driver": found.driver,
        "cuda": cuda_version(version.value),
        "integrated": bool(integrated.value),
        "memory_bytes": memory.value,
        "count": count.value,
        "bus_id": bus_id.value.decode(errors="replace") or None,
    }


def codecs() -> dict[str, Any]:
    """List what PyAV's FFmpeg can encode and decode of the codecs used here."""
    av = importlib.import_module("av")
    modes = {"encoders": "w", "decoders": "r"}
    return {
        "ffmpeg": av.ffmpeg_version_info,
        **{kind: [name for name in names if _has_codec(av, name, modes[kind])] for kind, names in CODECS.items()},
    }


def _has_codec(av: Any, name: str, mode: str) -> bool:
    try:
        av.Codec(name, mode)
    except ValueError:  # UnknownCodecError
        return False
    return True


def module_version(name: str) -> dict[str, Any]:
    """A module's own version, which proves that it and its libraries load."""
    return {"version": str(import_package(name).__version__)}


def pycuda() -> dict[str, Any]:
    """The CUDA version that pycuda was compiled for; its driver module is loaded and not initialised."""
    major, minor, _ = importlib.import_module("pycuda.driver").get_version()
    return {"cuda": f"{major}.{minor}"}


def int8() -> dict[str, Any]:
    """Try whether INT8 is computed rightly on this processor, and how quick it is beside float32."""
    from edgeseg.machine.doctor.int8_worth import int8_worth
    from edgeseg.runtime.engine.machine import instruction_sets
    from edgeseg.runtime.onnxruntime.int8_kernels import examine_int8_kernels

    report = examine_int8_kernels()
    return {
        "flags": sorted(instruction_sets()),
        "wrong": list(report.wrong),
        "saturates": report.saturates,
        "ratio": None if report.wrong else int8_worth().ratio,
    }


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "gpu": gpu,
    "codecs": codecs,
    "int8": int8,
    "pycuda": pycuda,
}
"""Beside these, the package of each backend is a probe of its version."""


def answer(name: str) -> dict[str, Any]:
    """A probe's facts, or ``{"missing": why}`` whatever goes wrong."""
    try:
        if name not in PROBES and name in _backend_packages():
            return module_version(name)
        return PROBES[name]()
    except Exception as error:  # whatever a foreign library's import raises
        return {"missing": f"{type(error).__name__}: {error}"[:300]}


def _backend_packages() -> set[str]:
    return {backend.package for name in backend_names() if (backend := find_backend(name)) is not None}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1])))
