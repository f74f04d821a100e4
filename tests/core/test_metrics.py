import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeseg.metrics import (
    ImageScore,
    dice_per_image,
    iou_per_image,
    precision_per_image,
    score_image,
    sensitivity_per_image,
)

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def two_masks(draw):
    shape = draw(SHAPES)
    mask = arrays(np.uint8, shape, elements=st.sampled_from([0, 255]))
    return draw(mask), draw(mask)


@settings(max_examples=80, deadline=None)
@given(two_masks())
def test_agree_with_torchmetrics_and_scipy(masks) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torchmetrics (extra `train`)")
    oracle = pytest.importorskip("torchmetrics.functional.classification")
    predicted, truth = masks
    dice, iou = dice_per_image(predicted, truth), iou_per_image(predicted, truth)
    if not predicted.any() and not truth.any():
        assert (dice, iou) == (1, 1)
        return
    a, b = torch.tensor(predicted > 0).int(), torch.tensor(truth > 0).int()
    assert dice == pytest.approx(float(oracle.binary_f1_score(a, b)), abs=1e-6)
    assert iou == pytest.approx(float(oracle.binary_jaccard_index(a, b)), abs=1e-6)
    assert dice == pytest.approx(1 - scipy.spatial.distance.dice(predicted.ravel() > 0, truth.ravel() > 0))
    assert iou == pytest.approx(1 - scipy.spatial.distance.jaccard(predicted.ravel() > 0, truth.ravel() > 0))


@settings(max_examples=50, deadline=None)
@given(two_masks())
def test_are_symmetric_and_tied_to_each_other(masks) -> None:
    dice, iou = dice_per_image(*masks), iou_per_image(*masks)
    assert dice == dice_per_image(*masks[::-1])
    assert 0 <= iou <= dice <= 1
    assert dice == pytest.approx(2 * iou / (1 + iou))


def test_empty_against_empty_is_1_and_against_anything_0() -> None:
    empty, full = np.zeros((4, 5), np.uint8), np.full((4, 5), 255, np.uint8)
    assert (dice_per_image(empty, empty), iou_per_image(empty, empty)) == (1, 1)
    assert (dice_per_image(empty, full), iou_per_image(full, empty)) == (0, 0)


def test_large_masks_do_not_overflow() -> None:
    full = np.full((3000, 3000), 255, np.uint8)
    assert dice_per_image(full, full) == 1


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        dice_per_image(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


@settings(max_examples=80, deadline=None)
@given(two_masks())
def test_sensitivity_and_precision_agree_with_torchmetrics(masks) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torchmetrics (extra `train`)")
    oracle = pytest.importorskip("torchmetrics.functional.classification")
    predicted, truth = masks
    found = sensitivity_per_image(predicted, truth), precision_per_image(predicted, truth)
    if not predicted.any() and not truth.any():
        assert found == (1, 1)
        return
    a, b = torch.tensor(predicted > 0).int(), torch.tensor(truth > 0).int()
    assert found[0] == pytest.approx(float(oracle.binary_recall(a, b)), abs=1e-6)
    assert found[1] == pytest.approx(float(oracle.binary_precision(a, b)), abs=1e-6)
    if 0 not in found:  # Dice is their harmonic mean
        assert dice_per_image(predicted, truth) == pytest.approx(2 / (1 / found[0] + 1 / found[1]))


def test_score_image_by_hand() -> None:
    # Three pixels in a row are marked, the last of them and one more are true; each is its own border.
    predicted = np.array([[1, 1, 1, 0, 0]], np.uint8)
    truth = np.array([[0, 0, 255, 255, 0]], np.uint8)
    score = score_image("a", predicted, truth, tolerance_px=1)
    assert (score.name, score.dice, score.iou) == ("a", 2 / 5, 1 / 4)
    assert (score.sensitivity, score.precision) == (1 / 2, 1 / 3)
    assert (score.polyp_share, score.mask_share) == (2 / 5, 3 / 5)
    # Distances: 2, 1, 0 one way and 0, 1 the other; four of five are within 1.
    assert score.surface_dice == 4 / 5
    assert score.hd95_px == pytest.approx(1.9)


@pytest.mark.parametrize(("filled", "best"), [((False, False), True), ((True, False), False), ((False, True), False)])
def test_one_convention_for_empty_masks(filled: tuple[bool, bool], best: bool) -> None:
    score = score_image("a", *(np.full((3, 4), 255 * full, np.uint8) for full in filled))
    overlaps = {getattr(score, name) for name in ("dice", "iou", "sensitivity", "precision", "surface_dice")}
    assert overlaps == {1.0 if best else 0.0}
    assert score.hd95_px == (0 if best else 5)
    assert ImageScore.model_validate_json(score.model_dump_json()) == score
