"""Barriers: without a GPU (and its racecheck), g++'s thread sanitizer runs each CUDA thread as a thread."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("races.cpp")
FLAGS = ("-std=c++20", "-O1", "-g", "-fsanitize=thread", "-fno-strict-aliasing", "-Wno-unknown-pragmas")
UNAVAILABLE = ("cannot find -ltsan", "libtsan", "unexpected memory mapping")


def run(folder: Path, *defines: str) -> subprocess.CompletedProcess[str]:
    program = folder / "races"
    build = subprocess.run(["g++", *FLAGS, *defines, str(SOURCE), "-o", str(program)], capture_output=True, text=True)
    if any(sign in build.stderr for sign in UNAVAILABLE):
        pytest.skip("this g++ has no thread sanitizer")
    assert build.returncode == 0, build.stderr
    options = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=240, env=options)
    if any(sign in done.stderr for sign in UNAVAILABLE[2:]):
        pytest.skip("the thread sanitizer does not run on this kernel")
    return done


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize("barriers", [True, False])
def test_threads_of_a_block_race_only_without_barriers(tmp_path: Path, barriers: bool) -> None:
    done = run(tmp_path, *([] if barriers else ["-DWITHOUT_BARRIERS"]))
    assert ("data race" in done.stderr) is not barriers, done.stderr[:2000]
    assert (done.returncode == 0) is barriers
