"""The driver is asked through a small library that stands in for libcuda."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.passport import gpu
from edgeseg.runtime.passport.gpu import Gpu, find_gpu

SOURCE = """
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Orin", length); return device != 7; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 7; return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
"""


@pytest.fixture
def driver(tmp_path: Path, system_program: Callable[..., str]) -> Callable[..., str]:
    """Compiles the stand-in: driver(init=0, count=1)."""

    def compile_one(init: int = 0, count: int = 1) -> str:
        source, library = tmp_path / "cuda.c", tmp_path / f"libcuda-{init}-{count}.so"
        source.write_text(SOURCE)
        values = [f"-DINIT={init}", f"-DCOUNT={count}"]
        subprocess.run([system_program("gcc"), "-shared", "-fPIC", *values, "-o", library, source], check=True)
        return str(library)

    return compile_one


def test_the_first_gpu_is_described(driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n")
    monkeypatch.setattr(gpu, "DRIVER_VERSION", version)
    assert find_gpu(driver()) == Gpu("Orin", "8.7", "540.4.0")
    monkeypatch.setattr(gpu, "TEGRA_RELEASE", version)
    monkeypatch.setattr(gpu, "DRIVER_VERSION", tmp_path / "nothing")
    assert find_gpu(driver()) == Gpu("Orin", "8.7", "CUDA 12.6", jetson=True)


@pytest.mark.parametrize(("init", "count", "found"), [(100, 0, "without a GPU"), (0, 0, "without"), (999, 1, "999")])
def test_a_driver_that_gives_no_gpu(driver, init: int, count: int, found: str) -> None:
    with pytest.raises(MissingComponentError) as caught:
        find_gpu(driver(init, count))
    assert caught.value.exit_code == 4
    assert found in str(caught.value.found)


def test_no_driver() -> None:
    with pytest.raises(MissingComponentError, match="needs an NVIDIA GPU"):
        find_gpu("libno-such-driver.so.1")
