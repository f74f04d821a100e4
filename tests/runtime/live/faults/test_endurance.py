"""Many frames through the whole command: memory and open files stay what they were after warm-up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.live.faults.conftest import Command, command_line, descriptors, resident_kib, until

Start = Callable[..., Command]
AFTERWARDS = 400
"""Frames that come while memory is read for the last time."""
RATE = 200
"""Frames a second that the clip says; a busy machine shows fewer, which are counted."""


def clip(path: Path, videos: Any) -> Path:
    """One second of a white square that wanders over black, 64x48."""
    images = []
    for index in range(RATE):
        image = np.zeros((48, 64, 3), np.uint8)
        image[8:40, index % 32 : index % 32 + 32] = 255
        images.append(image)
    return videos.write(path, images, [450 * index for index in range(RATE)], Fraction(1, 90_000))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("frames", "warm", "growth"),
    [
        pytest.param(2_000, 1_000, 0.05, id="short"),
        pytest.param(100_000, 20_000, 0.01, id="long", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_memory_and_open_files_do_not_grow(
    command: Start, tmp_path: Path, videos: Any, frames: int, warm: int, growth: float
) -> None:
    """The masks' lines tell how far it is."""
    masks = tmp_path / "masks.jsonl"
    source = clip(tmp_path / "clip.mp4", videos)
    run = command(
        source, "--loop", "--no-gate", "--max-mask-age-ms", 1000, "--masks", masks,
        "--out", tmp_path / "out.mp4", "--events", tmp_path / "events.jsonl", "--max-frames", frames + AFTERWARDS,
    )  # fmt: skip
    pid = run.process.pid

    def reached(count: int) -> bool:
        assert run.process.poll() is None, run.log.read_text()
        return masks.exists() and last_frame(masks) >= count

    run.until_runs()
    until(lambda: reached(warm), patience_s=3000)
    before_kib, before_files = resident_kib(pid), descriptors(pid)
    workers_kib = {worker: resident_kib(worker) for worker in run.workers}
    until(lambda: reached(frames), patience_s=3000)
    after_kib, after_files = resident_kib(pid), descriptors(pid)
    grown = {worker: resident_kib(worker) / kib - 1 for worker, kib in workers_kib.items()}
    code, status = run.end()
    print(
        f"{frames} frames, {status['skipped']} not shown; resident memory from frame {warm} on: {before_kib} to "
        f"{after_kib} KiB ({100 * (after_kib / before_kib - 1):+.2f} %), "
        f"workers at most {100 * max(grown.values()):+.2f} %; open files {before_files} to {after_files}"
    )
    assert code == 0
    assert status["frames"] + status["skipped"] == frames + AFTERWARDS
    assert after_kib <= (1 + growth) * before_kib
    assert max(grown.values()) <= growth
    assert after_files <= before_files


def last_frame(lines: Path) -> int:
    """The number in the last whole line."""
    with lines.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        whole = [line for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
    return int(whole[-1].split(b'"frame": ')[1].split(b",")[0]) if whole else 0


def test_processes_that_die_again_and_again_leave_no_descriptor_and_no_memory(command: Start, tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    run = command("synthetic:160x120@10", "--max-mask-age-ms", 5000, "--masks", masks, "--spares", 1)
    run.until_runs()
    pid = run.process.pid

    def wait_for_masks() -> None:
        start = last_frame(masks) if masks.exists() else 0
        until(lambda: masks.exists() and last_frame(masks) > start + 3, run.log)

    wait_for_masks()
    until(lambda: len(engines_of(pid)) == 2)
    before, memory = descriptors(pid), shared_memory(pid)
    for _ in range(4):
        victim = engines_of(pid)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: victim not in engines_of(pid) and len(engines_of(pid)) == 2)  # type: ignore[misc]
        wait_for_masks()
    until(lambda: descriptors(pid) <= before, (before, descriptors(pid)))
    assert shared_memory(pid) == memory
    run.signal(signal.SIGTERM)
    code, status = run.end()
    assert (code, status["restarts"]) == (143, 4)


def engines_of(pid: int) -> list[int]:
    """Engine processes of a stream, the newest last."""
    found = []
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        found.append(child)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if thread.name != str(pid):
            found += [int(word) for word in (thread / "children").read_text().split()]
    return [child for child in found if b"spawn_main" in command_line(child)]


def shared_memory(pid: int) -> set[str]:
    """Names of the shared memory that a process maps."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[-1] for line in lines if "/dev/shm/" in line}
