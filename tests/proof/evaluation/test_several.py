import dataclasses
import statistics

import numpy as np
import pytest

from edgeseg.errors import MismatchError, UsageError
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
from edgeseg.proof.evaluation.measurement import Material, Measurement, measure
from edgeseg.proof.evaluation.several import paired_difference, seed_spread
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.verdict.bootstrap import bootstrap_interval


@pytest.fixture
def measurements(bright_session, pairs_of, folder_of) -> list[Measurement]:
    """The same network at three thresholds, passed off as three trainings."""
    pairs = pairs_of([8, 8, 16], [8, 12, 8])
    material = Material(pairs=pairs, negatives=UnlabelledSource(folder_of([0, 200, 400])))
    results = []
    for index, threshold in enumerate((0.5, 0.999, 0.9999999)):
        measured = measure(ShiftedEngine(bright_session, threshold), material)
        results.append(dataclasses.replace(measured, info=dataclasses.replace(measured.info, sha256=str(index))))
    return results


def test_mean_and_sd_are_those_of_the_statistics_module(measurements) -> None:
    dice = [0.9, 0.8, 0.95]
    changed = [
        dataclasses.replace(each, evaluation=each.evaluation.model_copy(update={"mean_dice": value}))
        for each, value in zip(measurements, dice, strict=True)
    ]
    spread = seed_spread(["a", "b", "c"], changed)
    assert spread.models == ("a", "b", "c")
    assert spread.spreads["mean_dice"].values == tuple(dice)
    assert spread.spreads["mean_dice"].mean == pytest.approx(statistics.mean(dice))
    assert spread.spreads["mean_dice"].sd == pytest.approx(statistics.stdev(dice))
    assert {"mean_iou", "found_share", "alarm_share", "mean_surface_dice"} <= set(spread.spreads)


def test_the_same_training_twice_is_no_spread(measurements) -> None:
    with pytest.raises(UsageError, match="twice"):
        seed_spread(["a", "b"], [measurements[0], measurements[0]])


def test_other_networks_have_no_common_mean(measurements) -> None:
    model = measurements[1].info.model.model_copy(update={"height": 64})
    other = dataclasses.replace(measurements[1], info=dataclasses.replace(measurements[1].info, model=model))
    with pytest.raises(MismatchError, match="common mean") as caught:
        seed_spread(["a", "b"], [measurements[0], other])
    assert "--compare" in str(caught.value)


def test_the_difference_is_other_minus_this_image_by_image(measurements) -> None:
    # Rows seen, true: (8, 8), (8, 12), (16, 8): Dice 1, 16/20, 16/24. The last threshold sees nothing: 0 each.
    this, blind = measurements[0], measurements[2]
    gains = [-1, -16 / 20, -16 / 24]
    difference = paired_difference("blind", this, blind)
    assert difference.mean_dice == 0
    assert difference.dice_difference == pytest.approx(statistics.mean(gains))
    interval = bootstrap_interval(np.array(gains))
    assert difference.interval is not None
    assert (difference.interval.low, difference.interval.high) == pytest.approx((interval.low, interval.high))
    assert (difference.images_better, difference.images_worse) == (0, 3)
    assert (difference.alarm_share, difference.alarm_share_difference) == (0, pytest.approx(-2 / 3))
    back = paired_difference("this", blind, this)
    assert (back.images_better, back.dice_difference) == (3, pytest.approx(-statistics.mean(gains)))


def test_without_labelled_images_only_alarms_differ(measurements) -> None:
    this, blind = (dataclasses.replace(each, evaluation=None) for each in (measurements[0], measurements[2]))
    difference = paired_difference("blind", this, blind)
    assert (difference.mean_dice, difference.interval) == (None, None)
    assert difference.alarm_share_difference == pytest.approx(-2 / 3)
