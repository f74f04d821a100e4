"""Polyp-free windows: checked by looking at every pixel, and by trying every window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import UsageError
from edgeseg.windows import DARK_LEVEL, Window, WindowRule, polyp_free_window

NO_MARGIN = WindowRule(margin=0)


def bright(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 200, np.uint8)


def masked(height: int, width: int, *polyps: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    for polyp in polyps:
        mask[polyp] = 255
    return mask


def allowed(frame: np.ndarray, mask: np.ndarray, window: Window, rule: WindowRule) -> bool:
    """The rule, pixel by pixel."""
    margin = round(rule.margin * min(mask.shape))
    rows = slice(max(0, window.top - margin), window.top + window.side + margin)
    columns = slice(max(0, window.left - margin), window.left + window.side + margin)
    dark = (window.of(frame).max(axis=2) < DARK_LEVEL).mean()
    return not mask[rows, columns].any() and dark <= rule.max_dark


@settings(max_examples=60)
@given(st.integers(8, 20), st.integers(8, 20), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.2]))
def test_the_window_is_the_largest_of_all_that_are_allowed(height: int, width: int, seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    frame = np.where(rng.random((height, width, 1)) < 0.3, 10, 200).repeat(3, axis=2).astype(np.uint8)
    mask = masked(height, width)
    mask[rng.random((height, width)) < 0.03] = 255
    rule = WindowRule(margin=margin)
    every = [
        window
        for side in range(int(np.ceil(rule.min_side * min(height, width))), min(height, width) + 1)
        for top in range(height - side + 1)
        for left in range(width - side + 1)
        if allowed(frame, mask, window := Window(top, left, side), rule)
    ]
    found = polyp_free_window(frame, mask, rule)
    if found is None:
        assert every == []
    else:
        assert found in every
        assert found.side == max(window.side for window in every)


def test_a_window_lies_beside_the_polyp_and_keeps_its_distance() -> None:
    mask = masked(100, 160, (slice(None), slice(0, 70)))
    assert polyp_free_window(bright(100, 160), mask, NO_MARGIN) == Window(0, 70, 90)
    assert polyp_free_window(bright(100, 160), mask, WindowRule(margin=0.05)) == Window(0, 75, 85)


def test_a_picture_without_a_polyp_is_taken_whole() -> None:
    assert polyp_free_window(bright(50, 50), masked(50, 50), WindowRule()) == Window(0, 0, 50)


@pytest.mark.parametrize("width", [61, 62])
def test_no_window_is_smaller_than_the_rule_allows(width: int) -> None:
    found = polyp_free_window(bright(100, 100), masked(100, 100, (slice(None), slice(0, width))), NO_MARGIN)
    assert found is None
    larger = polyp_free_window(bright(100, 100), masked(100, 100, (slice(None), slice(0, 60))), NO_MARGIN)
    assert larger == Window(0, 60, 40)


def test_the_black_border_is_no_picture() -> None:
    frame = bright(60, 100)
    frame[:, 60:] = DARK_LEVEL - 1
    mask = masked(60, 100, (slice(None), slice(0, 30)))
    found = polyp_free_window(frame, mask, NO_MARGIN)
    assert found is not None
    assert (found.of(frame).max(axis=2) < DARK_LEVEL).mean() <= 0.35
    assert polyp_free_window(np.zeros_like(frame), mask, NO_MARGIN) is None


def test_of_windows_as_large_the_brightest() -> None:
    frame = bright(40, 120)
    frame[:, :40:5] = 0
    assert polyp_free_window(frame, masked(40, 120), NO_MARGIN) == Window(0, 36, 40)


def test_large_pictures_are_searched_in_strides() -> None:
    mask = masked(1000, 1300, (slice(None), slice(0, 600)))
    found = polyp_free_window(bright(1000, 1300), mask, NO_MARGIN)
    assert found is not None
    assert found.left >= 600 and 700 - found.side <= 10


@pytest.mark.parametrize("words", [{"margin": -0.1}, {"min_side": 0.0}, {"max_dark": 1.5}, {"margin": float("nan")}])
def test_a_rule_that_no_window_meets(words: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="no window"):
        WindowRule(**words)
