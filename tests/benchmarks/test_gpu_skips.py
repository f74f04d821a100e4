"""tests/gpu where there is no GPU: skipped with the reason, or failed where EDGESEG_REQUIRE_GPU=1 asks for one."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def outcome(**more: str) -> subprocess.CompletedProcess[str]:
    """Pytest's, on a small file of tests/gpu."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("EDGESEG_", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/gpu/test_gpu_steady_state.py",
        "-m",
        "gpu",
        "-rsE",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(command, cwd=ROOT, env=environment | more, capture_output=True, text=True, timeout=240)


@pytest.fixture(autouse=True)
def no_gpu() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    pytest.skip("this machine has an NVIDIA driver")


def test_they_skip_and_say_why() -> None:
    done = outcome()
    assert done.returncode == 0 and "3 skipped" in done.stdout, done.stdout
    assert "needs an NVIDIA GPU: " in done.stdout


def test_they_fail_where_a_gpu_is_required() -> None:
    done = outcome(EDGESEG_REQUIRE_GPU="1")
    assert done.returncode == 1 and "3 errors" in done.stdout, done.stdout
    assert "needs an NVIDIA GPU (EDGESEG_REQUIRE_GPU=1): " in done.stdout
