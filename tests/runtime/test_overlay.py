from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.runtime.stream.overlay import (
    SKY_BLUE_BGR,
    caption,
    draw_caption,
    draw_outline,
    draw_overlay,
    outline_width_px,
)

LINES = caption("polyp", 0.1234, "onnxruntime int8", 3.14159)


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 120, np.uint8)


def square(height: int, width: int) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return mask


def is_outline(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = (picture == SKY_BLUE_BGR).all(axis=2)
    return result


def test_caption_says_area_engine_and_time() -> None:
    assert LINES == ("polyp 12.3 % of picture", "onnxruntime int8  3.1 ms")


@pytest.mark.parametrize(("height", "width"), [(240, 352), (1080, 1920)])
def test_the_outline_runs_along_the_border_and_leaves_the_inside_alone(height: int, width: int) -> None:
    picture = grey(height, width)
    draw_outline(picture, square(height, width))
    drawn = is_outline(picture)
    top, left, bottom, right = height // 4, width // 4, height // 2 - 1, width // 2 - 1
    assert drawn[top, left : right + 1].all() and drawn[bottom, left : right + 1].all()
    assert drawn[top : bottom + 1, left].all() and drawn[top : bottom + 1, right].all()
    reach = 2 * outline_width_px(height, width)
    changed = (picture != 120).any(axis=2)
    assert not changed[top + reach : bottom - reach, left + reach : right - reach].any()
    assert not changed[: top - reach].any() and not changed[:, right + reach :].any()


def test_holes_have_an_outline_too() -> None:
    mask = square(400, 400)
    mask[140:160, 140:160] = 0
    picture = grey(400, 400)
    draw_outline(picture, mask)
    assert is_outline(picture)[135:165, 135:165].any()


def test_an_empty_mask_changes_the_caption_box_only() -> None:
    picture = grey(480, 640)
    draw_overlay(picture, np.zeros((480, 640), np.uint8), LINES)
    rows, columns = np.nonzero((picture != 120).any(axis=2))
    assert rows.min() > 380 and columns.max() < 400
    assert (picture == 255).any()


def test_line_and_letters_grow_with_the_picture() -> None:
    widths = [outline_width_px(*size) for size in ((240, 352), (480, 640), (1080, 1920), (2160, 3840))]
    assert widths == [2, 2, 5, 10]
    shares = []
    for height, width in ((480, 640), (1080, 1920), (2160, 3840)):
        picture = grey(height, width)
        draw_caption(picture, LINES)
        shares.append((picture != 120).any(axis=(1, 2)).sum() / height)
    assert max(shares) - min(shares) < 0.02
    assert 0.05 < shares[0] < 0.2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_any_size_and_mask_can_be_drawn(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (height, width), np.uint8) * np.uint8(255)
    picture = grey(height, width)
    draw_overlay(picture, mask, LINES)
    assert picture.shape == (height, width, 3)
    assert mask.any() == is_outline(picture).any()
