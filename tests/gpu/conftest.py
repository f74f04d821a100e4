"""These tests need an NVIDIA GPU: `make gpu`. Without one they skip, or fail where EDGESEG_REQUIRE_GPU=1.

With EDGESEG_CUDA_DOUBLE they run on the test double of the driver (`make test-cuda-double`), which tries their logic
and says nothing about a GPU.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "cuda_double")]
from loading import is_loaded, load_double  # noqa: E402

DOUBLE_MEMORY_MB = 128


def _missing() -> str | None:
    """Why there is nothing to run on."""
    if "EDGESEG_CUDA_DOUBLE" in os.environ:
        os.environ.setdefault("CUDADOUBLE_MEM_MB", str(DOUBLE_MEMORY_MB))  # tests fill it
        return load_double()
    for package in ("pycuda", "cuda.bindings"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"{package} is not installed: make gpu"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"no NVIDIA driver: {error}"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "an NVIDIA driver without a GPU"
    return None


REASON = _missing()
REQUIRED = os.environ.get("EDGESEG_REQUIRE_GPU") == "1"


def pytest_report_header() -> str | None:
    if REASON is None and is_loaded():
        return "tests/gpu run on the CUDA test double: their logic is tried, no GPU is"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if REASON is None:
        return
    if REQUIRED:
        pytest.fail(f"needs an NVIDIA GPU (EDGESEG_REQUIRE_GPU=1): {REASON}", pytrace=False)
    pytest.skip(f"needs an NVIDIA GPU: {REASON}")


@pytest.fixture(scope="session")
def on_double() -> bool:
    """Tell whether this runs on the test double: fewer repetitions, and nothing that only a GPU shows."""
    return is_loaded()


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The GPU, its context current for all tests of this process."""
    from edgeseg.runtime.cuda.driver import CudaDevice

    with CudaDevice() as opened:
        yield opened


@pytest.fixture(scope="session")
def kernels(device: Any) -> Iterator[Any]:
    """As the fixture of tests/cuda_kernels, on the GPU."""
    from device_memory import GpuKernels

    opened = GpuKernels(device.traits.architecture)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def guarded(device: Any) -> Any:
    """As the fixture of tests/cuda_kernels, on the GPU."""
    from device_memory import GuardedOnDevice

    return GuardedOnDevice


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real images and video."""
    folder = Path(os.environ.get("EDGESEG_DATA", FOLDER.parents[2] / "shared" / "data"))
    if not folder.is_dir() or importlib.util.find_spec("av") is None:
        pytest.skip(f"no real images at {folder} (EDGESEG_DATA), or no PyAV to read them")
    return folder


@pytest.fixture(scope="session")
def standin_image(device: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in engine's kernel, compiled for this GPU."""
    from mean_engine import compiled

    return compiled(device.traits.architecture, tmp_path_factory.mktemp("standin") / "standin.fatbin")


@pytest.fixture
def standin(standin_image: Path) -> Callable[..., Any]:
    """Gives a function without arguments that opens a session on the stand-in engine, here or in a worker."""
    from mean_engine import open_mean_session

    return functools.partial(functools.partial, open_mean_session, standin_image)
