"""Several networks on the same material: the spread over trainings, and the difference of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.artifacts import ConfidenceInterval
from edgeseg.errors import MismatchError, UsageError
from edgeseg.proof.evaluation.measurement import Measurement
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.values import Part


class Spread(Part):
    """One figure over trainings that differ in their seed."""

    mean: float
    sd: float
    """Sample standard deviation (n - 1)."""
    values: tuple[float, ...]
    """One value for each model, in the order of the models."""


class SeedSpread(Part):
    """The same network trained several times."""

    models: tuple[str, ...]
    spreads: dict[str, Spread]
    """Figure -> its spread."""


class PairedDifference(Part):
    """Another network on the same images; every difference is other minus this."""

    model: str
    """The other one."""
    mean_dice: float | None
    """Mean Dice of the other network; None without labelled images; likewise the next three."""
    dice_difference: float | None
    interval: ConfidenceInterval | None
    """The paired bootstrap's: of the mean difference over images like these."""
    images_better: int | None
    """Images on which the other one has the higher Dice."""
    images_worse: int | None
    alarm_share: float | None
    """False alarms of the other network; None without frames that show no polyp."""
    alarm_share_difference: float | None


def seed_spread(names: Sequence[str], measurements: Sequence[Measurement]) -> SeedSpread:
    """Mean and standard deviation over trainings of one network.

    Raises:
        MismatchError: Networks that differ in more than their training.
        UsageError: The same model twice, which would pass for agreement.
    """
    _refuse_strangers([measurement.info for measurement in measurements])
    figures = [measurement.figures() for measurement in measurements]
    spreads = {}
    for figure in figures[0]:
        values = np.array([row[figure] for row in figures], np.float64)
        spreads[figure] = Spread(mean=float(values.mean()), sd=float(values.std(ddof=1)), values=tuple(values.tolist()))
    return SeedSpread(models=tuple(names), spreads=spreads)


def paired_difference(name: str, this: Measurement, other: Measurement) -> PairedDifference:
    """How another network differs from this one, image by image.

    Args:
        name: The other network's name.
        this: Measured on some material.
        other: Measured on the same.
    """
    mean_dice = difference = interval = better = worse = alarm_share = alarm_difference = None
    if this.evaluation is not None and other.evaluation is not None:
        rows = zip(other.evaluation.per_image, this.evaluation.per_image, strict=True)
        gains = np.array([a.dice - b.dice for a, b in rows], np.float64)
        mean_dice, difference, interval = other.evaluation.mean_dice, float(gains.mean()), bootstrap_interval(gains)
        better, worse = int(np.count_nonzero(gains > 0)), int(np.count_nonzero(gains < 0))
    if this.negatives is not None and other.negatives is not None:
        alarm_share = other.negatives.alarm_share
        alarm_difference = alarm_share - this.negatives.alarm_share
    return PairedDifference(
        model=name,
        mean_dice=mean_dice,
        dice_difference=difference,
        interval=interval,
        images_better=better,
        images_worse=worse,
        alarm_share=alarm_share,
        alarm_share_difference=alarm_difference,
    )


def _refuse_strangers(infos: Sequence[SessionInfo]) -> None:
    first = infos[0]
    for info in infos[1:]:
        if info.model != first.model or info.preprocess != first.preprocess:
            raise MismatchError(
                "trainings of different networks have no common mean",
                found=_described(info),
                expected=_described(first),
                next_command="--compare MODEL sets two networks against each other",
            )
    if len({info.sha256 for info in infos}) < len(infos):
        raise UsageError("the same model was named twice", expected="trainings of the same recipe with different seeds")


def _described(info: SessionInfo) -> str:
    model = info.model
    return f"{model.architecture} {model.width}x{model.height}, {', '.join(model.classes)}"
