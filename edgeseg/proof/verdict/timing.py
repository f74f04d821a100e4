"""How long one image takes through an engine that has the machine to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from edgeseg.artifacts import LatencyReport
from edgeseg.dataset import Pair
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import PackedFrame, size_of
from edgeseg.runtime.engine.latency import LatencyRecorder
from edgeseg.runtime.engine.one_frame import outcome_of, segment
from edgeseg.runtime.engine.session import mask_at_frame

WARM_UP_IMAGES = 5
SAMPLES = 200
"""Twice what a 99th percentile needs, so that one interrupt is not the figure."""
BUDGET_S = 120.0


def measure_latency(
    engine: Engine,
    pairs: Sequence[Pair],
    samples: int = SAMPLES,
    budget_s: float = BUDGET_S,
    track: Track = silent,
) -> tuple[LatencyReport, tuple[float, ...]]:
    """Time images one after another, after a warm-up that does not count; nothing else runs meanwhile.

    Few images are gone through again, many are sampled evenly. Reading the file is reported as `decode` and is
    not part of the end-to-end time, which goes from the decoded frame to the mask at its size. Where the engine
    brings frames to the network's size itself, `infer` holds that, and there is no `pre`.

    Args:
        engine: What is timed.
        pairs: At least one.
        samples: How many images to time.
        budget_s: No image is started after this many seconds.
        track: Shows progress.

    Returns:
        The report and the end-to-end time of each sample in milliseconds.
    """
    for pair in _spread(pairs, WARM_UP_IMAGES):
        segment(engine, read_rgb(pair.image))
    recorder = LatencyRecorder()
    deadline = time.monotonic() + budget_s
    samples_ms: list[float] = []
    for pair in track(_spread(pairs, samples), "timing", samples):
        if samples_ms and time.monotonic() > deadline:
            break
        _time_image(engine, pair, recorder)
        samples_ms.append(round(recorder.last_ms("end_to_end"), 4))
    count = len(samples_ms)
    report = recorder.report(
        engine.info, frames=count, inferences=count, device=engine.device_name, restarts=engine.restarts
    )
    return report, tuple(samples_ms)


def _time_image(engine: Engine, pair: Pair, recorder: LatencyRecorder) -> None:
    with recorder.measure("decode"):
        frame = PackedFrame(read_rgb(pair.image), "rgb")
    with recorder.measure("end_to_end"):
        outcome = outcome_of(engine, frame)
        with recorder.measure("post"):
            mask_at_frame(engine.info, outcome.probability, *size_of(frame))
    recorder.add_ms("infer", outcome.infer_ms)
    if outcome.pre_ms is not None:
        recorder.add_ms("pre", outcome.pre_ms)


def _spread(pairs: Sequence[Pair], count: int) -> Iterator[Pair]:
    """`count` pairs: evenly from a longer sequence, round and round a shorter one."""
    if len(pairs) >= count:
        return (pairs[index * len(pairs) // count] for index in range(count))
    return (pairs[index % len(pairs)] for index in range(count))
