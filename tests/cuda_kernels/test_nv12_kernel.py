"""NV12 to the network's input: every pixel takes the U, V pair that covers it, becomes RGB uint8, then the one resize.

The oracle is that sentence in numpy, written from ITU-R BT.601 and BT.709 alone; swscale and OpenCV, which convert with
their own rounding (and OpenCV with BT.601 limited range only), are compared with a stated tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import resize_to_network
from edgeseg.runtime.cuda.kernels.parameters import (
    MAX_HALVINGS,
    PREPROCESS_KERNELS,
    ColourRange,
    FrameLayout,
    halvings,
    preprocess_launch,
    preprocess_params,
)
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.specs import Crop

Plane = NDArray[np.uint8]
TOLERANCE = 1
SWSCALE_TOLERANCE = 5
SWSCALE_MEAN_TOLERANCE = 1.5
"""Grey levels from swscale's yuv420p to rgb24, which truncates; its default from NV12 also smooths the chroma."""
OPENCV_TOLERANCE = 2
SIZE = 256


@dataclass(frozen=True)
class Nv12:
    """A frame: Y [H,W] and UV [(H+1)//2, 2*((W+1)//2)]."""

    y: Plane
    uv: Plane
    matrix: Matrix = "bt709"
    colour_range: ColourRange = "limited"

    def rgb(self) -> Plane:
        """RGB uint8 [H,W,3], by the definition, in float64."""
        height, width = self.y.shape
        pairs = self.uv.reshape(self.uv.shape[0], -1, 2).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[
            self.matrix
        ]
        limited = self.colour_range == "limited"
        y = (self.y.astype(float) - 16) / 219 if limited else self.y / 255
        cb, cr = np.moveaxis((pairs.astype(float) - 128) / (224 if limited else 255), 2, 0)
        red = y + 2 * (1 - red_weight) * cr
        blue = y + 2 * (1 - blue_weight) * cb
        green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
        return np.floor(255 * np.stack([red, green, blue], axis=2) + 0.5).clip(0, 255).astype(np.uint8)

    def cropped(self, crop: Crop) -> Plane:
        return self.rgb()[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]


