import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.threshold import (
    ThresholdChoice,
    ThresholdPoint,
    choose_point,
    logit,
    moved_probability,
    read_threshold,
)

PROBABILITIES = arrays(np.float32, 20, elements=st.floats(0, 1, width=32))
BETWEEN = st.floats(0.001, 0.999)


@settings(max_examples=200, deadline=None)
@given(PROBABILITIES, BETWEEN)
def test_one_half_means_the_threshold(probability, threshold: float) -> None:
    moved = moved_probability(probability, threshold)
    sure = np.abs(probability - threshold) > 1e-6
    np.testing.assert_array_equal((moved >= 0.5)[sure], (probability >= threshold)[sure])
    assert ((moved >= 0) & (moved <= 1)).all()


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, 20, elements=st.floats(-12, 12, width=32)), BETWEEN)
def test_it_is_a_shift_of_the_logit(logits, threshold: float) -> None:
    probability = scipy.special.expit(logits.astype(np.float64)).astype(np.float32)
    by_scipy = scipy.special.expit(scipy.special.logit(probability.astype(np.float64)) - scipy.special.logit(threshold))
    np.testing.assert_allclose(moved_probability(probability, threshold), by_scipy, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(PROBABILITIES)
def test_one_half_changes_nothing(probability) -> None:
    np.testing.assert_allclose(moved_probability(probability, 0.5), probability, atol=1e-7)


def test_certainty_stays_certain() -> None:
    np.testing.assert_array_equal(moved_probability(np.array([0, 1], np.float32), 0.99), [0, 1])


def test_a_logit_by_hand() -> None:
    assert logit(0.5) == 0
    assert logit(0.9) == pytest.approx(2.1972246)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.2, 1.7, float("nan")])
def test_what_is_no_threshold(threshold: float) -> None:
    with pytest.raises(UsageError):
        moved_probability(np.array([0.5], np.float32), threshold)


def points(*rows: tuple[float, float, float | None]) -> list[ThresholdPoint]:
    return [ThresholdPoint(threshold=t, mean_dice=dice, false_alarm_share=share) for t, dice, share in rows]


CURVE = points((0.3, 0.88, 0.5), (0.5, 0.90, 0.3), (0.7, 0.89, 0.1), (0.9, 0.80, 0.04), (0.95, 0.70, 0.04))


@pytest.mark.parametrize(
    ("limit", "threshold", "kept"),
    [(None, 0.5, True), (0.3, 0.5, True), (0.29, 0.7, True), (0.05, 0.9, True), (0.04, 0.9, True), (0.01, 0.9, False)],
)
def test_the_highest_dice_within_the_limit(limit: float | None, threshold: float, kept: bool) -> None:
    point, meets_limit = choose_point(CURVE, limit)
    assert (point.threshold, meets_limit) == (threshold, kept)


@pytest.mark.parametrize(
    ("limit", "loss", "threshold"),
    [(None, 0.019, 0.5), (None, 0.021, 0.3), (0.3, 0.021, 0.5), (0.1, 0.05, 0.7), (0.1, 0.2, 0.7), (0.05, 0.2, 0.9)],
)
def test_the_lowest_threshold_that_is_nearly_as_good(limit: float | None, loss: float, threshold: float) -> None:
    point, meets_limit = choose_point(CURVE, limit, loss)
    assert (point.threshold, meets_limit) == (threshold, True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(BETWEEN, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9), BETWEEN, BETWEEN)
def test_giving_up_dice_never_raises_the_threshold_or_breaks_the_limit(rows, limit: float, loss: float) -> None:
    curve = points(*rows)
    (strict, kept), (lower, kept_too) = choose_point(curve, limit), choose_point(curve, limit, loss)
    assert lower.threshold <= strict.threshold
    assert lower.mean_dice >= strict.mean_dice - loss
    assert kept == kept_too
    assert not kept or lower.false_alarm_share <= limit


@pytest.mark.parametrize(
    "limits", [(float("nan"), 0), (1.5, 0), (None, float("nan")), (None, float("inf")), (None, -0.1)]
)
def test_what_is_no_limit(limits: tuple[float | None, float]) -> None:
    with pytest.raises(UsageError, match="no limit"):
        choose_point(CURVE, *limits)


def test_a_choice_of_an_earlier_build_gave_up_no_dice(choice_file: Path) -> None:
    document = json.loads(choice_file.read_text())
    del document["max_dice_loss"]
    assert ThresholdChoice.from_json(json.dumps(document)).max_dice_loss == 0


def test_of_equals_the_nearest_to_one_half() -> None:
    level = points((0.1, 0.8, None), (0.4, 0.8, None), (0.95, 0.8, None))
    assert choose_point(level)[0].threshold == 0.4


def test_a_limit_without_frames_to_hold_it_against() -> None:
    with pytest.raises(UsageError, match="without a polyp"):
        choose_point(points((0.5, 0.9, None)), 0.1)


@pytest.fixture
def choice_file(tmp_path: Path) -> Path:
    choice = ThresholdChoice(
        threshold=0.7,
        meets_limit=True,
        max_false_alarms=0.2,
        false_mask_share=0.01,
        points=tuple(CURVE),
        model_sha256="a" * 64,
        data_sha256="b" * 64,
        negatives_sha256="c" * 64,
    )
    choice.write(tmp_path / "threshold.json")
    assert choice.chosen == CURVE[2]
    return tmp_path / "threshold.json"


def test_a_threshold_is_a_number_or_a_file_for_this_model(choice_file: Path) -> None:
    assert read_threshold("0.85", "x") == 0.85
    assert read_threshold(str(choice_file), "a" * 64) == 0.7


def test_a_threshold_of_another_model(choice_file: Path) -> None:
    with pytest.raises(MismatchError, match="another model") as caught:
        read_threshold(str(choice_file), "d" * 64)
    assert caught.value.exit_code == 6


def test_neither_number_nor_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="neither"):
        read_threshold(str(tmp_path / "none.json"), "a")
    (tmp_path / "junk.json").write_text("{}")
    with pytest.raises(BadInputError, match="ThresholdChoice"):
        read_threshold(str(tmp_path / "junk.json"), "a")
    with pytest.raises(UsageError):
        read_threshold("1.5", "a")
