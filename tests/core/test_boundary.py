import math
import warnings

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial.distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeseg.boundary import border, border_distances, hausdorff_95_px, surface_dice


@st.composite
def two_masks(draw):
    """Scattered pixels, or a few boxes: borders with holes, corners and pieces at the picture's edge."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    if draw(st.booleans()):
        mask = arrays(np.uint8, shape, elements=st.sampled_from([0, 255]))
        return draw(mask), draw(mask)
    return draw(boxes(shape)), draw(boxes(shape))


@st.composite
def boxes(draw, shape):
    mask = np.zeros(shape, np.uint8)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        mask[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = 255
    return mask


def test_distances_by_hand() -> None:
    # A row of five pixels; one two rows below it and one column to the right, a pixel longer.
    a, b = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    a[4, 2:7], b[6, 3:9] = 255, 255
    distances = border_distances(a, b)
    # From a: the first pixel is (2,1) away, the other four 2 straight down. From b: four straight up, two past the end.
    assert sorted(distances.predicted_to_truth) == pytest.approx([2, 2, 2, 2, math.hypot(2, 1)])
    assert sorted(distances.truth_to_predicted) == pytest.approx([2, 2, 2, 2, math.hypot(2, 1), math.hypot(2, 2)])
    assert surface_dice(distances, 2) == pytest.approx(8 / 11)
    assert surface_dice(distances, 2.3) == pytest.approx(10 / 11)
    # The 95th percentile of six values lies at 4.75, of five at 3.8.
    down = math.hypot(2, 1) + 0.75 * (math.hypot(2, 2) - math.hypot(2, 1))
    assert hausdorff_95_px(distances) == pytest.approx(down)


def test_a_shifted_disc_lies_as_far_away_as_it_was_shifted() -> None:
    a, b = np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8)
    cv2.circle(a, (80, 100), 50, 255, -1)
    cv2.circle(b, (86, 100), 50, 255, -1)
    assert hausdorff_95_px(border_distances(a, b)) == pytest.approx(6, abs=0.3)
    assert surface_dice(border_distances(a, b), 6) == 1
    assert 0.2 < surface_dice(border_distances(a, b), 2) < 0.4


def test_both_empty_is_the_best_and_one_empty_the_worst() -> None:
    empty, full = np.zeros((30, 40), np.uint8), np.full((30, 40), 255, np.uint8)
    both = border_distances(empty, empty)
    assert (hausdorff_95_px(both), surface_dice(both, 1)) == (0, 1)
    for pair in ((empty, full), (full, empty)):
        distances = border_distances(*pair)
        assert (hausdorff_95_px(distances), surface_dice(distances, 1000)) == (50, 0)


def test_the_edge_of_the_picture_counts_as_outside() -> None:
    full = np.ones((4, 5), np.uint8)
    assert np.count_nonzero(border(full)) == 20 - 6
    np.testing.assert_array_equal(border(full), full.astype(bool) & ~scipy.ndimage.binary_erosion(full))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(two_masks(), st.floats(0, 6))
def test_agrees_with_monai(masks, tolerance_px: float) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is MONAI (extra `train`)")
    monai = pytest.importorskip("monai.metrics", reason="the oracle is MONAI (extra `dev`)")
    predicted, truth = masks
    if not predicted.any() or not truth.any():
        return  # MONAI says NaN or infinity; what we say is tested above
    batch = [torch.tensor(mask > 0)[None, None].float() for mask in masks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hausdorff = monai.compute_hausdorff_distance(*batch, include_background=True, percentile=95)
        dice = monai.compute_surface_dice(*batch, [tolerance_px], include_background=True)
    distances = border_distances(predicted, truth)
    assert hausdorff_95_px(distances) == pytest.approx(float(hausdorff), abs=1e-4)
    near = np.concatenate([distances.predicted_to_truth, distances.truth_to_predicted]) - tolerance_px
    if np.abs(near).min() > 1e-5:  # a distance that equals the tolerance falls on either side by rounding
        assert surface_dice(distances, tolerance_px) == pytest.approx(float(dice), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(two_masks())
def test_agrees_with_all_pairs_of_border_pixels(masks) -> None:
    predicted, truth = masks
    points = [np.argwhere((mask > 0) & ~scipy.ndimage.binary_erosion(mask > 0)) for mask in masks]
    distances = border_distances(predicted, truth)
    if not all(len(found) for found in points):
        assert distances.one_is_empty == (len(points[0]) != len(points[1]))
        return
    every = scipy.spatial.distance.cdist(*points)
    np.testing.assert_allclose(distances.predicted_to_truth, every.min(axis=1), atol=1e-5)
    np.testing.assert_allclose(distances.truth_to_predicted, every.min(axis=0), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(two_masks(), st.floats(0, 5))
def test_the_two_masks_may_change_places(masks, tolerance_px: float) -> None:
    there, back = border_distances(*masks), border_distances(*masks[::-1])
    assert hausdorff_95_px(there) == hausdorff_95_px(back)
    assert surface_dice(there, tolerance_px) == surface_dice(back, tolerance_px)
    assert 0 <= surface_dice(there, tolerance_px) <= surface_dice(there, tolerance_px + 1) <= 1
    assert hausdorff_95_px(there) <= there.worst_px


def test_masks_of_different_shapes() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        border_distances(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))