def noise(height: int, width: int, seed: int = 0, matrix: Matrix = "bt709", colour: ColourRange = "limited") -> Nv12:
    """Every value of Y, U and V, those outside the limited range too."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 256, (height, width), dtype=np.uint8)
    uv = rng.integers(0, 256, ((height + 1) // 2, (width + 1) // 2 * 2), dtype=np.uint8)
    return Nv12(y, uv, matrix, colour)


def place(guarded: Any, plane: Plane, pitch: int, window: tuple[int, int, int, int], at_end: bool) -> tuple[Any, int]:
    """Put the window (top, left, rows, bytes) of a plane in guarded memory; also the address of its missing byte 0."""
    top, left, rows, row_bytes = window
    memory = guarded((rows - 1) * pitch + row_bytes, at_end)
    for row in range(rows):
        memory.bytes[row * pitch : row * pitch + row_bytes] = plane[top + row, left : left + row_bytes]
    return memory, memory.address - top * pitch - left


def preprocessed(
    kernels: Any,
    guarded: Any,
    frame: Nv12,
    network: tuple[int, int],
    crop: Crop | None = None,
    spare: tuple[int, int] = (0, 0),
    at_end: bool = True,
) -> Plane:
    """Run the kernel; of both planes only what the window needs can be read. `spare` bytes end each row of Y and UV."""
    height, width = frame.y.shape
    window = crop or Crop(top=0, left=0, height=height, width=width)
    layout = FrameLayout(
        "nv12", width, height, width + spare[0], frame.uv.shape[1] + spare[1], frame.matrix, frame.colour_range, crop
    )
    left, top = window.left // 2, window.top // 2
    right, below = (window.left + window.width + 1) // 2, (window.top + window.height + 1) // 2
    luma_window = (window.top, window.left, window.height, window.width)
    chroma_window = (top, 2 * left, below - top, 2 * (right - left))
    # Named, since the memory goes when its object does.
    luma, source = place(guarded, frame.y, layout.pitch_bytes, luma_window, at_end)
    pairs, chroma = place(guarded, frame.uv, layout.chroma_pitch_bytes, chroma_window, at_end)
    target = guarded(3 * network[0] * network[1], at_end)
    params = preprocess_params(layout, network[1], network[0], source=source, chroma=chroma, target=target.address)
    kernels.launch(PREPROCESS_KERNELS["nv12"], preprocess_launch(network[1], network[0]), params)
    assert luma.intact() and pairs.intact() and target.intact()
    return target.bytes.reshape(*network, 3)


def assert_close(result: Plane, expected: Plane, tolerance: int = TOLERANCE) -> None:
    assert np.abs(result.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("matrix", get_args(Matrix))
@pytest.mark.parametrize("colour_range", get_args(ColourRange))
def test_conversion_of_every_luma_with_many_chromas(
    kernels: Any, guarded: Any, matrix: Matrix, colour_range: ColourRange
) -> None:
    y = np.arange(256, dtype=np.uint8)[None].repeat(SIZE, axis=0)
    u, v = np.meshgrid(np.linspace(0, 255, SIZE // 2), np.linspace(0, 255, SIZE // 2))
    uv = np.stack([np.random.default_rng(0).permuted(u, axis=1), v], axis=2).astype(np.uint8).reshape(SIZE // 2, SIZE)
    frame = Nv12(y, uv, matrix, colour_range)
    result = preprocessed(kernels, guarded, frame, (SIZE, SIZE))
    difference = np.abs(result.astype(int) - frame.rgb())
    assert difference.max() <= 1  # factors of 16 bits can only decide ties otherwise
    assert (difference != 0).mean() < 0.002


def test_known_colours_of_limited_range(kernels: Any, guarded: Any) -> None:
    # 75 % colour bars of BT.709 in 8 bits (ITU-R BT.1729): yellow, green, red, blue as Y, Cb, Cr.
    bars = {(168, 44, 136): (191, 191, 0), (133, 63, 52): (0, 191, 0), (51, 109, 212): (191, 0, 0)}
    bars |= {(28, 212, 120): (0, 0, 191), (235, 128, 128): (255, 255, 255), (16, 128, 128): (0, 0, 0)}
    for (y, u, v), rgb in bars.items():
        frame = Nv12(np.full((4, 4), y, np.uint8), np.tile(np.array([u, v], np.uint8), (2, 2)))
        result = preprocessed(kernels, guarded, frame, (4, 4)).reshape(-1, 3)
        assert np.abs(result.astype(int) - rgb).max() <= 2  # the bars' own rounding


def test_clamping_comes_before_the_mean(kernels: Any, guarded: Any) -> None:
    y = np.array([[255, 16], [255, 16]], np.uint8)  # 255 lies above white
    result = preprocessed(kernels, guarded, Nv12(y, np.full((1, 2), 128, np.uint8)), (1, 1))
    assert result.tolist() == [[[128, 128, 128]]]  # mean of 255, 0, 255, 0; unclamped it would be 139


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    network = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    scale = draw(st.sampled_from([1, 2, 3, 5, 9, 20, 70]))
    height, width = (draw(st.integers(1, min(side * scale, 500))) for side in network)
    hypothesis.assume(halvings(width, height, network[1], network[0]) <= MAX_HALVINGS)
    crop = Crop(top=draw(st.integers(0, 5)), left=draw(st.integers(0, 5)), height=height, width=width)
    spare = (draw(st.integers(0, 40)), draw(st.integers(0, 40)))
    return {"network": network, "crop": crop, "spare": spare, "at_end": draw(st.booleans())}


@hypothesis.settings(max_examples=80, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(
    case=cases(),
    seed=st.integers(0, 1000),
    matrix=st.sampled_from(get_args(Matrix)),
    colour_range=st.sampled_from(get_args(ColourRange)),
    beyond=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_size_pitch_crop_and_alignment(
    kernels: Any,
    guarded: Any,
    case: dict[str, Any],
    seed: int,
    matrix: Matrix,
    colour_range: ColourRange,
    beyond: tuple[int, int],
) -> None:
    crop: Crop = case["crop"]
    size = (crop.top + crop.height + beyond[0], crop.left + crop.width + beyond[1])
    frame = noise(*size, seed, matrix, colour_range)
    result = preprocessed(kernels, guarded, frame, **case)
    assert_close(result, resize_to_network(frame.cropped(crop), *case["network"]))


@pytest.mark.parametrize(("size", "network"), [((2160, 3840), (224, 224)), ((1080, 1920), (352, 352))])
def test_video_sizes(kernels: Any, guarded: Any, size: tuple[int, int], network: tuple[int, int]) -> None:
    frame = noise(*size)
    assert_close(preprocessed(kernels, guarded, frame, network), resize_to_network(frame.rgb(), *network))


def natural(data_folder: Path) -> Any:
    """The first frame of a real video, yuv420p with even sides."""
    av = pytest.importorskip("av")
    paths = sorted(path for path in data_folder.rglob("*") if path.suffix in {".mp4", ".avi", ".mkv", ".mov"})
    if not paths:
        pytest.skip(f"no video in {data_folder}")
    with av.open(str(paths[0])) as container:
        frame = next(container.decode(video=0))
    if frame.format.name != "yuv420p":
        pytest.skip(f"{paths[0].name} is {frame.format.name}, not yuv420p")
    return frame


def nv12_array(frame: Any) -> Plane:
    """uint8 [H*3/2,W]: Y, then UV."""
    return np.asarray(frame.reformat(format="nv12").to_ndarray(), np.uint8)


def split(array: Plane, matrix: Matrix) -> Nv12:
    height = array.shape[0] * 2 // 3
    return Nv12(array[:height], array[height:], matrix, "limited")


@pytest.mark.parametrize(("matrix", "name"), [("bt601", "ITU601"), ("bt709", "ITU709")])
def test_real_video_as_the_host_decodes_it(
    kernels: Any, guarded: Any, data_folder: Path, matrix: Matrix, name: str
) -> None:
    decoded = natural(data_folder)
    rgb = decoded.reformat(format="rgb24", src_colorspace=name, dst_colorspace=name).to_ndarray()
    result = preprocessed(kernels, guarded, split(nv12_array(decoded), matrix), (256, 256))
    expected = resize_to_network(rgb, 256, 256)
    assert_close(result, expected, SWSCALE_TOLERANCE)
    assert np.abs(result.astype(int) - expected).mean() < SWSCALE_MEAN_TOLERANCE


def test_real_video_as_opencv_converts_it(kernels: Any, guarded: Any, data_folder: Path) -> None:
    array = nv12_array(natural(data_folder))
    array = np.maximum(array, 16)  # OpenCV lifts a luma below black to black before it adds the chroma
    rgb = np.asarray(cv2.cvtColor(array, cv2.COLOR_YUV2RGB_NV12), np.uint8)
    result = preprocessed(kernels, guarded, split(array, "bt601"), (256, 256))
    assert_close(result, resize_to_network(rgb, 256, 256), OPENCV_TOLERANCE)
