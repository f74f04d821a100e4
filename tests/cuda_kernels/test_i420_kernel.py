"""I420 to the network's input, as the host makes it: `Picture.network_input`, by OpenCV, at most one grey level apart.

Its colours are held against ITU-R BT.601, BT.709 and BT.2020 in numpy, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import resize_to_network
from edgeseg.runtime.cuda.kernels.parameters import (
    MAX_HALVINGS,
    PREPROCESS_KERNELS,
    FrameLayout,
    halvings,
    preprocess_launch,
    preprocess_params,
)
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.runtime.video.picture import Picture
from edgeseg.specs import Crop

Plane = NDArray[np.uint8]
TOLERANCE = 1
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def noise(height: int, width: int, seed: int = 0, matrix: Matrix = "bt709", full_range: bool = False) -> Picture:
    """Every value of Y, U and V, colours that no screen has too."""
    rows, columns = height + height % 2, width + width % 2
    samples = np.random.default_rng(seed).integers(0, 256, (rows * 3 // 2, columns), np.uint8)
    return Picture.of_i420(height, width, samples, matrix, full_range)


def grainy(height: int, width: int, matrix: Matrix, full_range: bool) -> Picture:
    """Colours that all lie inside RGB."""
    rows, columns = height + height % 2, width + width % 2
    rng = np.random.default_rng(3)
    luma, chroma = rng.integers(90, 160, (rows, columns)), rng.integers(110, 146, (rows // 2, columns))
    return Picture.of_i420(height, width, np.vstack([luma, chroma]).astype(np.uint8), matrix, full_range)


def rgb_by_definition(picture: Picture) -> Plane:
    """RGB uint8 [H,W,3] in float64, each chroma sample for its four pixels."""
    red_weight, blue_weight = KR_KB[picture.matrix]
    luma, *chroma = (plane.astype(float) for plane in picture.planes())
    y = luma / 255 if picture.full_range else (luma - 16) / 219
    cb, cr = (np.kron(plane - 128, np.ones((2, 2))) / (255 if picture.full_range else 224) for plane in chroma)
    red, blue = y + 2 * (1 - red_weight) * cr, y + 2 * (1 - blue_weight) * cb
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    rgb = np.floor(255 * np.dstack([red, green, blue]) + 0.5).clip(0, 255).astype(np.uint8)
    return rgb[: picture.height, : picture.width]


def place(guarded: Any, plane: Plane, pitch: int, window: tuple[int, int, int, int], at_end: bool) -> tuple[Any, int]:
    """Put a window (top, left, rows, columns) of a plane in guarded memory; also where its missing byte 0 would be."""
    top, left, rows, columns = window
    memory = guarded((rows - 1) * pitch + columns, at_end)
    for row in range(rows):
        memory.bytes[row * pitch : row * pitch + columns] = plane[top + row, left : left + columns]
    return memory, memory.address - top * pitch - left


def preprocessed(
    kernels: Any,
    guarded: Any,
    picture: Picture,
    network: tuple[int, int],
    crop: Crop | None = None,
    spare: tuple[int, int] = (0, 0),
    at_end: bool = True,
) -> Plane:
    """Run the kernel; of each plane only what the window needs can be read. `spare` bytes end each row."""
    luma, blue, red = picture.planes()
    window = crop or Crop(top=0, left=0, height=picture.height, width=picture.width)
    colour_range: Any = "full" if picture.full_range else "limited"
    pitches = luma.shape[1] + spare[0], blue.shape[1] + spare[1]
    layout = FrameLayout("yuv420p", picture.width, picture.height, *pitches, picture.matrix, colour_range, crop)
    left, top = window.left // 2, window.top // 2
    right, below = (window.left + window.width + 1) // 2, (window.top + window.height + 1) // 2
    pairs = (top, left, below - top, right - left)
    # Named, since the memory goes when its object does.
    y, source = place(guarded, luma, pitches[0], (window.top, window.left, window.height, window.width), at_end)
    u, chroma = place(guarded, blue, pitches[1], pairs, at_end)
    v, chroma_v = place(guarded, red, pitches[1], pairs, at_end)
    target = guarded(3 * network[0] * network[1], at_end)
    params = preprocess_params(
        layout, network[1], network[0], source=source, chroma=chroma, chroma_v=chroma_v, target=target.address
    )
    kernels.launch(PREPROCESS_KERNELS["yuv420p"], preprocess_launch(network[1], network[0]), params)
    assert y.intact() and u.intact() and v.intact() and target.intact()
    return target.bytes.reshape(*network, 3)


def assert_close(result: Plane, other: Plane, tolerance: int = TOLERANCE) -> None:
    assert np.abs(result.astype(int) - other).max() <= tolerance


def test_known_colours_of_limited_range(kernels: Any, guarded: Any) -> None:
    # 75 % colour bars of BT.709 in 8 bits (ITU-R BT.1729): yellow, green, red, blue as Y, Cb, Cr.
    bars = {(168, 44, 136): (191, 191, 0), (133, 63, 52): (0, 191, 0), (51, 109, 212): (191, 0, 0)}
    bars |= {(28, 212, 120): (0, 0, 191), (235, 128, 128): (255, 255, 255), (16, 128, 128): (0, 0, 0)}
    for (y, u, v), rgb in bars.items():
        samples = np.full((12, 8), y, np.uint8)
        samples[8:10], samples[10:] = u, v
        for network in ((4, 4), (8, 8)):
            result = preprocessed(kernels, guarded, Picture.of_i420(8, 8, samples, "bt709"), network).reshape(-1, 3)
            assert np.abs(result.astype(int) - rgb).max() <= 2  # the bars' own rounding


def test_planes_are_halved_before_they_become_rgb(kernels: Any, guarded: Any) -> None:
    samples = np.full((3, 2), 128, np.uint8)
    samples[:2] = [[255, 16], [255, 16]]  # 255 lies above white
    picture = Picture.of_i420(2, 2, samples, "bt709")
    assert preprocessed(kernels, guarded, picture, (1, 1)).tolist() == [[[140, 140, 140]]]  # 255/219 * (136 - 16)
    whole = preprocessed(kernels, guarded, picture, (2, 2))
    assert whole[:, :, 0].tolist() == [[255, 0], [255, 0]], "clamped as it comes where nothing is halved"


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    network = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    scale = draw(st.sampled_from([1, 2, 3, 5, 9, 20, 70]))
    height, width = (draw(st.integers(1, min(side * scale, 500))) for side in network)
    hypothesis.assume(halvings(width, height, network[1], network[0]) <= MAX_HALVINGS)
    crop = Crop(top=draw(st.integers(0, 5)), left=draw(st.integers(0, 5)), height=height, width=width)
    spare = (draw(st.integers(0, 40)), draw(st.integers(0, 40)))
    return {"network": network, "crop": crop, "spare": spare, "at_end": draw(st.booleans())}


@hypothesis.settings(max_examples=100, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(
    case=cases(),
    seed=st.integers(0, 1000),
    matrix=st.sampled_from(get_args(Matrix)),
    full_range=st.booleans(),
    beyond=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_size_pitch_crop_and_alignment(
    kernels: Any,
    guarded: Any,
    case: dict[str, Any],
    seed: int,
    matrix: Matrix,
    full_range: bool,
    beyond: tuple[int, int],
) -> None:
    crop: Crop = case["crop"]
    size = (crop.top + crop.height + beyond[0], crop.left + crop.width + beyond[1])
    picture = noise(*size, seed, matrix, full_range)
    assert_close(preprocessed(kernels, guarded, picture, **case), picture.network_input(*case["network"], crop))


@pytest.mark.parametrize(("size", "network"), [((2160, 3840), (224, 224)), ((1080, 1920), (352, 352))])
def test_video_sizes(kernels: Any, guarded: Any, size: tuple[int, int], network: tuple[int, int]) -> None:
    picture = noise(*size)
    assert_close(preprocessed(kernels, guarded, picture, network), picture.network_input(*network))


@pytest.mark.parametrize("size", [(64, 96), (61, 93), (40, 44)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_of_the_definition(
    kernels: Any, guarded: Any, size: tuple[int, int], full_range: bool
) -> None:
    for matrix in get_args(Matrix):
        picture = grainy(*size, matrix, full_range)
        for crop in (None, Crop(top=1, left=3, height=35, width=37)):
            result = preprocessed(kernels, guarded, picture, (40, 44), crop)
            assert_close(result, resize_to_network(rgb_by_definition(picture), 40, 44, crop), tolerance=3)


def test_real_video_as_the_host_prepares_it(kernels: Any, guarded: Any, data_folder: Path) -> None:
    av = pytest.importorskip("av")
    from edgeseg.runtime.video.decoded import picture_of

    paths = sorted(path for path in data_folder.rglob("*") if path.suffix in {".mp4", ".avi", ".mkv", ".mov"})
    if not paths:
        pytest.skip(f"no video in {data_folder}")
    for path in paths[:4]:
        with av.open(str(path)) as container:
            picture = picture_of(next(container.decode(video=0)))
        result = preprocessed(kernels, guarded, picture, (256, 256))
        difference = np.abs(result.astype(int) - picture.network_input(256, 256))
        assert difference.max() <= TOLERANCE and (difference > 0).mean() < 0.05
