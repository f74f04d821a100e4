"""Durations of a frame's stages, gathered while frames flow and summed up as a LatencyReport."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np

from edgeseg.artifacts import LatencyReport, Percentiles
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.session import SessionInfo

Stage = Literal["decode", "pre", "infer", "post", "draw", "encode", "end_to_end"]
NS_PER_MS = 1e6


def percentiles_ms(durations_ns: Sequence[int]) -> Percentiles:
    """Sum up the distribution of durations.

    Percentiles are interpolated linearly between the two nearest order statistics (numpy's default, type 7 of
    Hyndman and Fan 1996), so p99 of fewer than 100 durations lies between the two largest.

    Args:
        durations_ns: At least one duration, in nanoseconds.

    Raises:
        ValueError: There is no duration.
    """
    if not len(durations_ns):
        raise ValueError("no durations to sum up")
    milliseconds = np.asarray(durations_ns, dtype=np.float64) / NS_PER_MS
    p50, p90, p99 = np.percentile(milliseconds, (50, 90, 99), method="linear")
    return Percentiles(
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        max_ms=float(milliseconds.max()),
        mean_ms=float(milliseconds.mean()),
    )


class LatencyRecorder:
    """Gathers durations; its clocks (wall and processor) start when it is made.

    Several threads may add, each to stages of its own. A duration takes eight bytes, an hour of 25 fps 5 MB.
    """

    def __init__(self) -> None:
        self._durations_ns: dict[Stage, array[int]] = {stage: array("q") for stage in get_args(Stage)}
        self._started_ns = time.perf_counter_ns()
        self._started_cpu_ns = time.process_time_ns()

    def add(self, stage: Stage, duration_ns: int) -> None:
        """Note one duration of a stage, in nanoseconds of the monotonic clock."""
        self._durations_ns[stage].append(duration_ns)

    def add_ms(self, stage: Stage, duration_ms: float) -> None:
        """Note one duration of a stage, in milliseconds."""
        self.add(stage, round(duration_ms * NS_PER_MS))

    @contextlib.contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Note how long the block takes; nothing is noted when it raises."""
        started_ns = time.perf_counter_ns()
        yield
        self.add(stage, time.perf_counter_ns() - started_ns)

    def last_ms(self, stage: Stage) -> float:
        """Read the newest duration of a stage, in milliseconds.

        Raises:
            IndexError: The stage has none.
        """
        return self._durations_ns[stage][-1] / NS_PER_MS

    def report(
        self,
        info: SessionInfo,
        *,
        frames: int,
        inferences: int,
        drops: int = 0,
        deadline_misses: int = 0,
        device: str | None = None,
        retries: int = 0,
        restarts: int = 0,
    ) -> LatencyReport:
        """Sum up what was gathered until now; stages without a duration stay None.

        Args:
            info: The network that the frames ran through.
            frames: Frames decoded; fps and processor time are per such frame.
            inferences: Frames inferred.
            drops: Frames that a newer one replaced.
            deadline_misses: Frames later than their deadline; 0 where none applies, as for files.
            device: The GPU that inferred; None for the processor.
            retries: Frames that were handed to the engine again.
            restarts: How often the engine's process was started again.

        Raises:
            ValueError: No end-to-end duration was noted.
        """
        wall_s = (time.perf_counter_ns() - self._started_ns) / 1e9
        cpu_ms = (time.process_time_ns() - self._started_cpu_ns) / NS_PER_MS
        return LatencyReport(
            frames=frames,
            inferences=inferences,
            drops=drops,
            deadline_misses=deadline_misses,
            decode=self._percentiles("decode"),
            pre=self._percentiles("pre"),
            infer=self._percentiles("infer"),
            post=self._percentiles("post"),
            draw=self._percentiles("draw"),
            encode=self._percentiles("encode"),
            end_to_end=percentiles_ms(self._durations_ns["end_to_end"]),
            fps=frames / wall_s,
            cpu_ms_per_frame=cpu_ms / frames,
            backend=info.backend,
            precision=info.precision,
            machine=describe_machine() if device is None else f"{device}; {describe_machine()}",
            retries=retries,
            restarts=restarts,
        )

    def _percentiles(self, stage: Stage) -> Percentiles | None:
        durations_ns = self._durations_ns[stage]
        return percentiles_ms(durations_ns) if durations_ns else None
