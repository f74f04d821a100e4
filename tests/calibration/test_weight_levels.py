import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.calibration.weight_levels import PAIR_LIMIT, largest_pair, multiplies_pairs, weight_levels

weights = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
    elements=st.floats(-100, 100, width=32),
)
limits = st.sampled_from([None, PAIR_LIMIT, 64])


def as_is(scale: np.ndarray) -> np.ndarray:
    return scale


@given(weights, limits)
def test_levels_are_next_to_the_exact_ones_and_their_errors_cancel(weight: np.ndarray, limit: int | None) -> None:
    levels, scale = weight_levels(weight, 1e-30, as_is, limit)
    assert levels.dtype == np.int8 and levels.shape == weight.shape
    assert np.abs(levels.astype(int)).max() <= 127
    error = levels - weight.astype(np.float64) / scale.reshape(-1, 1, 1, 1)
    assert np.abs(error).max() <= 1 + 1e-6
    assert np.abs(error.sum(axis=(1, 2, 3))).max() <= 0.5 + 1e-6
    assert np.abs(error.sum(axis=(2, 3))).max() <= 1.5 + 1e-6


@given(weights)
def test_no_two_weights_of_one_sign_exceed_the_limit(weight: np.ndarray) -> None:
    levels, _ = weight_levels(weight, 1e-30, as_is, PAIR_LIMIT)
    for channel in levels.reshape(len(levels), -1).astype(int):
        for sign in (1, -1):
            same = sorted((sign * channel)[sign * channel > 0], reverse=True)
            assert 255 * sum(same[:2]) <= 2**15 - 1 or len(same) < 2


def test_a_channel_whose_pairs_are_small_keeps_all_its_levels() -> None:
    weight = np.array([[1.0, 0.001, -0.9, 0.002]], np.float32).reshape(1, 4, 1, 1)
    levels, scale = weight_levels(weight, 1e-30, as_is, PAIR_LIMIT)
    assert np.abs(levels).max() == 127
    assert scale[0] == pytest.approx(1 / 127)


def test_rounding_keeps_what_a_flat_patch_sees() -> None:
    """Twenty weights of .3 level and one of 127: to nearest loses 6 levels of their sum of 133, this none."""
    weight = np.full((1, 21, 1, 1), 0.3, np.float32)
    weight[0, 0] = 127
    levels, scale = weight_levels(weight, 1e-30, as_is, None)
    assert scale[0] == pytest.approx(1.0)
    assert int(levels.sum()) == 133
    assert np.rint(weight / scale[0]).sum() == 127


def test_depthwise_products_are_not_added_in_pairs() -> None:
    assert not multiplies_pairs((8, 1, 3, 3), 8)
    assert multiplies_pairs((16, 1, 3, 3), 8)
    assert multiplies_pairs((8, 2, 3, 3), 4)
    assert multiplies_pairs((1, 1, 3, 3), 1)


def test_the_largest_pair_by_hand() -> None:
    rows = np.array([[3.0, -5.0, 2.0], [-5.0, -4.0, 8.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    assert largest_pair(rows).tolist() == [5.0, 9.0, 1.0, 0.0]
    assert largest_pair(np.array([[-7.0]])).tolist() == [7.0]
