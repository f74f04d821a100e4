import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.frames import (
    mask_from_probability,
    resize_mask_to_network,
    resize_to_network,
    scale_plane,
)
from edgeseg.specs import Crop

SIDE = st.integers(1, 70)


def bilinear(image: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Half-pixel bilinear interpolation of [H,W,C], written out: the sample at (i + 0.5) * scale - 0.5, edges held."""
    for axis, size in ((0, height), (1, width)):
        length = image.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        weight = np.expand_dims(at - low, tuple(other for other in range(image.ndim) if other != axis))
        image = np.take(image, low, axis) * (1 - weight) + np.take(image, high, axis) * weight
    return image


def stretched(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """The rule of the design: 2x2 means, rounded half up, while at least twice too large; then bilinear."""
    image = frame.astype(np.float64)
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * rows, : 2 * columns]
        image = np.floor((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) / 4)
    return bilinear(image, height, width)


def random_frame(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=80, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 99))
def test_resize_is_the_written_rule_within_one_grey_level(height, width, to_height, to_width, seed) -> None:
    frame = random_frame(height, width, seed)
    resized = resize_to_network(frame, to_height, to_width)
    assert resized.shape == (to_height, to_width, 3) and resized.dtype == np.uint8
    assert np.abs(resized - stretched(frame, to_height, to_width)).max() <= 1


@pytest.mark.parametrize(("size", "to"), [((300, 420), (256, 256)), ((100, 90), (256, 224)), ((255, 511), (256, 256))])
def test_bilinear_part_is_that_of_torch(size, to) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch (extra `train`)")
    frame = random_frame(*size)
    planes = torch.tensor(frame).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(planes, to, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    assert np.abs(resize_to_network(frame, *to) - expected.numpy()).max() <= 1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_halving_alone_is_the_mean_of_the_blocks(factor) -> None:
    frame = random_frame(32 * factor, 24 * factor)
    means = frame.reshape(32, factor, 24, factor, 3).mean(axis=(1, 3))
    assert np.abs(resize_to_network(frame, 32, 24) - means).max() <= 1.5


def test_1080p_to_256_is_within_one_grey_level() -> None:
    frame = random_frame(1080, 1920)
    assert np.abs(resize_to_network(frame, 256, 256) - stretched(frame, 256, 256)).max() <= 1


def test_the_same_size_changes_nothing() -> None:
    frame = random_frame(48, 64)
    assert np.array_equal(resize_to_network(frame, 48, 64), frame)


def test_a_crop_is_the_window_resized() -> None:
    frame = random_frame(90, 120)
    crop = Crop(top=7, left=11, height=60, width=80)
    assert np.array_equal(resize_to_network(frame, 32, 32, crop), resize_to_network(frame[7:67, 11:91].copy(), 32, 32))


def test_grey_stays_grey_and_channels_stay_in_order() -> None:
    frame = np.zeros((97, 131, 3), np.uint8)
    frame[:] = (10, 120, 250)
    assert np.array_equal(resize_to_network(frame, 32, 48), np.broadcast_to(np.uint8([10, 120, 250]), (32, 48, 3)))


@settings(max_examples=60, deadline=None)
@given(SIDE, SIDE, st.integers(2, 70), SIDE, st.integers(0, 99))
def test_probability_is_scaled_as_torch_does(height, width, to_height, to_width, seed) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch (extra `train`)")
    plane = np.random.default_rng(seed).random((height, width), np.float32)
    scaled = torch.nn.functional.interpolate(
        torch.tensor(plane)[None, None], (to_height, to_width), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    assert np.abs(scale_plane(plane, to_height, to_width) - scaled).max() < 2e-5
    mask = mask_from_probability(plane[None], to_height, to_width)
    clear = np.abs(scaled - 0.5) > 1e-4
    assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(mask[clear] == 255, scaled[clear] >= 0.5)


def test_a_half_is_foreground() -> None:
    plane = np.array([[[0.5, np.nextafter(np.float32(0.5), np.float32(0))]]], np.float32)
    assert mask_from_probability(plane, 1, 2).tolist() == [[255, 0]]


@settings(max_examples=60, deadline=None)
@given(SIDE, SIDE, st.integers(1, 70), SIDE, st.floats(0.49, 0.51), st.integers(0, 99))
def test_no_pixel_is_lost_where_none_of_the_map_is_much_above_the_threshold(
    height, width, to_height, to_width, largest, seed
) -> None:
    plane = np.float32(largest) - np.random.default_rng(seed).random((height, width), np.float32) * np.float32(0.02)
    expected = np.where(scale_plane(plane, to_height, to_width) >= 0.5, 255, 0)
    np.testing.assert_array_equal(mask_from_probability(plane[None], to_height, to_width), expected)


def test_several_classes_take_the_largest_after_scaling() -> None:
    planes = np.random.default_rng(3).random((3, 9, 7), np.float32)
    scaled = bilinear(planes.transpose(1, 2, 0).astype(np.float64), 31, 40)
    top = np.sort(scaled, axis=2)
    clear = top[..., 2] - top[..., 1] > 1e-5
    mask = mask_from_probability(planes, 31, 40)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask[clear], scaled.argmax(axis=2)[clear])


@settings(max_examples=40, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE)
def test_masks_are_resized_to_the_nearest_pixel(height, width, to_height, to_width) -> None:
    mask = np.where(np.random.default_rng(height).random((height, width)) > 0.5, 255, 0).astype(np.uint8)
    resized = resize_mask_to_network(mask, to_height, to_width)
    rows, clear_rows = nearest(height, to_height)
    columns, clear_columns = nearest(width, to_width)
    clear = np.logical_and.outer(clear_rows, clear_columns)
    assert np.array_equal(resized[clear], mask[np.ix_(rows, columns)][clear])


def nearest(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The nearest source pixel of each target pixel, and whether it is the only nearest one."""
    numerator = (2 * np.arange(size) + 1) * length
    return numerator // (2 * size), numerator % (2 * size) != 0


def test_a_frame_of_one_pixel_has_a_mask() -> None:
    assert mask_from_probability(np.full((1, 4, 4), 0.9, np.float32), 1, 1).tolist() == [[255]]
