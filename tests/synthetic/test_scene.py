from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.inspection import inspect_dataset
from edgeseg.metrics import dice_per_image
from edgeseg.synthetic.camera import Camera
from edgeseg.synthetic.colon import FARTHEST, Colon
from edgeseg.synthetic.folders import write_dataset
from edgeseg.synthetic.noise import PeriodicMap, fractal_noise
from edgeseg.synthetic.polyp import SHAPES, grow_polyp
from edgeseg.synthetic.stills import render_scene


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**40), height=st.integers(32, 90), width=st.integers(32, 90))
def test_any_size_gives_a_frame_and_a_two_valued_mask(seed: int, height: int, width: int) -> None:
    frame, mask = render_scene(seed, height, width)
    assert (frame.shape, frame.dtype) == ((height, width, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
    assert set(np.unique(mask)) <= {0, 255}


def test_the_same_seed_gives_the_same_bytes_and_others_do_not() -> None:
    first, again, other = (render_scene(seed, 96, 96, polyps=1) for seed in (5, 5, 6))
    assert first[0].tobytes() == again[0].tobytes() and first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_seen_in_one_piece_of_fair_size(shape: str) -> None:
    shares, parts = [], []
    for seed in range(6):
        _, mask = render_scene(seed, 96, 96, polyps=1, shape=shape)  # type: ignore[arg-type]
        sizes = np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:]
        shares.append(mask.mean() / 255)
        parts.append(sizes.max() / sizes.sum())
    assert min(shares) > 0.004 and max(shares) < 0.6
    assert np.median(parts) > 0.95


def test_no_polyps_no_mask_and_the_mask_stays_inside_the_octagon() -> None:
    assert not render_scene(2, 96, 96, polyps=0)[1].any()
    for seed in range(4):
        frame, mask = render_scene(seed, 96, 96, polyps=2)
        outside = ndimage.binary_erosion(frame.max(axis=2) == 0, iterations=2, border_value=1)
        assert outside[0, 0] and outside[-1, -1]
        assert not (mask[outside] > 0).any()


def test_the_mask_is_where_the_polyp_changed_the_picture() -> None:
    """The same bowel with and without its polyp differs on the polyp and little beyond its rim."""
    for seed in (1, 3, 8):
        frame, mask = render_scene(seed, 128, 128, polyps=1)
        empty, _ = render_scene(seed, 128, 128, polyps=0)
        changed = np.abs(frame.astype(int) - empty.astype(int)).max(axis=2)
        inside = ndimage.binary_erosion(mask > 0, iterations=2)
        assert np.median(changed[inside]) > 2 * np.median(changed[~ndimage.binary_dilation(mask > 0, iterations=12)])


def test_no_colour_threshold_finds_the_polyps() -> None:
    """The best of many thresholds on any colour measure, one for all pictures, stays far below a network."""
    pictures = [render_scene(seed, 96, 96, polyps=1) for seed in range(10)]
    best = 0.0
    for measure in (
        lambda f: f[..., 0],
        lambda f: f[..., 1],
        lambda f: f[..., 0] - f[..., 1],
        lambda f: f[..., 2] - f[..., 1],
        lambda f: f[..., 0] / (f.sum(axis=2) + 1),
    ):
        values = [measure(frame.astype(np.float64)) for frame, _ in pictures]
        for level in np.quantile(np.stack(values), np.linspace(0.05, 0.95, 15)):
            for sign in (1, -1):
                scores = [
                    dice_per_image(((value - level) * sign > 0).astype(np.uint8), mask)
                    for value, (_, mask) in zip(values, pictures, strict=True)
                ]
                best = max(best, float(np.mean(scores)))
    assert best < 0.6


@pytest.mark.parametrize(("height", "width"), [(31, 64), (64, 8)])
def test_tiny_pictures_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="at least 32"):
        render_scene(0, height, width)


