"""Loads the CUDA test double into a pytest process, before anything can load a driver."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path


def load_double() -> str | None:
    """Load the double from EDGESEG_CUDA_DOUBLE, the folder that build.sh has filled; why not, where that cannot be."""
    if "EDGESEG_CUDA_DOUBLE" not in os.environ:
        return "needs the CUDA test double in a pytest of its own: make test-cuda-double"
    if is_loaded():
        return None
    out = Path(os.environ["EDGESEG_CUDA_DOUBLE"]).resolve()
    library = out / "libcuda.so.1"
    if not library.is_file():
        return f"the CUDA test double is not built ({library} is missing): make cuda-double"
    for package in ("pycuda", "cuda.bindings"):
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            return f"{package} is not installed: make cuda-double"
    if any(name.startswith(("pycuda", "cuda.")) for name in sys.modules):
        return "CUDA was imported before the double could be loaded"
    try:
        real = ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        if not hasattr(real, "cudadouble_is_double"):
            return "this machine has a real CUDA driver; the double must not stand beside it"
    os.environ["CUDADOUBLE_KERNELS"] = os.pathsep.join(str(path) for path in sorted(out.glob("*_host.so")))
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([str(out), os.environ.get("LD_LIBRARY_PATH", "")])  # for children
    os.environ.setdefault("XDG_CACHE_HOME", str(out / "cache"))
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    return None


def is_loaded() -> bool:
    """Tell whether the driver of this process is the double."""
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123 - no file that a path could name
        loaded = "libcuda.so.1" in maps.read()
    return loaded and hasattr(ctypes.CDLL("libcuda.so.1"), "cudadouble_is_double")
