"""An engine under load for a while: does it stay up, keep its answers, and keep its memory?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.frames import Frame, Mask
from edgeseg.progress import Track, silent
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.memory import resident_bytes
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.values import Part

MEMORY_SAMPLES = 40
"""The first quarter of them is warm-up."""
LARGEST_GROWTH_BYTES = 32 << 20
"""Growth that allocators and page caches may cause while nothing leaks; a leak of one 1080p frame passes it in 6
frames."""
_MOST_ERRORS = 10
"""An engine that errs more often is given up."""


@dataclass(frozen=True)
class SoakLimits:
    """How long."""

    seconds: float = 30.0
    min_frames: int = 100
    """Slow machines go on until so many frames, whatever the time."""


class SoakReport(Part):
    """The events of a soak."""

    frames: int
    seconds: float
    fps: float
    errors: int
    """Frames that ended in an error."""
    first_error: str | None = None
    changed_masks: int
    """Frames whose mask was another one than when the same frame came first."""
    restarts: int | None = None
    """Restarts of the engine's process; 0 for an engine of this process."""
    memory_bytes: int
    """Resident memory of this process and its children at the end."""
    memory_growth_bytes: int | None = None
    """Growth from the second quarter of the soak to the last; None where the soak was too short to tell."""
    gpu_memory_growth_bytes: int | None = None
    """Growth of the whole GPU's memory, likewise; None where the machine does not tell."""

    def failures(self) -> list[str]:
        """List what was not as it must be, one sentence each."""
        found = []
        if self.errors:
            found.append(f"{self.errors} of {self.frames} frames ended in an error, the first: {self.first_error}")
        if self.changed_masks:
            found.append(f"{self.changed_masks} of {self.frames} frames gave another mask than before")
        if self.restarts:
            found.append(f"the engine's process was started again {self.restarts} times")
        for what, growth in (("memory", self.memory_growth_bytes), ("GPU memory", self.gpu_memory_growth_bytes)):
            if growth is not None and growth > LARGEST_GROWTH_BYTES:
                limit = f"at most {LARGEST_GROWTH_BYTES / 1e6:.0f} MB are allowed"
                found.append(f"{what} grew by {growth / 1e6:.0f} MB under a steady load; {limit}")
        return found


def soak(
    engine: Engine,
    frames: Sequence[Frame],
    limits: SoakLimits | None = None,
    gpu_memory: Callable[[], int | None] = lambda: None,
    track: Track = silent,
) -> SoakReport:
    """Segment the same frames again and again.

    Args:
        engine: What is loaded.
        frames: uint8 [H,W,3] RGB, at least one; they are kept in memory.
        limits: How long.
        gpu_memory: Bytes in use on the GPU; None where the machine does not tell.
        track: Shows progress.
    """
    wanted = limits or SoakLimits()
    watch = _Watch(engine, frames)
    before = gpu_memory()
    memory = _Memory(wanted)
    for index in track(_until(watch, wanted), "soaking"):
        watch.step(index)
        memory.sample(watch)
        if index == len(frames):
            before = gpu_memory()  # engines allocate with their first frames
    after = gpu_memory()
    elapsed_s = watch.elapsed_s
    return SoakReport(
        frames=watch.frames,
        seconds=round(elapsed_s, 2),
        fps=watch.frames / elapsed_s,
        errors=watch.errors,
        first_error=watch.first_error,
        changed_masks=watch.changed,
        restarts=engine.restarts,
        memory_bytes=resident_bytes(),
        memory_growth_bytes=memory.growth(),
        gpu_memory_growth_bytes=None if before is None or after is None else after - before,
    )


def growth_of(samples: Sequence[int]) -> int | None:
    """Growth from the median of the second quarter of the samples to that of the last; None for too few samples."""
    quarter = len(samples) // 4
    if quarter < 2:
        return None
    return int(median(samples[-quarter:]) - median(samples[quarter : 2 * quarter]))


class _Watch:
    """Compares the engine's answers with its first ones."""

    def __init__(self, engine: Engine, frames: Sequence[Frame]) -> None:
        self._engine = engine
        self._pictures = frames
        self._masks: dict[int, Mask] = {}
        self._started_s = time.monotonic()
        self.frames = self.errors = self.changed = 0
        self.first_error: str | None = None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def step(self, index: int) -> None:
        number = index % len(self._pictures)
        self.frames += 1
        try:
            mask = segment(self._engine, self._pictures[number])
        except EdgesegError as error:
            self.errors += 1
            self.first_error = self.first_error or error.what
            return
        self.changed += not np.array_equal(self._masks.setdefault(number, mask), mask)


class _Memory:
    """Samples of the process's memory, evenly spread over the soak."""

    def __init__(self, limits: SoakLimits) -> None:
        self._every_s = limits.seconds / MEMORY_SAMPLES
        self._samples: list[int] = []

    def sample(self, watch: _Watch) -> None:
        if watch.elapsed_s >= len(self._samples) * self._every_s:
            self._samples.append(resident_bytes())

    def growth(self) -> int | None:
        return growth_of(self._samples)


def _until(watch: _Watch, limits: SoakLimits) -> Iterator[int]:
    index = 0
    while (watch.elapsed_s < limits.seconds or index < limits.min_frames) and watch.errors <= _MOST_ERRORS:
        yield index
        index += 1
