"""Figures at a given share of false alarms, against figures computed by hand."""

import numpy as np
import pytest

from benchmarks.generalisation import ALARM_LIMIT, place_of_limit, rows_of
from edgeseg.threshold import THRESHOLDS


def falling(at: int, above: float, below: float) -> np.ndarray:
    """Alarms of 1000 frames at each threshold: a share of `above` up to one of them and of `below` from it on."""
    frames = np.arange(1000)[:, None] / 1000
    return (frames < np.where(np.arange(len(THRESHOLDS)) < at, above, below)).astype(float)


def test_the_limit_lies_between_the_thresholds_on_either_side() -> None:
    assert place_of_limit(np.array([0.3, 0.2, 0.09, 0.01, 0.0])) == [pytest.approx(2 + (0.09 - ALARM_LIMIT) / 0.08)]
    assert place_of_limit(np.array([0.3, 0.2, 0.09, 0.01, 0.0]), 0.1) == [pytest.approx(1 + 0.1 / 0.11)]
    assert place_of_limit(np.array([0.05, 0.0])) == [0.0]
    assert place_of_limit(np.array([0.9, 0.2])) == []


def test_figures_at_one_half_and_at_the_limit() -> None:
    columns = np.arange(len(THRESHOLDS), dtype=float)
    foreign = np.array([0.02 * columns, 0.5 + 0.01 * columns, 0.03 * columns])
    plain, limited = rows_of("n", foreign, foreign, [slice(0, 1), slice(1, 3)], [falling(10, 0.07, 0.03)])
    at = THRESHOLDS.index(0.5)
    assert (plain.threshold, plain.alarms) == (0.5, (pytest.approx(0.07),))
    assert plain.foreign_dice == pytest.approx(foreign[:, at].mean())
    assert plain.foreign_sequences_dice == pytest.approx((foreign[0, at] + foreign[1:, at].mean()) / 2)
    assert limited.threshold == pytest.approx((THRESHOLDS[9] + THRESHOLDS[10]) / 2)
    assert limited.alarms == (pytest.approx(ALARM_LIMIT),)
    assert limited.foreign_dice == pytest.approx(foreign[:, 9:11].mean())
    assert len(rows_of("n", foreign, foreign, [slice(0, 3)], [falling(10, 0.9, 0.2)])) == 1
    assert len(rows_of("n", foreign, foreign, [slice(0, 3)], [])) == 1
