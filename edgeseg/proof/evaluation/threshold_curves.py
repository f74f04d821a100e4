"""Dice, false alarms and finds of a network over thresholds; each picture is inferred once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.dataset import Pair
from edgeseg.frames import Frame, Mask
from edgeseg.metrics import dice_per_image, marked_share
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, rgb_frames
from edgeseg.proof.verdict.evaluation import finite_probability_of, named
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.threshold import THRESHOLDS, moved_probability


def dice_by_threshold(
    engine: Engine, pairs: Sequence[Pair], thresholds: Sequence[float] = THRESHOLDS, track: Track = silent
) -> NDArray[np.float64]:
    """The Dice of every labelled image at every threshold: [images, thresholds].

    A mask at a threshold is that of the network exported with it.

    Raises:
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: An image or mask that cannot be read.
    """
    rows = []
    for pair in track(pairs, "labelled images", len(pairs)):
        labelled = pair.read_labelled()
        masks = _masks(engine, labelled.frame, pair.name, thresholds)
        rows.append([dice_per_image(labelled.judged(mask), labelled.mask) for mask in masks])
    return np.array(rows, np.float64)


def counting_by_threshold(
    engine: Engine,
    source: UnlabelledSource,
    thresholds: Sequence[float] = THRESHOLDS,
    description: str = "frames",
    track: Track = silent,
) -> NDArray[np.bool_]:
    """Tell whether the mask of every frame counts at every threshold: [frames, thresholds].

    Raises:
        UsageError: No frame in the range.
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: A source that cannot be read.
    """
    rows = [
        [marked_share(mask) >= source.false_mask_share for mask in _masks(engine, frame, name, thresholds)]
        for name, _, frame in track(rgb_frames(source), description, None)
    ]
    return np.array(rows, np.bool_)


def _masks(engine: Engine, frame: Frame, name: str, thresholds: Sequence[float]) -> list[Mask]:
    """The frame's mask at each threshold; a refusal names the image."""
    with named(name):
        probability = finite_probability_of(engine, PackedFrame(frame, "rgb"))
    height, width = frame.shape[:2]
    return [
        mask_at_frame(engine.info, moved_probability(probability, threshold), height, width) for threshold in thresholds
    ]
