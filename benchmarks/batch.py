"""Costs of `edgeseg batch`: its work on a frame against that of `edgeseg run --masks`, and two workers against one.

Usage: python -m benchmarks.batch ENGINE [--clip FILE] [--frames 400] [--rounds 5] [--workers 2]
                                  [--part overhead|scaling]

Both parts take turns on one clip, with one thread inside each inference. Without --clip, a synthetic one of 1280x720 is
made, with a key frame every two seconds.

The overhead holds all that a batch does with a video (reading its packets, segmenting it in clips, joining them)
against what `run --masks` does with it (decoding, inferring, writing a PNG for each frame), in this process, on one
core, with engines that are open. The ratio is the median over the rounds, of the time by the clock and of processor
time.

The scaling holds two Ray workers against one of the same two: what starting Ray and opening engines takes, is left out.
Nothing else should run meanwhile. Where something does, the workers' own processor time for a frame still tells what
they cost one another: the speed-up on free cores is about their number times the ratio of the two.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil

from edgeseg.runtime.batch.archive_listing import list_archive
from edgeseg.runtime.batch.batch_driver import run_batch
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_values import BatchJob
from edgeseg.runtime.batch.batch_worker import WorkerOptions
from edgeseg.runtime.batch.crew import Job, LocalCrew, Outcome
from edgeseg.runtime.batch.ray_crew import RayCrew
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.video.sinks import Sinks, mask_folder
from edgeseg.runtime.video.video_files import open_source

CLIP_S = 4.0
RATE = 25


@dataclass(frozen=True)
class Took:
    """How long some work took for each frame."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Pace:
    """The throughput of some workers, and what a frame costs them."""

    fps: float
    cpu_ms: float


def timed(work: Callable[[], int]) -> Took:
    """Time some work, which gives its number of frames; the processor time is that of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    frames = work()
    return Took(1e3 * (time.perf_counter() - wall) / frames, 1e3 * (time.process_time() - cpu) / frames)


class FirstWorkers:
    """Some of a crew's workers. A `Crew` that leaves the other one open."""

    def __init__(self, crew: RayCrew, count: int) -> None:
        self._crew, self._count = crew, count

    @property
    def job(self) -> BatchJob:
        """Say what the whole crew says."""
        return self._crew.job

    @property
    def idle(self) -> list[int]:
        """The idle ones among the first."""
        return [number for number in self._crew.idle if number < self._count]

    def give(self, worker: int, job: Job) -> None:
        """Pass a job on."""
        self._crew.give(worker, job)

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        """Pass outcomes on."""
        return self._crew.take(timeout_s)

    def close(self) -> None:
        """Leave the crew open."""


def synthetic_clip(path: Path, frames: int) -> None:
    """Write 1280x720 that moves, H.264 with a key frame every two seconds."""
    generator = np.random.default_rng(0)
    ground = np.kron(generator.integers(40, 200, (64, 100, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    options = {"preset": "veryfast", "g": str(2 * RATE)}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
        for index in range(frames):
            top, left = index % 300, 2 * index % 300
            picture = np.ascontiguousarray(ground[top : top + 720, left : left + 1280])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def overhead(engine: Path, clip: Path, rounds: int, folder: Path) -> list[tuple[Took, Took]]:
    """Time a batch and `run --masks` in turns, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    opened = open_engine(engine, Use(threads=1))
    count = iter(range(1000))

    def plain() -> int:
        with open_source(clip) as source, mask_folder(folder / f"masks-{next(count)}") as masks:
            return run_stream(opened, source, Sinks(masks=(masks,))).frames

    def batched() -> int:
        shutil.rmtree(out, ignore_errors=True)
        return run_batch(list_archive([str(clip)]).sources, BatchFolder(out), crew).frames

    out = folder / "overhead"
    with contextlib.closing(LocalCrew(WorkerOptions(engine, out, threads=1, clip_s=CLIP_S))) as crew:
        frames = batched()
        plain()
        taken = []
        for turn in range(rounds):
            first, second = (batched, plain) if turn % 2 else (plain, batched)
            one, other = timed(first), timed(second)
            taken.append((one, other) if turn % 2 else (other, one))
        written = sum(path.stat().st_size for path in out.rglob("*.parquet")) / frames
    opened.close()
    os.sched_setaffinity(0, cores)
    print(f"Parquet: {written:.0f} bytes a frame")
    return taken


def scaling(engine: Path, clip: Path, rounds: int, workers: int, folder: Path) -> Iterator[tuple[Pace, Pace]]:
    """Give the pace of one worker and of several, round by round."""
    out = folder / "scaling"
    with contextlib.closing(RayCrew(WorkerOptions(engine, out, threads=1, clip_s=CLIP_S), workers)) as crew:
        processes = [psutil.Process(number) for number in crew.process_ids().values()]
        for turn in range(rounds + 1):  # in the first one engines are opened
            paces = {}
            for count in (1, workers) if turn % 2 else (workers, 1):
                shutil.rmtree(out, ignore_errors=True)
                before = busy_s(processes)
                result = run_batch(list_archive([str(clip)]).sources, BatchFolder(out), FirstWorkers(crew, count))
                cpu_ms = 1e3 * (busy_s(processes) - before) / result.frames
                paces[count] = Pace(result.frames / result.seconds, cpu_ms)
            if turn:
                yield paces[1], paces[workers]


def busy_s(processes: list[psutil.Process]) -> float:
    """The processor time that some processes have taken so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def tell_overhead(taken: list[tuple[Took, Took]]) -> None:
    """Print the medians of both, and of their ratio in one round."""
    for kind in ("wall", "cpu"):
        ours, theirs = ([getattr(took, f"{kind}_ms") for took in column] for column in zip(*taken, strict=True))
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        print(
            f"{kind} ms a frame: batch {statistics.median(ours):.2f}, run --masks {statistics.median(theirs):.2f}; "
            f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


def tell_scaling(paces: list[tuple[Pace, Pace]], workers: int) -> None:
    """Print the medians of both, and of their ratio in one round."""
    ups = [several.fps / one.fps for one, several in paces]
    for count, column in zip((1, workers), zip(*paces, strict=True), strict=True):
        fps, cpu_ms = (statistics.median(getattr(pace, name) for pace in column) for name in ("fps", "cpu_ms"))
        print(
            f"{count} worker{'s' if count > 1 else ''}: {fps:.1f} frames/s, {cpu_ms:.2f} ms of processor time a frame"
        )
    print(f"speed-up {statistics.median(ups):.2f} ({min(ups):.2f} to {max(ups):.2f})")


def main() -> None:
    """Run both parts and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", choices=("overhead", "scaling"))
    chosen = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = chosen.clip or folder / "synthetic.mp4"
        if chosen.clip is None:
            synthetic_clip(clip, chosen.frames)
        load = os.getloadavg()[0]
        if chosen.part != "scaling":
            tell_overhead(overhead(chosen.engine, clip, chosen.rounds, folder))
        if chosen.part != "overhead":
            tell_scaling(list(scaling(chosen.engine, clip, chosen.rounds, chosen.workers, folder)), chosen.workers)
        print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
