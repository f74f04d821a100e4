import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.proof.verdict.bootstrap import bootstrap_interval


@pytest.mark.parametrize("count", [12, 100, 700])
def test_agrees_with_scipy(count: int) -> None:
    drops = np.random.default_rng(count).normal(0.003, 0.02, count)
    ours = bootstrap_interval(drops)
    tail = scipy.stats.norm.cdf(np.sqrt(count / (count - 1)) * scipy.stats.t.ppf(0.025, count - 1))
    theirs = scipy.stats.bootstrap(
        (drops,),
        np.mean,
        method="percentile",
        confidence_level=1 - 2 * tail,
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        interval = bootstrap_interval(generator.normal(0.01, 0.05, 40), resamples=1000)
        covered += interval.low <= 0.01 <= interval.high
    assert 0.90 < covered / 300 < 0.98


@pytest.mark.parametrize("count", [8, 12, 30])
def test_covers_the_true_mean_of_few_values_as_often_as_it_says(count: int) -> None:
    """The plain percentiles of 8 values hold it in 88 % of studies."""
    generator = np.random.default_rng(1)
    intervals = [bootstrap_interval(generator.normal(0.01, 0.05, count), resamples=1000) for _ in range(1500)]
    covered = np.mean([interval.low <= 0.01 <= interval.high for interval in intervals])
    assert 0.925 < covered < 0.97


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_is_ordered_inside_the_range_and_repeatable(values: list[float]) -> None:
    array = np.array(values)
    interval = bootstrap_interval(array, resamples=500)
    assert array.min() - 1e-12 <= interval.low <= interval.high <= array.max() + 1e-12
    assert interval == bootstrap_interval(array, resamples=500)


def test_equal_drops_have_an_interval_of_no_width() -> None:
    interval = bootstrap_interval(np.full(9, 0.25))
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_blocks_do_not_change_how_many_means_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    drops = np.random.default_rng(1).normal(0, 1, 30)
    whole = bootstrap_interval(drops)
    monkeypatch.setattr("edgeseg.proof.verdict.bootstrap._BLOCK_VALUES", 999)
    assert bootstrap_interval(drops) == whole


def test_no_values() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval(np.array([]))
