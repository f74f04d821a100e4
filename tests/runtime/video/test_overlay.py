from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import confidence_of
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.runtime.video.canvas import Canvas, yuv_of
from edgeseg.runtime.video.overlay import (
    OVERLAY_MODES,
    SKY_BLUE,
    OverlayMode,
    caption,
    draw,
    draw_caption,
    outline_width_px,
)
from edgeseg.runtime.video.picture import Picture

LINES = caption("polyp", 0.1234, 0.912, "onnxruntime int8", 3.14159)


def grey(height: int, width: int, matrix: Matrix = "bt709", full_range: bool = False) -> Picture:
    rows, columns = height + height % 2, width + width % 2
    planes = np.vstack([np.full((rows, columns), 120, np.uint8), np.full((rows // 2, columns), 128, np.uint8)])
    return Picture.of_i420(height, width, planes, matrix, full_range)


def square(height: int, width: int) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return mask


def is_outline(picture: Picture) -> NDArray[np.bool_]:
    rgb = picture.bgr[:, :, ::-1].astype(int)
    result: NDArray[np.bool_] = np.abs(rgb - SKY_BLUE).max(axis=2) <= 40
    return result


def changed(picture: Picture, before: Picture) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.abs(picture.bgr.astype(int) - before.bgr).max(axis=2) > 2
    return result


def test_caption_says_area_confidence_engine_time_and_state() -> None:
    assert LINES == ("polyp 12.3 % of picture  confidence 91 %", "onnxruntime int8  3.1 ms")
    assert caption("polyp", 0, 0, "tensorrt fp16", 1, "live") == (
        "polyp 0.0 % of picture",
        "tensorrt fp16  1.0 ms",
        "live",
    )


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_themselves_in_every_matrix(matrix: Matrix, full_range: bool) -> None:
    for colour in (SKY_BLUE, (230, 159, 0), (255, 255, 255), (8, 16, 24)):
        planes = np.empty((3, 2), np.uint8)
        y, u, v = yuv_of(colour, matrix, full_range)
        planes[:2], planes[2] = y, (u, v)
        shown = Picture.of_i420(2, 2, planes, matrix, full_range).bgr[0, 0, ::-1]
        assert np.abs(shown.astype(int) - colour).max() <= 2


@pytest.mark.parametrize(("height", "width"), [(240, 352), (719, 1281), (1080, 1920), (2160, 3840)])
def test_the_outline_runs_along_the_border_and_leaves_the_inside_alone(height: int, width: int) -> None:
    before = grey(height, width)
    picture = draw(before, square(height, width), ())
    drawn = is_outline(picture)
    top, left, bottom, right = height // 4, width // 4, height // 2 - 1, width // 2 - 1
    assert drawn[top, left + 2 : right - 1].all() and drawn[bottom, left + 2 : right - 1].all()
    assert drawn[top + 2 : bottom - 1, left].all() and drawn[top + 2 : bottom - 1, right].all()
    reach = 2 * outline_width_px(height, width) + 2
    different = changed(picture, before)
    assert not different[top + reach : bottom - reach, left + reach : right - reach].any()
    assert not different[: top - reach].any() and not different[:, right + reach :].any()


def test_the_outline_lies_where_a_contour_of_the_whole_mask_lies() -> None:
    mask = np.zeros((720, 1280), np.uint8)
    cv2.ellipse(mask, (611, 357), (203, 101), 31, 0, 360, 255, -1)
    drawn = is_outline(draw(grey(720, 1280), mask, ()))
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert drawn[edge].mean() > 0.9
    far = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5)
    assert far[drawn].max() <= 4


def test_holes_and_specks_have_an_outline_too() -> None:
    mask = square(600, 600)
    mask[210:230, 210:230] = 0
    assert is_outline(draw(grey(600, 600), mask, ()))[203:237, 203:237].any()
    for row, column in ((100, 100), (101, 101), (599, 599), (0, 333)):
        speck = np.zeros((600, 600), np.uint8)
        speck[row, column] = 1  # the first class of several
        assert is_outline(draw(grey(600, 600), speck, ())).any()


def test_fill_tints_the_marked_part_and_nothing_else() -> None:
    before, mask = grey(240, 352), square(240, 352)
    picture = draw(before, mask, (), "fill")
    inside = picture.bgr[90, 130, ::-1].astype(int)
    grey_level = before.bgr[0, 0].astype(int)
    assert np.abs(inside - (0.65 * grey_level + 0.35 * np.array(SKY_BLUE))).max() <= 3
    assert not changed(picture, before)[mask == 0][:1000].any()
    assert not changed(picture, before)[150:].any()


def test_heat_shows_the_probability_where_it_is_and_lets_the_rest_be() -> None:
    before = grey(240, 352)
    probability = np.zeros((1, 24, 32), np.float32)
    probability[0, 6:12, 8:16] = 0.97
    picture = draw(before, np.zeros((240, 352), np.uint8), (), "heat", probability)
    yellow = cv2.applyColorMap(np.array([[247]], np.uint8), cv2.COLORMAP_CIVIDIS)[0, 0]
    shown = picture.bgr[90, 132].astype(int)
    assert np.abs(shown - (0.5 * before.bgr[0, 0] + 0.5 * yellow)).max() <= 4
    different = changed(picture, before)
    assert different[70:110, 100:164].all()
    assert not different[:50].any() and not different[:, 190:].any() and not different[132:].any()
    without = draw(before, square(240, 352), (), "heat")
    assert np.array_equal(without.bgr, draw(before, square(240, 352), (), "fill").bgr)


def test_off_gives_the_picture_itself() -> None:
    picture = grey(64, 64)
    assert draw(picture, square(64, 64), LINES, "off") is picture
    assert draw(picture, None, ()) is picture


@pytest.mark.parametrize("mode", OVERLAY_MODES)
def test_the_picture_that_is_drawn_on_stays_as_it_is(mode: OverlayMode) -> None:
    rng = np.random.default_rng(1)
    planes = rng.integers(0, 255, (96 * 3 // 2, 128), np.uint8)
    kept = planes.copy()
    draw(Picture.of_i420(96, 128, planes), square(96, 128), LINES, mode, rng.random((1, 16, 16), np.float32))
    assert np.array_equal(planes, kept)


def test_an_empty_mask_changes_the_caption_box_only() -> None:
    before = grey(480, 640)
    picture = draw(before, np.zeros((480, 640), np.uint8), LINES)
    rows, columns = np.nonzero(changed(picture, before))
    assert rows.min() > 380 and columns.max() < 400
    assert (picture.bgr >= 250).any()
    spread = picture.bgr.max(axis=2).astype(int) - picture.bgr.min(axis=2)
    assert spread[rows.min() : rows.max(), : columns.max()].max() <= 2  # letters and box have no colour


def test_line_and_letters_grow_with_the_picture() -> None:
    widths = [outline_width_px(*size) for size in ((240, 352), (480, 640), (1080, 1920), (2160, 3840))]
    assert widths == [2, 2, 5, 10]
    shares = []
    for height, width in ((480, 640), (1080, 1920), (2160, 3840)):
        picture = grey(height, width)
        draw_caption(Canvas(picture), height, width, LINES)
        shares.append((picture.planes()[0] != 120).any(axis=1).sum() / height)
    assert max(shares) - min(shares) < 0.02
    assert 0.05 < shares[0] < 0.2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.sampled_from(OVERLAY_MODES))
def test_any_size_and_mask_can_be_drawn(height: int, width: int, seed: int, mode: OverlayMode) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 2, (height, width), np.uint8) * np.uint8(255)
    picture = draw(grey(height, width), mask, LINES, mode, rng.random((1, 7, 9), np.float32))
    assert picture.bgr.shape == (height, width, 3)
    assert mask.any() == is_outline(picture).any() or mode == "off" or min(height, width) < 40  # a caption covers it
    luma = picture.planes()[0]
    assert np.array_equal(luma[-1], luma[height - 1]) and np.array_equal(luma[:, -1], luma[:, width - 1])


def test_pictures_of_bgr_are_drawn_on_as_well() -> None:
    bgr = np.full((240, 352, 3), 120, np.uint8)
    assert is_outline(draw(Picture.of_bgr(bgr), square(240, 352), LINES)).any()
    assert (bgr == 120).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_confidence_is_the_mean_inside_the_mask(classes: int, seed: int) -> None:
    probability = np.random.default_rng(seed).random((classes, 5, 6), np.float32)
    marked = probability[0] >= 0.5 if classes == 1 else probability.argmax(axis=0) > 0
    values = probability.max(axis=0)[marked]
    assert confidence_of(probability) == pytest.approx(values.mean() if values.size else 0.0, abs=1e-6)
