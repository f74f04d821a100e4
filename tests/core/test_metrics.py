import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeseg.metrics import dice_per_image, iou_per_image, score_image

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


def test_score_image_holds_both() -> None:
    predicted, truth = np.array([[1, 1, 0]], np.uint8), np.array([[0, 255, 255]], np.uint8)
    score = score_image("a", predicted, truth)
    assert (score.name, score.dice, score.iou) == ("a", 0.5, pytest.approx(1 / 3))
