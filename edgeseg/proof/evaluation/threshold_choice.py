"""Dice and false alarms of a network over thresholds, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.dataset import Pair, hash_pairs
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, Mask
from edgeseg.metrics import dice_per_image, marked_share
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, describe_source, rgb_frames
from edgeseg.proof.evaluation.shifted_engine import refuse_several_classes
from edgeseg.proof.verdict.evaluation import finite_probability_of, named
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.threshold import (
    THRESHOLDS,
    ThresholdChoice,
    ThresholdPoint,
    choose_point,
    missing_negatives,
    moved_probability,
)


def choose_threshold(
    engine: Engine,
    pairs: Sequence[Pair],
    negatives: UnlabelledSource | None = None,
    max_false_alarms: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    track: Track = silent,
) -> ThresholdChoice:
    """Try thresholds and choose by `edgeseg.threshold.choose_point`.

    Each image is inferred once. A mask at a threshold is that of the network exported with it.

    Args:
        engine: A network of one class.
        pairs: Labelled images that training did not learn from and no figure is told of: the validation split.
        negatives: Frames without a polyp, held out likewise.
        max_false_alarms: Share of `negatives` that may raise a false alarm.
        thresholds: What to try.
        track: Shows progress.

    Raises:
        UsageError: A network of several classes, or a limit without negatives.
        BadInputError: No pairs, or something that cannot be read.
        NotFiniteError: The network gave NaN or infinity.
    """
    refuse_several_classes(engine.info)
    if not pairs:
        raise BadInputError("there is nothing to choose a threshold on", found="no labelled images")
    if max_false_alarms is not None and negatives is None:
        raise missing_negatives()
    dice = _mean_dice(engine, pairs, thresholds, track)
    alarms = None if negatives is None else _alarm_shares(engine, negatives, thresholds, track)
    points = tuple(
        ThresholdPoint(
            threshold=threshold,
            mean_dice=float(dice[index]),
            false_alarm_share=None if alarms is None else float(alarms[index]),
        )
        for index, threshold in enumerate(thresholds)
    )
    chosen, meets_limit = choose_point(points, max_false_alarms)
    return ThresholdChoice(
        threshold=chosen.threshold,
        meets_limit=meets_limit,
        max_false_alarms=max_false_alarms,
        false_mask_share=None if negatives is None else negatives.false_mask_share,
        points=points,
        model_sha256=engine.info.sha256,
        data_sha256=hash_pairs(pairs),
        negatives_sha256=None if negatives is None else describe_source(negatives)[0],
    )


def _mean_dice(engine: Engine, pairs: Sequence[Pair], thresholds: Sequence[float], track: Track) -> NDArray[np.float64]:
    rows = []
    for pair in track(pairs, "labelled images", len(pairs)):
        labelled = pair.read_labelled()
        masks = _masks(engine, labelled.frame, pair.name, thresholds)
        rows.append([dice_per_image(labelled.judged(mask), labelled.mask) for mask in masks])
    return _column_means(rows)


def _alarm_shares(
    engine: Engine, negatives: UnlabelledSource, thresholds: Sequence[float], track: Track
) -> NDArray[np.float64]:
    rows = [
        [marked_share(mask) >= negatives.false_mask_share for mask in _masks(engine, frame, name, thresholds)]
        for name, _, frame in track(rgb_frames(negatives), "frames without a polyp", None)
    ]
    return _column_means(rows)


def _column_means(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = np.array(rows, np.float64).mean(axis=0)
    return means


def _masks(engine: Engine, frame: Frame, name: str, thresholds: Sequence[float]) -> list[Mask]:
    """The frame's mask at each threshold; a refusal names the image."""
    with named(name):
        probability = finite_probability_of(engine, PackedFrame(frame, "rgb"))
    height, width = frame.shape[:2]
    return [
        mask_at_frame(engine.info, moved_probability(probability, threshold), height, width) for threshold in thresholds
    ]
