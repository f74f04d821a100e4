"""compute-sanitizer over a short run: no access outside an allocation, no race in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("sanitized_run.py")
FOUND_EXIT_CODE = 99
TIMEOUT_S = 100
UNSUPPORTED = ("Device not supported", "not supported on this", "Unable to find injection")
"""Its words where the machine does not let it in, as in some virtual machines."""


def sanitizer() -> str:
    """The tool: on PATH or with the CUDA toolkit."""
    homes = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    places = [
        os.environ.get("PATH", ""),
        *(f"{home}/bin" for home in homes),
        *(f"{home}/compute-sanitizer" for home in homes),
    ]
    tool = shutil.which("compute-sanitizer", path=os.pathsep.join(places))
    if tool is None:
        pytest.skip("compute-sanitizer is not installed (it comes with the CUDA toolkit)")
    return tool


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command that finds this checkout's packages; its outputs in one."""
    path = os.pathsep.join([str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, env=environment
    )


def run(tool: str, image: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The script under one of the sanitizer's tools; calls of the driver that it refuses are not errors here."""
    command = [sanitizer(), "--tool", tool, "--error-exitcode", str(FOUND_EXIT_CODE)]
    if tool == "memcheck":
        command += ["--report-api-errors", "no"]
    command += [sys.executable, str(SCRIPT), str(image), *more]
    done = start(command)
    if any(words in done.stdout for words in UNSUPPORTED):
        pytest.skip(f"compute-sanitizer does not work on this machine: {done.stdout[-300:]}")
    return done


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_nothing_is_found(standin_image: Path, on_double: bool, tool: str) -> None:
    if on_double:
        pytest.skip("the sanitizer watches a GPU")
    done = run(tool, standin_image)
    assert done.returncode == 0 and "sanitized run: done" in done.stdout, done.stdout[-3000:]


def test_a_row_too_many_is_found(standin_image: Path, on_double: bool) -> None:
    """So that the test above would fail where a kernel read too far."""
    if on_double:
        pytest.skip("the sanitizer watches a GPU")
    done = run("memcheck", standin_image, "too-far")
    assert done.returncode != 0 and "Invalid __global__ read" in done.stdout, done.stdout[-3000:]


def test_the_run_itself_is_sound(standin_image: Path) -> None:
    done = start([sys.executable, str(SCRIPT), str(standin_image)])
    assert done.returncode == 0 and "sanitized run: done" in done.stdout, done.stdout[-3000:]
