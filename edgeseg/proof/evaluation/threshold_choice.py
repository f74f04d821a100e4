"""Dice and false alarms of a network over thresholds, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.dataset import Pair, hash_pairs
from edgeseg.errors import BadInputError
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, describe_source
from edgeseg.proof.evaluation.shifted_engine import refuse_several_classes
from edgeseg.proof.evaluation.threshold_curves import counting_by_threshold, dice_by_threshold
from edgeseg.runtime.engine.engine import Engine
from edgeseg.threshold import (
    THRESHOLDS,
    ThresholdChoice,
    ThresholdPoint,
    check_limits,
    choose_point,
    missing_negatives,
)


def choose_threshold(
    engine: Engine,
    pairs: Sequence[Pair],
    negatives: UnlabelledSource | None = None,
    max_false_alarms: float | None = None,
    max_dice_loss: float = 0,
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
        max_dice_loss: Mean Dice that a lower threshold, which finds more, may cost.
        thresholds: What to try.
        track: Shows progress.

    Raises:
        UsageError: A network of several classes, a limit without negatives, or one that is no number from 0 to 1.
        BadInputError: No pairs, or something that cannot be read.
        NotFiniteError: The network gave NaN or infinity.
    """
    check_limits(max_false_alarms, max_dice_loss)
    refuse_several_classes(engine.info)
    if not pairs:
        raise BadInputError("there is nothing to choose a threshold on", found="no labelled images")
    if max_false_alarms is not None and negatives is None:
        raise missing_negatives()
    dice = dice_by_threshold(engine, pairs, thresholds, track).mean(axis=0)
    alarms = None
    if negatives is not None:
        alarms = counting_by_threshold(engine, negatives, thresholds, "frames without a polyp", track).mean(axis=0)
    points = tuple(
        ThresholdPoint(
            threshold=threshold,
            mean_dice=float(dice[index]),
            false_alarm_share=None if alarms is None else float(alarms[index]),
        )
        for index, threshold in enumerate(thresholds)
    )
    chosen, meets_limit = choose_point(points, max_false_alarms, max_dice_loss)
    return ThresholdChoice(
        threshold=chosen.threshold,
        meets_limit=meets_limit,
        max_false_alarms=max_false_alarms,
        max_dice_loss=max_dice_loss,
        false_mask_share=None if negatives is None else negatives.false_mask_share,
        points=points,
        model_sha256=engine.info.sha256,
        data_sha256=hash_pairs(pairs),
        negatives_sha256=None if negatives is None else describe_source(negatives)[0],
    )
