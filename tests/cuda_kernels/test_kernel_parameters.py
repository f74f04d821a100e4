from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from edgeseg.errors import BadInputError, UsageError
from edgeseg.runtime.cuda.kernels import parameters
from edgeseg.runtime.cuda.kernels.compile import SOURCE
from edgeseg.runtime.cuda.kernels.parameters import FrameLayout, preprocess_params
from edgeseg.specs import Crop

STRUCTS = (parameters.PreprocessParams, parameters.MaskParams, parameters.MapParams)


def test_structs_lie_in_memory_as_the_compiler_lays_them(tmp_path: Path) -> None:
    claims = ["#include <cstddef>", f'#include "{SOURCE.with_name("parameters.h")}"']
    for struct in STRUCTS:
        name = struct.__name__
        claims.append(f"static_assert(sizeof({name}) == {ctypes.sizeof(struct)});")
        for field, *_ in struct._fields_:
            place = getattr(struct, field)
            claims.append(f"static_assert(offsetof({name}, {field}) == {place.offset});")
            claims.append(f"static_assert(sizeof({name}::{field}) == {place.size});")
    source = tmp_path / "claims.cpp"
    source.write_text("\n".join(claims))
    subprocess.run(["g++", "-std=c++20", "-fsyntax-only", str(source)], check=True)


def test_launch_covers_every_pixel_once() -> None:
    assert parameters.preprocess_launch(352, 353) == ((22, 23, 1), (16, 16, 1))
    assert parameters.mask_launch(32, 32) == ((1, 1, 1), (256, 1, 1))
    assert parameters.mask_launch(41, 25) == ((2, 1, 1), (256, 1, 1))
    assert parameters.map_launch(3, 32, 32) == ((3, 1, 1), (256, 1, 1))


def test_factors_are_those_of_the_standards() -> None:
    # BT.709 limited range as commonly printed: 1.164, 1.793, -0.213, -0.533, 2.112.
    offset, *factors = parameters.rgb_from_yuv_factors("bt709", "limited")
    assert offset == 16
    assert [round(factor / parameters.FACTOR_ONE, 3) for factor in factors] == [1.164, 1.793, -0.213, -0.533, 2.112]
    # BT.601 full range (JFIF): 1, 1.402, -0.344136, -0.714136, 1.772.
    offset, *factors = parameters.rgb_from_yuv_factors("bt601", "full")
    assert offset == 0
    expected = [1, 1.402, -0.344136, -0.714136, 1.772]
    assert [factor / parameters.FACTOR_ONE for factor in factors] == pytest.approx(expected, abs=1e-5)


def layout(**changes: object) -> FrameLayout:
    given = {"pixel_format": "bgr24", "width": 64, "height": 48, "pitch_bytes": 192} | changes
    return FrameLayout(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        (layout(pitch_bytes=191), UsageError, "pitch"),
        (layout(pixel_format="nv12", chroma_pitch_bytes=64), UsageError, "UV plane"),
        (layout(crop=Crop(top=0, left=1, height=48, width=64)), BadInputError, "crop"),
        (layout(width=2048, height=2048, pitch_bytes=6144), BadInputError, "too large"),
    ],
)
def test_frames_that_cannot_be_read_are_refused(frame: FrameLayout, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        preprocess_params(frame, 16, 16, source=4096, target=4096)


def test_window_is_the_crop_or_the_frame() -> None:
    params = preprocess_params(layout(), 32, 32, source=1, target=2, area=3)
    assert (params.left, params.top, params.width, params.height, params.area) == (0, 0, 64, 48, 3)
    cropped = layout(crop=Crop(top=3, left=5, height=40, width=50))
    params = preprocess_params(cropped, 32, 32, source=1, target=2)
    assert (params.left, params.top, params.width, params.height) == (5, 3, 50, 40)
