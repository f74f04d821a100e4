from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgeseg.runtime.live.scene.flicker import ClipFrame, mask_flicker, measure_stabilisation, moved_still
from edgeseg.runtime.live.scene.motion import STILL, Motion, estimate_motion, moved
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser, StabiliserSettings


def textured(seed: int, rows: int = 96, columns: int = 160) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (rows, columns)), 2, mode="wrap")
    return np.clip(120 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """By sets of pixels."""
    a, b = ({tuple(p) for p in np.argwhere(mask)} for mask in (first, second))
    return len(a & b) / len(a | b)


def disc(rows: int, columns: int, x: float, y: float, radius: float) -> np.ndarray:
    j, i = np.mgrid[:rows, :columns]
    return np.where(np.hypot(i - x, j - y) <= radius, np.uint8(255), np.uint8(0))


@settings(max_examples=30, deadline=None)
@given(st.floats(-12, 12), st.floats(-8, 8), st.integers(0, 20))
def test_a_shift_is_estimated_with_its_sign(right: float, down: float, seed: int) -> None:
    before = textured(seed)
    after = ndimage.shift(before.astype(float), (down, right), order=3, mode="grid-wrap").clip(0, 255).astype(np.uint8)
    motion = estimate_motion(before, after)
    assert motion.right * 160 == pytest.approx(right, abs=0.5)
    assert motion.down * 96 == pytest.approx(down, abs=0.5)
    difference = np.abs(moved(before, motion).astype(int) - after)[20:-20, 20:-20]
    assert difference.max() <= 60
    assert np.percentile(difference, 99) <= 35, "but for the half pixels between two, which interpolation blurs"


def test_another_picture_has_no_response() -> None:
    assert estimate_motion(textured(1), textured(2)).response < StabiliserSettings().min_response


def test_flicker_is_one_less_the_overlap_along_the_motion() -> None:
    before, after = disc(96, 160, 60, 40, 15), disc(96, 160, 66, 43, 15)
    assert mask_flicker(before, after, Motion(6 / 160, 3 / 96, 1)) == 0
    assert mask_flicker(before, after, STILL) == pytest.approx(1 - jaccard(before, after))
    assert mask_flicker(before * 0, before * 0, STILL) == 0
    assert mask_flicker(before, before * 0, STILL) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.integers(2, 6))
def test_steadied_values_lie_between_what_came_in(seed: int, frames: int) -> None:
    rng, luma = np.random.default_rng(seed), textured(seed)
    maps = [rng.random((1, 48, 80), dtype=np.float32) for _ in range(frames)]
    steadier = ProbabilityStabiliser()
    steadied = [steadier.update(one, luma) for one in maps]
    assert np.array_equal(steadied[0], maps[0])
    seen = np.stack(maps)
    assert (steadied[-1] >= seen.min(axis=0) - 1e-6).all() and (steadied[-1] <= seen.max(axis=0) + 1e-6).all()


def test_at_rest_it_is_the_exponential_mean() -> None:
    rng, luma, steadier = np.random.default_rng(0), textured(0), ProbabilityStabiliser()
    maps = [rng.random((1, 96, 160), dtype=np.float32) for _ in range(8)]
    expected = maps[0]
    for index, one in enumerate(maps):
        expected = one if index == 0 else 0.6 * expected + 0.4 * one
        steadied = steadier.update(one, luma)
    assert steadied == pytest.approx(expected, abs=1e-5)


def test_the_same_map_again_changes_nothing() -> None:
    steadier, luma = ProbabilityStabiliser(), textured(3)
    one = np.random.default_rng(3).random((2, 48, 80), dtype=np.float32)
    for _ in range(5):
        assert steadier.update(one, luma) == pytest.approx(one, abs=1e-6)


def test_a_cut_another_size_and_a_reset_keep_nothing() -> None:
    one, other = np.zeros((1, 48, 80), np.float32), np.ones((1, 48, 80), np.float32)
    steadier = ProbabilityStabiliser()
    steadier.update(one, textured(1))
    assert np.array_equal(steadier.update(other, 255 - textured(5)), other)
    steadier.reset()
    assert np.array_equal(steadier.update(one, textured(1)), one)
    assert steadier.update(np.ones((1, 24, 40), np.float32), textured(1)).shape == (1, 24, 40)


def test_what_moves_is_carried_along_and_not_dragged_behind() -> None:
    base = textured(7, 96, 320)
    truths = [disc(96, 160, 90 - 3 * i, 48, 14) for i in range(15)]
    steadier = ProbabilityStabiliser()
    for index, truth in enumerate(truths):
        luma = np.ascontiguousarray(base[:, 3 * index : 3 * index + 160])
        steadied = steadier.update((truth[None] / 255).astype(np.float32), luma)
    assert jaccard(np.where(steadied[0] >= 0.5, 255, 0), truths[-1]) > 0.93


def test_noise_flickers_less_and_overlaps_more_when_steadied() -> None:
    rng, luma, truth = np.random.default_rng(0), textured(0), disc(96, 160, 80, 48, 25)
    frames = [
        ClipFrame(luma, truth, np.clip(truth / 255 * 0.6 + 0.2 + rng.normal(0, 0.25, (1, 96, 160)), 0, 1).astype("f4"))
        for _ in range(20)
    ]
    report = measure_stabilisation(frames)
    assert report.frames == 20 and report.truth_flicker == 0
    assert report.steadied_flicker < 0.7 * report.flicker
    assert report.steadied_dice > report.dice
    with pytest.raises(ValueError, match="two frames"):
        measure_stabilisation(frames[:1])


def test_a_moved_still_moves_its_mask_alike() -> None:
    mask = disc(120, 160, 80, 60, 20)
    image = np.repeat(mask[..., None], 3, axis=2) // 2 + 60
    frames = list(moved_still(image, mask, 12, seed=1))
    centres = []
    for frame, truth in frames:
        seen = np.where(cv2.GaussianBlur(frame[..., 0], (5, 5), 0) > 120, np.uint8(255), np.uint8(0))
        assert jaccard(seen, truth) > 0.9
        centres.append(np.argwhere(truth).mean(axis=0))
    assert np.ptp(centres, axis=0).max() > 3
    again = list(moved_still(image, mask, 12, seed=1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(frames, again, strict=True))
