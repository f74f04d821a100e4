"""The time that one labelled image takes through an engine that has the machine to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from edgeseg.artifacts import LatencyReport
from edgeseg.dataset import Pair
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.proof.timing.clock import Clock, MonotonicClock
from edgeseg.proof.timing.frame_times import time_frame
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.latency import LatencyRecorder, Stage
from edgeseg.runtime.video.picture import Picture

WARM_UP_IMAGES = 5
SAMPLES = 200
"""Twice what a 99th percentile needs, so that one interrupt is not the figure."""
LIMIT_SAMPLES = 400
"""As many as it takes for the 95 % interval of a p99 to end at a time that was measured, and some more."""
BUDGET_S = 120.0
_STAGES: tuple[Stage, ...] = ("pre", "infer", "post")


def measure_latency(
    engine: Engine,
    pairs: Sequence[Pair],
    samples: int = SAMPLES,
    budget_s: float = BUDGET_S,
    track: Track = silent,
) -> tuple[LatencyReport, tuple[float, ...]]:
    """Time images one after another, after a warm-up that does not count; nothing else runs meanwhile.

    Few images are gone through again, many are sampled evenly. An image is given as a frame of a video is, as
    planes. Reading the file is reported as `decode` and is not part of the end-to-end time, which goes from the
    decoded frame to the mask at its size. See `FrameTimes` for the stages.

    Args:
        engine: What is timed.
        pairs: At least one.
        samples: How many images to time.
        budget_s: No image is started after this many seconds.
        track: Shows progress.

    Returns:
        The report and the end-to-end time of each sample in milliseconds.
    """
    clock = MonotonicClock()
    for pair in spread(pairs, WARM_UP_IMAGES):
        time_frame(engine, as_in_a_video(pair), clock)
    recorder = LatencyRecorder()
    deadline = time.monotonic() + budget_s
    samples_ms: list[float] = []
    for pair in track(spread(pairs, samples), "timing", samples):
        if samples_ms and time.monotonic() > deadline:
            break
        _time_image(engine, pair, recorder, clock)
        samples_ms.append(round(recorder.last_ms("end_to_end"), 4))
    count = len(samples_ms)
    report = recorder.report(
        engine.info, frames=count, inferences=count, device=engine.device_name, restarts=engine.restarts
    )
    return report, tuple(samples_ms)


def _time_image(engine: Engine, pair: Pair, recorder: LatencyRecorder, clock: Clock) -> None:
    with recorder.measure("decode"):
        picture = as_in_a_video(pair)
    times = time_frame(engine, picture, clock)
    recorder.add("end_to_end", times.total_ns)
    for stage in _STAGES:
        if stage in times.stages_ns:
            recorder.add(stage, times.stages_ns[stage])


def as_in_a_video(pair: Pair) -> Picture:
    """Read a pair's image as a frame of a video comes: as planes."""
    return Picture.of_bgr(np.ascontiguousarray(read_rgb(pair.image)[..., ::-1])).planar()


def spread(pairs: Sequence[Pair], count: int) -> Iterator[Pair]:
    """`count` pairs: evenly from a longer sequence, round and round a shorter one."""
    if len(pairs) >= count:
        return (pairs[index * len(pairs) // count] for index in range(count))
    return (pairs[index % len(pairs)] for index in range(count))
