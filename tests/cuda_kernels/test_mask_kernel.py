"""Mask, area and map kernels against numpy."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import THRESHOLD, mask_from_probability
from edgeseg.runtime.cuda.kernels.parameters import (
    MAP_KERNEL,
    MASK_KERNEL,
    MapParams,
    MaskParams,
    map_launch,
    mask_launch,
)

Probability = NDArray[np.float32]
Mask = NDArray[np.uint8]
BEFORE = 1000
"""The kernel adds to the area: the preprocess kernel sets it to 0."""


def floats_in(guarded: Any, values: Probability) -> Any:
    memory = guarded(values.nbytes)
    memory.bytes.view(np.float32)[:] = values.ravel()
    return memory


def mask_and_area(
    kernels: Any, guarded: Any, probability: Probability, threshold: float = THRESHOLD, at_end: bool = True
) -> tuple[Mask, int]:
    channels, height, width = probability.shape
    source = floats_in(guarded, probability)
    mask, area = guarded(height * width, at_end), guarded(4)
    area.bytes.view(np.uint32)[0] = BEFORE
    params = MaskParams(source.address, mask.address, area.address, channels, height * width, threshold)
    kernels.launch(MASK_KERNEL, mask_launch(width, height), params)
    assert mask.intact()
    return mask.bytes.reshape(height, width), int(area.bytes.view(np.uint32)[0]) - BEFORE


def probabilities(channels: int, height: int, width: int, seed: int) -> Probability:
    """Coarse steps, so that thresholds are met exactly and maxima are shared; a few values are NaN."""
    rng = np.random.default_rng(seed)
    values = (rng.integers(0, 9, (channels, height, width)) / 8).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values


def expected_mask(probability: Probability, threshold: float = THRESHOLD) -> Mask:
    """NaN is no foreground: a pixel with one is 0."""
    if len(probability) == 1:
        return np.where(probability[0] >= np.float32(threshold), 255, 0).astype(np.uint8)
    return np.where(np.isnan(probability).any(axis=0), 0, probability.argmax(axis=0)).astype(np.uint8)


@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(
    channels=st.sampled_from([1, 1, 2, 3, 7, 255]),
    height=st.integers(1, 40),
    width=st.integers(1, 70),
    threshold=st.sampled_from([0.0, 0.25, 0.5, 0.625, 1.0]),
    seed=st.integers(0, 1000),
    at_end=st.booleans(),
)
def test_mask_and_area(
    kernels: Any, guarded: Any, channels: int, height: int, width: int, threshold: float, seed: int, at_end: bool
) -> None:
    probability = probabilities(channels, height, width, seed)
    mask, area = mask_and_area(kernels, guarded, probability, threshold, at_end)
    expected = expected_mask(probability, threshold)
    np.testing.assert_array_equal(mask, expected)
    assert area == np.count_nonzero(expected)


@pytest.mark.parametrize("channels", [1, 4])
def test_same_mask_as_the_host(kernels: Any, guarded: Any, channels: int) -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((channels, 353, 352), dtype=np.float32)
    mask, area = mask_and_area(kernels, guarded, probability)
    np.testing.assert_array_equal(mask, mask_from_probability(probability, 353, 352))
    assert area == np.count_nonzero(mask)


@pytest.mark.parametrize(
    "values", [[np.nan, 0.1, 0.9], [0.1, np.nan, 0.9], [0.1, 0.9, np.nan], [np.nan, np.nan, np.nan]]
)
def test_nan_in_any_class_is_background(kernels: Any, guarded: Any, values: list[float]) -> None:
    mask, area = mask_and_area(kernels, guarded, np.array(values, np.float32).reshape(3, 1, 1))
    assert mask.item() == 0 and area == 0


def test_area_may_be_left_out(kernels: Any, guarded: Any) -> None:
    source, mask = floats_in(guarded, np.ones((1, 8, 8), np.float32)), guarded(64)
    kernels.launch(MASK_KERNEL, mask_launch(8, 8), MaskParams(source.address, mask.address, 0, 1, 64, 0.5))
    assert (mask.bytes == 255).all()


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(channels=st.integers(1, 4), height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0))
def test_map_is_rounded_and_clamped(
    kernels: Any, guarded: Any, channels: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.uniform(-0.1, 1.1, (channels, height, width)).astype(np.float32)
    probability.flat[0] = [0.5, np.nan, np.inf, -np.inf, 1.5 / 255][seed % 5]
    source, target = floats_in(guarded, probability), guarded(probability.size)
    params = MapParams(source.address, target.address, probability.size)
    kernels.launch(MAP_KERNEL, map_launch(channels, width, height), params)
    clean = np.nan_to_num(probability, nan=0, posinf=1, neginf=0)
    expected = np.rint(np.clip(clean * np.float32(255), 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(target.bytes.reshape(probability.shape), expected)
    assert target.intact()
