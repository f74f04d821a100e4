"""Clips against brute force on the values themselves, and against the published procedure written out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edgeseg.calibration.clipping import entropy_clip, percentile_clip
from edgeseg.calibration.histogram_observers import EntropyObserver, MseObserver, PercentileObserver

Values = NDArray[np.float32]


def uniform(generator: np.random.Generator) -> Values:
    return generator.uniform(-3, 3, 50_000).astype(np.float32)


def normal(generator: np.random.Generator) -> Values:
    return generator.normal(size=50_000).astype(np.float32)


def laplace(generator: np.random.Generator) -> Values:
    return np.maximum(generator.laplace(size=50_000), 0).astype(np.float32)


def one_outlier(generator: np.random.Generator) -> Values:
    return np.r_[generator.normal(size=50_000), 400.0].astype(np.float32)


DISTRIBUTIONS = pytest.mark.parametrize("distribution", [uniform, normal, laplace, one_outlier])
Distribution = Callable[[np.random.Generator], Values]


def observed(observer: type, values: Values) -> float:
    watching = observer()
    for part in np.array_split(values, 3):
        watching.update(part)
    return float(watching.amax())


def squared_error(values: Values, clip: float) -> float:
    step = clip / 127
    return float(np.mean((values - np.clip(np.rint(values / step), -127, 127) * step) ** 2))


@DISTRIBUTIONS
def test_the_mean_squared_error_is_the_least_there_is(distribution: Distribution) -> None:
    values = distribution(np.random.default_rng(1))
    largest = float(np.abs(values).max())
    least = min(squared_error(values, largest * share) for share in np.linspace(0.005, 1, 1000))
    assert squared_error(values, observed(MseObserver, values)) <= 1.05 * least


@DISTRIBUTIONS
def test_a_percentile_is_numpys(distribution: Distribution) -> None:
    magnitudes = np.abs(distribution(np.random.default_rng(2)))
    found, width = observed(PercentileObserver, magnitudes), magnitudes.max() / 4096
    low, high = np.percentile(magnitudes, (99.99, 99.99), method="inverted_cdf"), np.percentile(magnitudes, 99.995)
    assert low[0] - width <= found <= max(low[1], high) + width
    assert percentile_clip(np.array([8.0, 1.0, 0.0, 1.0]), 4.0, 80.0) == 1.0
    assert percentile_clip(np.array([8.0, 1.0, 0.0, 1.0]), 4.0, 100.0) == 4.0


def divergence_by_hand(histogram: list[float], stop: int) -> float:
    """Migacz's procedure, bin by bin."""
    if not any(histogram[:stop]):
        return math.inf
    if stop == len(histogram):
        histogram = [*histogram[:-1], min(histogram[-2:])]
    reference = histogram[:stop]
    reference[-1] += sum(histogram[stop:])
    candidate = [0.0] * stop
    for level in range(128):
        members = [index for index in range(stop) if index * 128 // stop == level]
        filled = [index for index in members if reference[index] > 0]
        for index in filled:
            candidate[index] = max(sum(histogram[member] for member in members) / len(filled), 1e-4)
    return float(stats.entropy(reference, candidate))


@pytest.mark.parametrize("seed", range(4))
def test_the_entropy_clip_is_that_of_the_procedure(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shape = generator.integers(0, 40, 300) * np.exp(-np.arange(300) / generator.uniform(20, 90))
    histogram = np.rint(shape).astype(float)
    histogram[0], histogram[1], histogram[-1] = 1e6, 30.0, 1.0
    levelled = [histogram[1], *histogram[1:].tolist()]
    few = [stop for stop in range(128, 301) if sum(histogram[stop:]) <= 0.01 * sum(histogram)]
    assert few[0] == 128, "the zeros are many, so that every clip is allowed here"
    least = min(divergence_by_hand(levelled, stop) for stop in few)
    assert divergence_by_hand(levelled, round(entropy_clip(histogram, 300.0))) == pytest.approx(least, rel=1e-9)


def test_entropy_keeps_a_uniform_range_and_gives_up_an_outlier() -> None:
    generator = np.random.default_rng(3)
    assert observed(EntropyObserver, uniform(generator)) > 2.9
    assert observed(EntropyObserver, one_outlier(generator)) < 40


def test_no_more_than_a_hundredth_is_clipped_though_half_the_picture_has_one_value() -> None:
    generator = np.random.default_rng(5)
    values = np.r_[np.full(60_000, 0.6), generator.exponential(1.0, 60_000).clip(0, 6)].astype(np.float32)
    assert np.mean(values > observed(EntropyObserver, values)) <= 0.01


@pytest.mark.parametrize("observer", [PercentileObserver, MseObserver, EntropyObserver])
def test_a_relu6_that_is_often_at_its_top_keeps_its_range(observer: type) -> None:
    generator = np.random.default_rng(4)
    values = np.clip(generator.normal(2.0, 4.0, 200_000), 0, 6).astype(np.float32)
    assert observed(observer, values) > 5.8


@pytest.mark.parametrize("observer", [PercentileObserver, MseObserver, EntropyObserver])
def test_a_tensor_of_zeros_or_of_one_value(observer: type) -> None:
    assert observed(observer, np.zeros(9, np.float32)) == 0
    assert observed(observer, np.full(9, -2.5, np.float32)) == pytest.approx(2.5, rel=1e-3)
