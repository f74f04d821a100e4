"""Measures the gate on real clips, what stabilisation does to flicker and Dice, and what both cost a frame.

Usage: python benchmarks/live_scene.py gate CLIP...
       python benchmarks/live_scene.py steady MODEL DATA     MODEL: an .onnx file or a package; DATA: with a test split
       python benchmarks/live_scene.py time
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from edgeseg.dataset import load_pairs
from edgeseg.frames import Frame, Mask, mask_from_probability, resize_mask_to_network, resize_to_network
from edgeseg.images import read_mask, read_rgb
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.live.scene.flicker import ClipFrame, measure_stabilisation, moved_still
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser
from edgeseg.runtime.live.scene.watch import SceneWatch
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.video.picture import Picture
from edgeseg.synthetic.synthetic_clip import render_clip

STILLS, STILL_FRAMES = 10, 15
CLIP_SEEDS, CLIP_FRAMES = (1, 2), 60
ROUNDS = 200


def pictures(clip: Path) -> Iterator[Picture]:
    """The frames of a clip as planes."""
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield Picture.of_i420(frame.height, frame.width, i420=frame.to_ndarray(format="yuv420p"))


def gate(clip: Path) -> None:
    """Count decisions in both halves and name the gated frames."""
    watch = SceneWatch()
    reasons = [
        watch.update(reduce_picture(picture), index / 25).gate.reason for index, picture in enumerate(pictures(clip))
    ]
    half = len(reasons) // 2
    for name, part in (("first", reasons[:half]), ("second", reasons[half:])):
        counts = ", ".join(f"{reason or 'shown'} {count}" for reason, count in Counter(part).most_common())
        print(f"{clip.name}, {name} half, {len(part)} frames: {counts}")
    runs = [(reason, len(list(run))) for reason, run in itertools.groupby(reasons)]
    places = itertools.accumulate((length for _, length in runs), initial=0)
    print(
        "  "
        + ", ".join(
            f"{reason} {start}..{start + n - 1}" for (reason, n), start in zip(runs, places, strict=False) if reason
        )
    )


def clip_frames(session: Session, pairs: Iterator[tuple[Frame, Mask]]) -> Iterator[ClipFrame]:
    """Run the network on frames and pair its answers with their truth."""
    height, width, _ = session.info.model.input_shape
    for image, truth in pairs:
        small = resize_to_network(image, height, width)
        luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        yield ClipFrame(luma, resize_mask_to_network(truth, height, width), session.infer(small[None])[0])


def steady(model: Path, data: Path) -> None:
    """Flicker and Dice without and with stabilisation."""
    session = open_engine(model)
    stills = load_pairs(data, "test")[:: 100 // STILLS][:STILLS]
    clips = {
        "synthetic clip": [render_clip(seed, CLIP_FRAMES, 256, 320) for seed in CLIP_SEEDS],
        "moved stills": [
            moved_still(read_rgb(pair.image), read_mask(pair.mask), STILL_FRAMES, seed)
            for seed, pair in enumerate(stills)
        ],
    }
    for name, sources in clips.items():
        reports = [measure_stabilisation(clip_frames(session, source)) for source in sources]
        frames = sum(report.frames for report in reports)
        means = {
            field: statistics.fmean(getattr(report, field) for report in reports)
            for field in ("truth_flicker", "flicker", "steadied_flicker", "dice", "steadied_dice")
        }
        print(f"{name}, {len(reports)} clips, {frames} frames: " + ", ".join(f"{k} {v:.4f}" for k, v in means.items()))


def cost() -> None:
    """Time per call on one thread, steps alternated."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    shown = [
        Picture.of_bgr(np.ascontiguousarray(frame[..., ::-1])).planar() for frame, _ in render_clip(3, 4, 720, 1280)
    ]
    watch, steadier = SceneWatch(), ProbabilityStabiliser()
    smalls = [reduce_picture(picture) for picture in shown]
    probability = rng.random((1, 224, 224), dtype=np.float32)
    steps: dict[str, Callable[[int], object]] = {
        "reduce 1280x720": lambda i: reduce_picture(shown[i % 4]),
        "region, text, gate": lambda i: watch.update(smalls[i % 4], i / 25),
        "stabilise 224x224": lambda i: steadier.update(probability, smalls[i % 4].luma),
        "mask_from_probability 1280x720, to compare": lambda i: mask_from_probability(probability, 720, 1280),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            step(index)
            times[name].append((time.perf_counter() - started) * 1e3)
    for name, taken in times.items():
        print(f"{name:44s} median {statistics.median(taken):.3f} ms, mean {statistics.fmean(taken):.3f} ms")


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "gate":
        for argument in arguments:
            gate(Path(argument))
    elif what == "steady":
        steady(Path(arguments[0]), Path(arguments[1]))
    else:
        cost()