def test_rays_end_on_the_wall() -> None:
    colon = Colon(np.random.default_rng(4))
    rows, columns = (axis.ravel().astype(np.float32) for axis in np.mgrid[0:64:4, 0:64:4])
    x, y = colon.centre(np.zeros(1, np.float32))[0, :2]
    camera = Camera((float(x), float(y), 0.0), yaw=0.4, pitch=-0.3, roll=1.0)
    rays = camera.rays(columns, rows, 64, 64)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=0), 1, atol=1e-5)
    origin = np.asarray(camera.position, np.float32)
    distance = colon.trace(origin, rays, np.full(rays.shape[1], 0.02, np.float32), 120)
    hit = distance < FARTHEST
    assert hit.mean() > 0.9
    assert np.quantile(np.abs(colon.gap(origin[:, None] + rays * distance)[hit]), 0.98) < 0.02
    before = origin[:, None] + rays * (0.5 * distance)
    assert (colon.gap(before)[hit] > -0.01).mean() > 0.98


def test_the_middle_ray_looks_along_the_bowel() -> None:
    middle = np.array([31.5], np.float32)
    np.testing.assert_allclose(Camera((0, 0, 0), roll=2.0).rays(middle, middle, 64, 64)[:, 0], [0, 0, 1], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), size=st.floats(0.05, 0.5))
def test_a_polyp_lies_within_its_reach(seed: int, shape: str, size: float) -> None:
    rng = np.random.default_rng(seed)
    anchor, inward = rng.normal(size=3), rng.normal(size=3)
    polyp = grow_polyp(rng, shape, anchor, inward / np.linalg.norm(inward), size)  # type: ignore[arg-type]
    directions = rng.normal(size=(3, 400))
    directions /= np.linalg.norm(directions, axis=0)
    shell = (anchor[:, None] + directions * polyp.reach * 1.05).astype(np.float32)
    assert (polyp.distance(shell) > 0).all()
    np.testing.assert_allclose(polyp.axes @ polyp.axes.T, np.eye(3), atol=1e-5)


def test_noise_has_no_seam_and_maps_wrap() -> None:
    noise = fractal_noise(np.random.default_rng(0), 64, 128, 8, 3)
    inner = np.abs(np.diff(noise, axis=1)).mean()
    assert np.abs(noise[:, 0] - noise[:, -1]).mean() < 1.5 * inner
    assert abs(float(noise.std()) - 1) < 1e-3
    places = np.random.default_rng(1).uniform(-2, 3, (2, 700)).astype(np.float32)
    sampled = PeriodicMap(noise).sample(places[0], places[1])
    expected = ndimage.map_coordinates(noise, [places[1] * 64, places[0] * 128], order=1, mode="grid-wrap")
    np.testing.assert_allclose(sampled, expected, atol=0.12)  # remap's weights have 5 bits


def test_a_data_set_is_sound_grows_without_change_and_holds_negatives(tmp_path: Path) -> None:
    write_dataset(tmp_path / "small", 7, {"train": 2, "validation": 1, "test": 0}, 48, 64)
    write_dataset(tmp_path / "large", 7, {"train": 8, "validation": 1, "test": 2}, 48, 64)
    report = inspect_dataset(tmp_path / "large")
    assert report.problems == ()
    assert [(split.name, split.images, split.empty_masks) for split in report.splits] == [
        ("train", 8, 1),
        ("validation", 1, 0),
        ("test", 2, 0),
    ]
    assert not (tmp_path / "small" / "test").exists()
    for small, large in zip(
        load_pairs(tmp_path / "small", "train"), load_pairs(tmp_path / "large", "train"), strict=False
    ):
        assert small.image.read_bytes() == large.image.read_bytes()
        assert small.mask.read_bytes() == large.mask.read_bytes()


def test_negatives_can_be_kept_out_of_a_split(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", 7, {"train": 8, "test": 8}, 48, 64, negatives=("train",))
    empty = {split.name: split.empty_masks for split in inspect_dataset(tmp_path / "data").splits}
    assert (empty["train"], empty["test"]) == (1, 0)


@pytest.mark.parametrize(
    ("counts", "height"), [({"train": 0}, 64), ({"holdout": 3}, 64), ({"train": -1}, 64), ({}, 64), ({"train": 2}, 16)]
)
def test_senseless_data_sets_are_refused_before_anything_is_written(
    counts: dict[str, int], height: int, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError):
        write_dataset(tmp_path / "out", 0, counts, height, 64)
    assert list(tmp_path.iterdir()) == []
