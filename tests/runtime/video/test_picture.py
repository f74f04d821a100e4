from __future__ import annotations

import struct
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import resize_to_network
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.runtime.video.decoded import picture_of
from edgeseg.runtime.video.display_matrix import Orientation
from edgeseg.runtime.video.picture import Picture
from edgeseg.specs import Crop

MATRICES: list[Matrix] = ["bt601", "bt709", "bt2020"]
SEEDS = st.integers(0, 2**32 - 1)


def noise(height: int, width: int, seed: int, matrix: Matrix = "bt601", full_range: bool = False) -> Picture:
    """Grainy planes whose colours all lie inside RGB, so that no conversion cuts any off."""
    rng = np.random.default_rng(seed)
    rows, columns = height + height % 2, width + width % 2
    luma = rng.integers(90, 160, (rows, columns), np.uint8)
    chroma = rng.integers(110, 146, (rows // 2, columns), np.uint8)
    return Picture.of_i420(height, width, np.vstack([luma, chroma]), matrix, full_range)


def rgb_by_definition(picture: Picture) -> NDArray[np.float64]:
    """H.273 equations 38 to 58 written out, each chroma sample for its four pixels."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[picture.matrix]
    luma, *chroma = (plane.astype(float) for plane in picture.planes())
    blue, red = (np.kron(plane, np.ones((2, 2))) - 128 for plane in chroma)
    y, pb, pr = (
        (luma / 255, blue / 255, red / 255) if picture.full_range else ((luma - 16) / 219, blue / 224, red / 224)
    )
    r, b = y + 2 * (1 - kr) * pr, y + 2 * (1 - kb) * pb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return 255 * np.dstack([r, g, b])[: picture.height, : picture.width]


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_of_the_standard(matrix: Matrix, full_range: bool) -> None:
    for height, width in ((64, 96), (62, 94), (61, 93)):
        picture = noise(height, width, 1, matrix, full_range)
        assert picture.bgr.shape == (height, width, 3)
        assert np.abs(picture.bgr[:, :, ::-1] - rgb_by_definition(picture)).max() <= 0.6


def test_colours_that_no_screen_has_are_cut_off() -> None:
    samples = np.random.default_rng(5).integers(0, 256, (72, 64), np.uint8)
    picture = Picture.of_i420(48, 64, samples, "bt709", full_range=False)
    assert np.abs(picture.bgr[:, :, ::-1] - rgb_by_definition(picture).clip(0, 255)).max() <= 0.6


@pytest.mark.parametrize(("matrix", "code"), [("bt601", 6), ("bt709", 1)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_that_ffmpeg_gives(matrix: Matrix, code: int, full_range: bool) -> None:
    picture = noise(62, 94, 2, matrix, full_range)
    assert picture.i420 is not None
    frame = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p")
    frame.colorspace, frame.color_range = code, 2 if full_range else 1
    other = np.asarray(frame.to_ndarray(format="bgr24", dst_colorspace="DEFAULT"), int)
    assert np.abs(picture.bgr - other - 1).max() <= 2  # its fast path cuts off where ours rounds


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(8, 24), st.integers(8, 24), SEEDS, st.booleans())
def test_the_network_sees_what_it_saw_in_training(
    height: int, width: int, rows: int, columns: int, seed: int, full_range: bool
) -> None:
    picture = noise(height, width, seed, MATRICES[seed % 3], full_range)
    expected = resize_to_network(np.ascontiguousarray(picture.bgr[:, :, ::-1]), rows, columns)
    given_to_it = picture.network_input(rows, columns)
    assert given_to_it.shape == (rows, columns, 3) and given_to_it.flags.c_contiguous
    difference = np.abs(given_to_it.astype(int) - expected)
    assert difference.max() <= 3
    assert (difference > 2).sum() <= max(4, 0.01 * difference.size)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(16, 40), st.integers(16, 40), SEEDS)
def test_a_crop_is_taken_where_it_lies(top: int, left: int, height: int, width: int, seed: int) -> None:
    crop = Crop(top=top, left=left, height=height, width=width)
    picture = noise(50, 50, seed)
    if top + height > 50 or left + width > 50:
        return
    expected = resize_to_network(np.ascontiguousarray(picture.bgr[:, :, ::-1]), 8, 8, crop)
    difference = np.abs(picture.network_input(8, 8, crop).astype(int) - expected)
    assert difference.max() <= 4  # noise, halved across chroma samples: each rounding of U counts twice in blue
    assert (difference > 2).mean() <= 0.08


def test_a_picture_of_bgr_keeps_every_pixel() -> None:
    bgr = np.random.default_rng(1).integers(0, 255, (33, 21, 3), np.uint8)
    picture = Picture.of_bgr(bgr)
    assert picture.bgr is bgr
    assert np.array_equal(picture.network_input(8, 8), resize_to_network(bgr, 8, 8)[:, :, ::-1])
    with pytest.raises(ValueError, match="no planes"):
        picture.planes()


@pytest.mark.parametrize("size", [(64, 96), (62, 94), (61, 93)])
def test_planes_of_bgr_show_the_same_colours(size: tuple[int, int]) -> None:
    bgr = np.full((*size, 3), (60, 40, 200), np.uint8)
    planar = Picture.of_bgr(bgr).planar()
    assert planar.planar() is planar
    assert planar.bgr.shape == bgr.shape
    assert np.abs(planar.bgr.astype(int) - bgr).max() <= 2


def test_a_copy_has_its_own_memory() -> None:
    picture = noise(8, 8, 1, "bt709", True)
    copy = picture.copy()
    copy.planes()[0][:] = 0
    assert picture.planes()[0].all()
    assert (copy.matrix, copy.full_range) == ("bt709", True)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    planes = [90 + 90 * rows / height, 90 + 80 * columns / width, 150 - 60 * rows / height]
    return np.dstack(planes).astype(np.uint8)


FORMATS = ["yuv420p", "yuvj420p", "nv12", "yuv422p", "yuvj422p", "yuv444p", "yuv422p10le", "p010le", "gray", "bgr24"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("code", [1, 2, 6, 7, 9])
@pytest.mark.parametrize("size", [(62, 94), (64, 96), (61, 93)])
def test_every_format_and_matrix_keeps_its_colours(name: str, code: int, size: tuple[int, int]) -> None:
    frame: Any = av.VideoFrame.from_ndarray(smooth(*size), format="bgr24").reformat(format=name)
    if name != "bgr24":
        frame.colorspace, frame.color_range = code, 2 if name.startswith("yuvj") else 1
    expected = np.asarray(frame.to_ndarray(format="bgr24", dst_colorspace="DEFAULT"), int)
    picture = picture_of(frame)
    assert (picture.height, picture.width) == size
    assert (picture.i420 is None) == (name == "bgr24" or code == 7)  # SMPTE 240M is not ours to know
    assert np.abs(picture.bgr - expected).max() <= 6
    assert np.abs((picture.bgr - expected).mean()) <= 1.6


@pytest.mark.parametrize("size", [(62, 94), (61, 93)])
@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_planes_are_turned_upright(size: tuple[int, int], degrees: int, turns: int) -> None:
    frame: Any = av.VideoFrame.from_ndarray(smooth(*size), format="bgr24").reformat(format="yuv420p")
    cos, sin = {90: (0, 1), -90: (0, -1), 180: (-1, 0)}[degrees]
    matrix = struct.pack("=9i", *(65536 * entry for entry in (cos, -sin, 0, sin, cos, 0, 0, 0, 16384)))
    picture = picture_of(frame, Orientation.of_matrix(matrix))
    expected = np.rot90(picture_of(frame).bgr, turns)
    assert picture.bgr.shape == expected.shape
    assert np.abs(picture.bgr.astype(int) - expected).max() <= 8  # an odd side shifts chroma by a pixel
    padded = picture.planes()[0]
    assert np.array_equal(padded[-1, : picture.width], padded[picture.height - 1, : picture.width])


def test_the_video_frame_names_its_colours_and_costs_no_copy() -> None:
    picture = noise(64, 96, 1, "bt709", True)
    frame = picture.video_frame()
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 2)
    assert picture.i420 is not None
    picture.i420[0, 0] = 77
    assert bytes(frame.planes[0])[0] == 77
    assert cv2.countNonZero(picture.planes()[0]) > 0
