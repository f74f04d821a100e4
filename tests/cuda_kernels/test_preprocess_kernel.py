"""The preprocess kernels against edgeseg.frames.resize_to_network, which OpenCV does: at most one grey level apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import resize_to_network
from edgeseg.images import read_rgb
from edgeseg.runtime.cuda.kernels.parameters import (
    MAX_HALVINGS,
    PIXEL_BYTES,
    PREPROCESS_KERNELS,
    FrameLayout,
    PixelFormat,
    halvings,
    preprocess_launch,
    preprocess_params,
)
from edgeseg.specs import Crop

Image = NDArray[np.uint8]
PACKED: tuple[PixelFormat, ...] = ("bgr24", "bgr0", "rgb24")
TOLERANCE = 1
AREA_BEFORE = 77


@dataclass(frozen=True)
class Case:
    """A frame of noise in memory and the network's size."""

    pixel_format: PixelFormat
    window: tuple[int, int]
    network: tuple[int, int]
    left: int = 0
    top: int = 0
    spare_bytes: int = 0
    at_end: bool = True


def packed_pixels(image: Image, pixel_format: PixelFormat) -> Image:
    """RGB [H,W,3] as the bytes of one packed format, [H, W * bytes]."""
    ordered = image if pixel_format == "rgb24" else image[..., ::-1]
    if pixel_format == "bgr0":
        ordered = np.concatenate([ordered, np.full_like(ordered[..., :1], 0xEE)], axis=2)
    return np.ascontiguousarray(ordered).reshape(image.shape[0], -1)


def preprocessed(kernels: Any, guarded: Any, image: Image, case: Case) -> Image:
    """Run the kernel on a frame of which only the window is in memory; everything else is unreadable."""
    (height, width), (network_height, network_width) = case.window, case.network
    rows = packed_pixels(image, case.pixel_format)
    pixel_bytes = PIXEL_BYTES[case.pixel_format]
    pitch = (case.left + width) * pixel_bytes + case.spare_bytes
    source = guarded((height - 1) * pitch + rows.shape[1], case.at_end)
    for row, values in enumerate(rows):
        source.bytes[row * pitch : row * pitch + len(values)] = values
    target = guarded(3 * network_height * network_width, case.at_end)
    area = guarded(4)
    area.bytes[:] = AREA_BEFORE
    crop = Crop(top=case.top, left=case.left, height=height, width=width)
    layout = FrameLayout(case.pixel_format, case.left + width, case.top + height, pitch, crop=crop)
    params = preprocess_params(
        layout,
        network_width,
        network_height,
        source=source.address - case.top * pitch - case.left * pixel_bytes,
        target=target.address,
        area=area.address,
    )
    kernels.launch(PREPROCESS_KERNELS[case.pixel_format], preprocess_launch(network_width, network_height), params)
    assert target.intact() and not area.bytes.any()
    return target.bytes.reshape(network_height, network_width, 3)


