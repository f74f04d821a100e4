"""How long one image takes through an engine that has the machine to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from edgeseg.artifacts import LatencyReport
from edgeseg.dataset import Pair
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.runtime.engine.frame_engine import frame_engine
from edgeseg.runtime.engine.inputs import PackedFrame, size_of
from edgeseg.runtime.engine.latency import LatencyRecorder
from edgeseg.runtime.engine.session import Session, WholeFrames, mask_at_frame, preprocess, segment

WARM_UP_IMAGES = 5
SAMPLES = 200
"""Twice what a 99th percentile needs, so that one interrupt is not the figure."""
BUDGET_S = 120.0


def measure_latency(
    session: Session,
    pairs: Sequence[Pair],
    samples: int = SAMPLES,
    budget_s: float = BUDGET_S,
    track: Track = silent,
) -> tuple[LatencyReport, tuple[float, ...]]:
    """Time images one after another, after a warm-up that does not count; nothing else runs meanwhile.

    Few images are gone through again, many are sampled evenly. Reading the file is reported as `decode` and is
    not part of the end-to-end time, which goes from the decoded frame to the mask at its size. Where the engine takes
    whole frames, `infer` is from the frame in host memory to its probability map, and there is no `pre`.

    Args:
        session: The engine.
        pairs: At least one.
        samples: How many images to time.
        budget_s: No image is started after this many seconds.
        track: Shows progress.

    Returns:
        The report and the end-to-end time of each sample in milliseconds.
    """
    for pair in _spread(pairs, WARM_UP_IMAGES):
        segment(session, read_rgb(pair.image))
    recorder = LatencyRecorder()
    deadline = time.monotonic() + budget_s
    samples_ms: list[float] = []
    for pair in track(_spread(pairs, samples), "timing", samples):
        if samples_ms and time.monotonic() > deadline:
            break
        _time_image(session, pair, recorder)
        samples_ms.append(round(recorder.last_ms("end_to_end"), 4))
    count, engine = len(samples_ms), frame_engine(session)
    report = recorder.report(
        session.info, frames=count, inferences=count, device=engine.device_name, restarts=engine.restarts
    )
    return report, tuple(samples_ms)


def _time_image(session: Session, pair: Pair, recorder: LatencyRecorder) -> None:
    with recorder.measure("decode"):
        frame = PackedFrame(read_rgb(pair.image), "rgb")
    with recorder.measure("end_to_end"):
        if isinstance(session, WholeFrames):
            with recorder.measure("infer"):
                probability = session.probability(frame)
        else:
            with recorder.measure("pre"):
                batch = preprocess(session, frame)
            with recorder.measure("infer"):
                probability = session.infer(batch)[0]
        with recorder.measure("post"):
            mask_at_frame(session, probability, *size_of(frame))


def _spread(pairs: Sequence[Pair], count: int) -> Iterator[Pair]:
    """`count` pairs: evenly from a longer sequence, round and round a shorter one."""
    if len(pairs) >= count:
        return (pairs[index * len(pairs) // count] for index in range(count))
    return (pairs[index % len(pairs)] for index in range(count))
