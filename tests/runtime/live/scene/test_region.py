from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.region import RegionFinder, VisibleRegion
from edgeseg.runtime.live.scene.small import reduce_picture
from edgeseg.runtime.live.scene.watch import counting_mask, keep_counted
from edgeseg.runtime.video.picture import Picture


def scope_shape(kind: str, height: int, width: int, inset: float) -> Mask:
    """The exact region, drawn by other means than the finder's."""
    y, x = np.mgrid[:height, :width] + 0.5
    across, down = np.abs(x - width / 2), np.abs(y - height / 2)
    a, b = width / 2 - inset * width, height / 2 - inset * height
    if kind == "circle":
        inside = np.hypot(x - width / 2, y - height / 2) <= min(a, b)
    elif kind == "octagon":
        inside = (across <= a) & (down <= b) & (across + down <= a + b - 0.45 * min(a, b))
    else:
        r = 0.3 * min(a, b)
        inside = (
            (across <= a) & (down <= b) & (np.hypot(np.maximum(across - a + r, 0), np.maximum(down - b + r, 0)) <= r)
        )
    return np.where(inside, np.uint8(255), np.uint8(0))


def tissue(rng: np.random.Generator, shape: Mask, level: float, text: bool = False) -> Picture:
    height, width = shape.shape
    coarse = rng.normal(0, 25, (9, 9, 3)).astype(np.float32)
    bgr = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + np.array([0.6, 0.7, 1.3]) * level
    bgr = bgr.clip(60, 255) * (shape[..., None] > 0) + rng.normal(0, 2, (height, width, 3))
    image = bgr.clip(0, 255).astype(np.uint8)
    if text:
        cv2.putText(image, "ID 4711", (4, height // 10), cv2.FONT_HERSHEY_SIMPLEX, height / 500, (255, 255, 255), 2)
    return Picture.of_bgr(image)


def iou(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.sum((first > 0) & (second > 0)) / np.sum((first > 0) | (second > 0)))


def found(finder: RegionFinder, shape: Mask, seed: int, frames: int = 40, text: bool = False) -> VisibleRegion:
    rng = np.random.default_rng(seed)
    for _ in range(frames):
        region = finder.update(reduce_picture(tissue(rng, shape, 110, text)))
    return region


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(["circle", "octagon", "rounded"]),
    height=st.integers(200, 500),
    aspect=st.floats(1.0, 1.8),
    inset=st.floats(0.02, 0.2),
    seed=st.integers(0, 99),
)
def test_the_shape_of_the_scope_is_found(kind: str, height: int, aspect: float, inset: float, seed: int) -> None:
    shape = scope_shape(kind, height, round(height * aspect), inset)
    region = found(RegionFinder(), shape, seed)
    assert region.found
    assert iou(region.mask(*shape.shape), shape) > 0.94
    rows, columns = np.nonzero(shape)
    two_px = 2.5 * max(1.0, shape.shape[1] / 160)
    crop = region.crop
    assert crop.top == pytest.approx(rows.min(), abs=two_px)
    assert crop.left == pytest.approx(columns.min(), abs=two_px)
    assert crop.top + crop.height == pytest.approx(rows.max() + 1, abs=two_px)
    assert crop.left + crop.width == pytest.approx(columns.max() + 1, abs=two_px)


def test_a_picture_without_border_is_taken_whole() -> None:
    region = found(RegionFinder(), np.full((240, 320), 255, np.uint8), 1)
    assert iou(region.mask(240, 320), np.full((240, 320), 255, np.uint8)) > 0.99


def test_text_in_the_border_does_not_widen_the_region() -> None:
    shape = scope_shape("circle", 480, 640, 0.04)
    assert iou(found(RegionFinder(), shape, 2, text=True).mask(480, 640), shape) > 0.95


def test_black_frames_and_one_flash_move_nothing() -> None:
    finder, shape = RegionFinder(), scope_shape("octagon", 480, 640, 0.05)
    held = found(finder, shape, 3, frames=60)
    rng = np.random.default_rng(4)
    for index in range(120):
        level = scope_shape("octagon", 480, 640, 0.05)
        picture = tissue(rng, level, 110) if index == 60 else Picture.of_bgr(np.zeros((480, 640, 3), np.uint8))
        assert finder.update(reduce_picture(picture)) is held


def test_a_held_region_does_not_jump() -> None:
    finder, shape = RegionFinder(), scope_shape("circle", 480, 640, 0.05)
    first = found(finder, shape, 5, frames=60)
    assert found(finder, shape, 6, frames=200) is first


def test_another_scope_is_found_again_and_another_size_at_once() -> None:
    finder = RegionFinder()
    found(finder, scope_shape("circle", 480, 640, 0.2), 7)
    wider = scope_shape("rounded", 480, 640, 0.03)
    assert iou(found(finder, wider, 8, frames=150).mask(480, 640), wider) > 0.94
    narrow = scope_shape("circle", 480, 640, 0.15)
    assert iou(found(finder, narrow, 9, frames=250).mask(480, 640), narrow) > 0.94
    resized = finder.update(reduce_picture(Picture.of_bgr(np.zeros((300, 500, 3), np.uint8))))
    assert (resized.height, resized.width, resized.found) == (300, 500, False)


def test_what_does_not_count_is_taken_from_a_mask_once() -> None:
    shape = scope_shape("circle", 120, 160, 0.1)
    region = found(RegionFinder(), scope_shape("circle", 480, 640, 0.1), 10)
    text = np.zeros((240, 320), np.uint8)
    text[100:120, 100:140] = 255
    counted = counting_mask(region, text, 120, 160)
    mask = np.full((120, 160), 255, np.uint8)
    kept = keep_counted(mask, counted)
    assert not kept[50:60, 50:70].any() and not kept[0].any()
    assert kept.sum() < mask.sum() and iou(kept, shape) > 0.9
    assert np.array_equal(keep_counted(kept, counted), kept)