def noise(height: int, width: int, seed: int = 0) -> Image:
    """Fine noise beside flat extremes, so that every rounding and every edge is met."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    blocks = rng.integers(0, 2, (height // 5 + 1, width // 7 + 1, 3), dtype=np.uint8) * 255
    flat = np.kron(blocks, np.ones((5, 7, 1), np.uint8))[:height, :width]
    image[:, width // 2 :] = flat[:, width // 2 :]
    return image


def assert_close(result: Image, image: Image, network: tuple[int, int]) -> None:
    expected = resize_to_network(image, *network)
    assert np.abs(result.astype(int) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("pixel_format", PACKED)
@pytest.mark.parametrize(
    ("window", "network", "halved"),
    [
        ((1, 1), (32, 32), 0),
        ((1, 97), (20, 33), 0),
        ((7, 9), (17, 16), 0),
        ((48, 64), (48, 64), 0),
        ((33, 67), (32, 32), 0),
        ((63, 65), (31, 32), 1),
        ((480, 640), (96, 96), 2),
        ((300, 333), (33, 35), 3),
        ((271, 299), (16, 17), 4),
        ((400, 300), (9, 9), 5),
        ((131, 259), (2, 1), 6),
        ((31, 64), (16, 16), 0),
        ((31, 79), (16, 16), 0),
        ((40, 900), (32, 32), 0),
        ((900, 70), (32, 32), 1),
        ((129, 1100), (32, 17), 2),
    ],
)
def test_every_number_of_halvings_and_every_aspect(
    kernels: Any,
    guarded: Any,
    pixel_format: PixelFormat,
    window: tuple[int, int],
    network: tuple[int, int],
    halved: int,
) -> None:
    assert halvings(window[1], window[0], network[1], network[0]) == halved
    image = noise(*window)
    result = preprocessed(kernels, guarded, image, Case(pixel_format, window, network))
    assert_close(result, image, network)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    network = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    scale = draw(st.sampled_from([1, 2, 3, 5, 9, 20, 70]))
    window = (
        draw(st.integers(1, min(network[0] * scale, 700))),
        draw(st.integers(1, min(network[1] * scale, 700))),
    )
    hypothesis.assume(halvings(window[1], window[0], network[1], network[0]) <= MAX_HALVINGS)
    places = st.integers(0, 9)
    return Case(
        draw(st.sampled_from(PACKED)),
        window,
        network,
        draw(places),
        draw(places),
        draw(st.integers(0, 40)),
        draw(st.booleans()),
    )


@hypothesis.settings(max_examples=100, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(case=cases(), seed=st.integers(0, 1000))
def test_any_size_pitch_crop_and_alignment(kernels: Any, guarded: Any, case: Case, seed: int) -> None:
    image = noise(*case.window, seed)
    assert_close(preprocessed(kernels, guarded, image, case), image, case.network)


@pytest.mark.parametrize(("pixel_format", "network"), [("bgr24", (224, 224)), ("bgr0", (96, 160))])
def test_ultra_high_definition(kernels: Any, guarded: Any, pixel_format: PixelFormat, network: tuple[int, int]) -> None:
    image = noise(2160, 3840)
    result = preprocessed(kernels, guarded, image, Case(pixel_format, (2160, 3840), network))
    assert_close(result, image, network)


def test_guard_pages_catch_a_read_outside_the_window(kernels: Any, guarded: Any) -> None:
    source, target = guarded(32 * 32 * 3), guarded(16 * 16 * 3)
    layout = FrameLayout("rgb24", 32, 34, 96)
    params = preprocess_params(layout, 16, 16, source=source.address, target=target.address)
    with pytest.raises(AssertionError, match="outside its buffers"):
        kernels.launch(PREPROCESS_KERNELS["rgb24"], preprocess_launch(16, 16), params)


def test_halving_rounds_after_each_step(kernels: Any, guarded: Any) -> None:
    # Means of 0,0,1,1 round up to 1 at the first step, and stay 1; a mean over the whole box would give 0.5, then 0.25.
    image = np.zeros((8, 8, 3), np.uint8)
    image[::2] = 1
    image[4:] = 0
    result = preprocessed(kernels, guarded, image, Case("rgb24", (8, 8), (1, 1)))
    assert result.tolist() == resize_to_network(image, 1, 1).tolist() == [[[1, 1, 1]]]


def test_real_images(kernels: Any, guarded: Any, data_folder: Path) -> None:
    paths = sorted(path for path in data_folder.glob("kvasir-seg/**/*") if path.suffix in {".jpg", ".png"})[:6]
    if not paths:
        pytest.skip(f"no kvasir-seg images in {data_folder}")
    for path in paths:
        image = read_rgb(path)
        size = (image.shape[0], image.shape[1])
        result = preprocessed(kernels, guarded, image, Case("bgr24", size, (256, 256)))
        assert_close(result, image, (256, 256))
        area_mean = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
        assert np.abs(result.astype(float) - area_mean).mean() < 4  # the same picture, by another rule
