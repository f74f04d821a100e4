import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeseg.calibration.histogram import BINS, Histogram

BATCHES = st.lists(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, min_side=0), elements=st.floats(-1e6, 1e6, width=32)),
    max_size=5,
)


@given(BATCHES)
def test_no_value_is_lost_and_the_range_is_the_largest_magnitude(batches: list[NDArray[np.float32]]) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    values = np.concatenate([batch.reshape(-1) for batch in batches] or [np.zeros(0, np.float32)])
    assert histogram.total == values.size
    assert histogram.largest == np.abs(values).max(initial=0)
    assert histogram.counts(64).sum() == pytest.approx(values.size)
    assert histogram.width * BINS >= histogram.largest


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_counts_are_numpys_whichever_batch_comes_first(order: str) -> None:
    generator = np.random.default_rng(0)
    batches = [generator.laplace(scale=scale, size=40_000).astype(np.float32) for scale in (0.01, 0.3, 1.0, 7.0)]
    histogram = Histogram()
    for batch in batches if order == "rising" else batches[::-1]:
        histogram.add(batch)
    values = np.abs(np.concatenate(batches))
    expected, _ = np.histogram(values, bins=256, range=(0, values.max()))
    near = histogram.counts(256)
    # Only what lies in a cut bin may be counted on its other side: no more than two of 16 or more bins to each.
    assert np.abs(np.cumsum(near) - np.cumsum(expected)).max() < 0.01 * values.size
    assert np.allclose(near, expected, atol=0.1 * expected.max())


def test_nothing_but_zeros() -> None:
    histogram = Histogram()
    histogram.add(np.zeros((2, 3), np.float32))
    assert (histogram.largest, histogram.total) == (0.0, 6)
    assert histogram.counts(4).tolist() == [6, 0, 0, 0]
    histogram.add(np.array([1e-30, 2.0], np.float32))
    assert (histogram.largest, histogram.counts(4).sum()) == (2.0, 8)
