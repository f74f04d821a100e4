"""Every pixel format becomes I420 of 8 bits with the stream's own numbers: no matrix and no range is converted."""

from __future__ import annotations

import struct
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.runtime.video.decoded import picture_of
from edgeseg.runtime.video.display_matrix import Orientation

Samples = NDArray[np.uint16]


def frame_of(name: str, luma: Samples, blue: Samples, red: Samples) -> av.VideoFrame:
    """A frame of a format out of full-size planes of 8 bits; chroma is taken at the places that the format keeps."""
    height, width = luma.shape
    frame = av.VideoFrame(width, height, name)
    depth = frame.format.components[0].bits
    dtype: Any = np.uint8 if depth == 8 else np.uint16
    shift = 6 if name.startswith("p0") or name.startswith("p2") else 0  # these keep their ten bits at the top
    planes = [luma, blue, red]
    if len(frame.planes) == 2:
        first = frame.planes[1]
        step_y, step_x = round(height / first.height), round(width / first.width)
        small = [plane[::step_y, ::step_x] for plane in (blue, red)]
        planes = [luma, np.stack(small, axis=-1).reshape(small[0].shape[0], -1)]
    elif len(frame.planes) >= 3:
        step_y, step_x = round(height / frame.planes[1].height), round(width / frame.planes[1].width)
        planes = [luma, blue[::step_y, ::step_x], red[::step_y, ::step_x]]
    for plane, values in zip(frame.planes, planes, strict=False):
        lines = np.zeros((plane.height, plane.line_size // dtype().itemsize), dtype)
        lines[: values.shape[0], : values.shape[1]] = values << (depth - 8 + shift)
        plane.update(lines.tobytes())
    return frame


PLANAR = ["yuv420p", "yuvj420p", "nv12", "yuv422p", "yuvj422p", "nv16", "yuv444p", "yuv411p"]
DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "p010le"]


@pytest.mark.parametrize("name", PLANAR + DEEP)
@pytest.mark.parametrize("range_number", [0, 1, 2])
@pytest.mark.parametrize(("number", "matrix"), [(1, "bt709"), (2, "bt601"), (5, "bt601"), (9, "bt2020")])
def test_numbers_matrix_and_range_are_kept(name: str, range_number: int, number: int, matrix: str) -> None:
    luma = np.tile(np.arange(0, 256, 4, dtype=np.uint16), (48, 1))
    blue, red = np.full_like(luma, 90), np.full_like(luma, 201)
    frame = frame_of(name, luma, blue, red)
    frame.colorspace, frame.color_range = number, range_number
    picture = picture_of(frame)
    got, got_blue, got_red = picture.planes()
    assert np.abs(got.astype(int) - luma).max() <= (1 if name in DEEP else 0)
    assert np.abs(got_blue.astype(int) - 90).max() <= 1
    assert np.abs(got_red.astype(int) - 201).max() <= 1
    assert picture.matrix == matrix
    assert picture.full_range == (range_number == 2 or name.startswith("yuvj"))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["yuv420p", "nv12", "nv21"]), st.integers(0, 99))
def test_420_is_copied_to_the_bit_at_any_size(height: int, width: int, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // 2), -(-width // 2)
    luma = rng.integers(0, 256, (height, width), dtype=np.uint16)
    blue, red = rng.integers(0, 256, (2, rows, columns), dtype=np.uint16)
    frame = av.VideoFrame(width, height, name)
    pairs = (red, blue) if name == "nv21" else (blue, red)
    planes = [luma, blue, red] if name == "yuv420p" else [luma, np.stack(pairs, axis=-1).reshape(rows, -1)]
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.zeros((plane.height, plane.line_size), np.uint8)
        lines[:, : values.shape[1]] = values
        plane.update(lines.tobytes())
    picture = picture_of(frame)
    got, got_blue, got_red = picture.planes()
    assert np.array_equal(got, np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge"))
    assert np.array_equal(got_blue, blue)
    assert np.array_equal(got_red, red)
    assert (picture.height, picture.width) == (height, width)


def test_grey_has_no_colour() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((8, 8), 77, np.uint8), format="gray")
    assert np.abs(picture_of(frame).bgr.astype(int) - 77).max() <= 2


@pytest.mark.parametrize("name", ["bgr24", "rgb24", "gbrp", "bgra"])
def test_rgb_keeps_its_colours(name: str) -> None:
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[:] = (30, 90, 200)
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=name)
    assert np.abs(picture_of(frame).planar().bgr.astype(int) - bgr).max() <= 3


@pytest.mark.parametrize("rotation", [90, -90, 180])
@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47)])
def test_a_turned_picture_stands_upright(rotation: int, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (4, 6, 3), dtype=np.uint8)
    bgr = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p")
    cos, sin = {90: (0, 1), -90: (0, -1), 180: (-1, 0)}[rotation]
    matrix = struct.pack("=9i", *(65536 * entry for entry in (cos, -sin, 0, sin, cos, 0, 0, 0, 16384)))
    upright = picture_of(frame, Orientation.of_matrix(matrix))
    expected = np.rot90(picture_of(frame).bgr, rotation // 90)
    assert upright.bgr.shape == expected.shape
    # Odd sides move the chroma by half a sample; another turn is 40 off.
    assert np.abs(upright.bgr.astype(int) - expected).mean() < (10 if height % 2 else 2)
