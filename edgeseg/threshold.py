"""The threshold on the probability of a one-class network: choose one, and move a network so that 0.5 means it.

The contract says that a pixel counts from 0.5 on, in every backend and kernel. A network with another threshold t is
therefore changed instead: probability' = sigmoid(logit - logit(t)), a constant on the last bias, so that
probability' >= 0.5 where probability was >= t. That holds at the network's size; between its pixels the moved
probability is interpolated like any other, so a threshold is chosen on moved probabilities too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.values import Part, Value

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Thresholds to try: denser towards 1, where trained networks put most of what they mark."""


class ThresholdPoint(Part):
    """The figures that a network reaches at one threshold."""

    threshold: float = pydantic.Field(gt=0, lt=1)
    mean_dice: float
    false_alarm_share: float | None
    """Share of the frames without a polyp that raise a false alarm; None where there were no such frames."""


class ThresholdChoice(Value):
    """A threshold, and what it was chosen from."""

    threshold: float = pydantic.Field(gt=0, lt=1)
    meets_limit: bool
    """False where no threshold kept the false alarms within the limit; then it is the one with the fewest."""
    max_false_alarms: float | None
    """Share of the frames without a polyp that may raise a false alarm; None demands nothing."""
    max_dice_loss: float = pydantic.Field(default=0, ge=0, le=1)
    """Mean Dice that a lower threshold, which finds more, may cost."""
    false_mask_share: float | None
    """Share of the picture from which a mask counts as a false alarm; None without such frames."""
    points: tuple[ThresholdPoint, ...]
    model_sha256: str
    data_sha256: str
    """Hash of images and masks."""
    negatives_sha256: str | None
    """Hash of the frames without a polyp."""

    @property
    def chosen(self) -> ThresholdPoint:
        """The point of the threshold."""
        return next(point for point in self.points if point.threshold == self.threshold)


def logit(threshold: float) -> float:
    """The number whose sigmoid is `threshold`.

    Raises:
        UsageError: Not between 0 and 1, both excluded.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"{threshold} is no threshold", expected="a number between 0 and 1, both excluded")
    return math.log(threshold / (1 - threshold))


def moved_probability(probability: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """sigmoid(logit(p) - logit(t)), written so that no logarithm is taken: p(1-t) / (p(1-t) + t(1-p)).

    Args:
        probability: float32 in 0..1, any shape.
        threshold: t, between 0 and 1, both excluded; 0.5 changes nothing.

    Returns:
        float32 of the same shape; at least 0.5 where `probability` is at least t.
    """
    logit(threshold)  # refuses what is no threshold
    p = probability.astype(np.float64)
    for_it, against_it = p * (1 - threshold), threshold * (1 - p)
    return np.asarray(for_it / (for_it + against_it), np.float32)


def choose_point(
    points: Sequence[ThresholdPoint], max_false_alarms: float | None = None, max_dice_loss: float = 0
) -> tuple[ThresholdPoint, bool]:
    """The point of the highest Dice among those that keep the limit of false alarms; of equals the nearest to 0.5.

    Two ends count and pull apart: a higher threshold raises fewer false alarms and finds less. Neither is traded for
    the other at a made-up rate: the limit is what a user can bear, and Dice is the best that is left.

    Dice is flat near its highest point, and a network may be less sure of pictures unlike those that it learnt from.
    With `max_dice_loss` the lowest threshold is therefore taken whose Dice is as good as the best but for that much.

    Args:
        points: At least one.
        max_false_alarms: Share of the frames without a polyp that may raise a false alarm; None demands nothing.
        max_dice_loss: Mean Dice that a lower threshold may cost; 0 gives up none.

    Returns:
        The point, and whether it keeps the limit; where none does, the one with the fewest false alarms.

    Raises:
        UsageError: A limit, and no frames without a polyp to hold it against; or a limit that is none.
    """
    check_limits(max_false_alarms, max_dice_loss)
    if max_false_alarms is None:
        return _best_point(points, max_dice_loss), True
    shares = [point.false_alarm_share for point in points if point.false_alarm_share is not None]
    if len(shares) < len(points):
        raise missing_negatives()
    allowed = [point for point, share in zip(points, shares, strict=True) if share <= max_false_alarms]
    if allowed:
        return _best_point(allowed, max_dice_loss), True
    quietest = [point for point, share in zip(points, shares, strict=True) if share == min(shares)]
    return _best_point(quietest, max_dice_loss), False


def _best_point(points: Sequence[ThresholdPoint], max_dice_loss: float) -> ThresholdPoint:
    best = max(points, key=lambda point: (point.mean_dice, -abs(point.threshold - 0.5)))
    if not max_dice_loss:
        return best
    as_good = [point for point in points if point.mean_dice >= best.mean_dice - max_dice_loss]
    return min(as_good, key=lambda point: point.threshold)


def check_limits(max_false_alarms: float | None, max_dice_loss: float) -> None:
    """Refuse limits that are no number from 0 to 1.

    Raises:
        UsageError: One is not.
    """
    for name, limit in {"of false alarms": max_false_alarms, "of the Dice to give up": max_dice_loss}.items():
        if limit is not None and not 0 <= limit <= 1:
            raise UsageError(f"{limit} is no limit {name}", expected="a number from 0 to 1")


def missing_negatives() -> UsageError:
    """The refusal of a limit of false alarms where nothing can raise one."""
    return UsageError(
        "a limit of false alarms needs frames without a polyp",
        expected="--negatives FOLDER or VIDEO, held out from training",
    )


def read_threshold(argument: str, model_sha256: str) -> float:
    """A threshold as `--threshold` takes it: a number, or the file of a choice for this very model.

    Args:
        argument: ``0.7``, or the path of a `ThresholdChoice`.
        model_sha256: The model that it shall be used for.

    Raises:
        UsageError: A number that is no threshold.
        BadInputError: Neither a number nor such a file.
        MismatchError: It was chosen for another model.
    """
    try:
        threshold = float(argument)
    except ValueError:
        return _from_file(Path(argument), model_sha256)
    logit(threshold)
    return threshold


def _from_file(path: Path, model_sha256: str) -> float:
    if not path.is_file():
        raise BadInputError(
            f"{path} is neither a number nor a file",
            expected="a threshold such as 0.7, or a threshold.json",
            next_command="edgeseg evaluate RUN DATA --choose-threshold --negatives FOLDER --report DIR",
        )
    choice = ThresholdChoice.read(path)
    if choice.model_sha256 != model_sha256:
        raise MismatchError(
            f"the threshold of {path} was chosen for another model",
            found=f"model {choice.model_sha256[:12]}",
            expected=f"model {model_sha256[:12]}",
            next_command="edgeseg evaluate RUN DATA --choose-threshold --negatives FOLDER --report DIR",
        )
    return choice.threshold
