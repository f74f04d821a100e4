"""Intervals of quantiles against scipy's binomial distribution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.proof.timing.quantile_interval import median_interval, quantile_interval


@given(st.integers(1, 1200), st.sampled_from((0.5, 0.9, 0.99, 0.999)), st.sampled_from((0.9, 0.95, 0.975)))
def test_the_ranks_are_the_binomial_ones(count: int, quantile: float, level: float) -> None:
    interval = quantile_interval(np.random.default_rng(count).permutation(count) + 1.0, quantile, level)
    below, tail = scipy.stats.binom(count, quantile), (1 - level) / 2
    low = 0 if interval.low is None else int(interval.low)  # ranks, since the values are 1 .. count
    high = count + 1 if interval.high is None else int(interval.high)
    assert below.cdf(low - 1) <= tail * (1 + 1e-9) and below.cdf(low) > tail * (1 - 1e-9)  # the narrowest that holds
    assert below.sf(high - 1) <= tail * (1 + 1e-9) or high == count + 1
    assert below.sf(high - 2) > tail * (1 - 1e-9)


@pytest.mark.parametrize(("count", "is_open"), [(367, True), (368, False)])
def test_a_p99_has_an_upper_end_from_368_values_on(count: int, is_open: bool) -> None:
    assert (0.99**count > 0.025) is is_open
    assert (quantile_interval(np.arange(float(count)), 0.99).high is None) is is_open


def test_it_holds_the_p99_of_a_skewed_distribution_as_often_as_it_says() -> None:
    generator, true = np.random.default_rng(0), float(scipy.stats.lognorm(0.5).ppf(0.99))
    studies = [quantile_interval(generator.lognormal(0, 0.5, 400), 0.99) for _ in range(1000)]
    held = [one.low is not None and one.high is not None and one.low <= true <= one.high for one in studies]
    assert 0.94 < np.mean(held) < 0.99


@given(st.integers(6, 300))
def test_the_interval_of_a_median_is_the_binomial_one(count: int) -> None:
    interval = median_interval(np.random.default_rng(count).permutation(count).astype(float))
    low, high = int(interval.low), int(interval.high)  # ranks, since the values are 0 .. count - 1
    assert low + high == count - 1
    outside = 2 * scipy.stats.binom.cdf(low, count, 0.5)
    assert outside <= 0.05 + 1e-12
    assert 2 * scipy.stats.binom.cdf(low + 1, count, 0.5) > 0.05  # the narrowest that holds


def test_few_values_give_all_there_is() -> None:
    interval = median_interval(np.array([3.0, 1.0, 2.0]))
    assert (interval.low, interval.high) == (1, 3)
