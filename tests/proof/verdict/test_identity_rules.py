"""Masks aside, another threshold, and the likely cause, on probabilities that numpy makes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeseg.artifacts import Verdict
from edgeseg.proof.verdict.diagnosis import hypotheses
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.systematic import SystematicMeter, displacement_px, logit_offset, threshold_of
from edgeseg.proof.verdict.verification import verify
from edgeseg.specs import IMAGENET_MEAN, IMAGENET_STD
from tests.proof.verdict.answers import SIZE_PX, network
from tests.proof.verdict.test_nothing_fools_a_verdict import blobs, frames_of, write


def disc(x: float, y: float, radius: float = 14, slope: float = 1.5) -> np.ndarray:
    """A soft disc, float32 [60,80]: 0.5 on its rim."""
    rows, columns = np.mgrid[:60, :80]
    return (1 / (1 + np.exp((np.hypot(columns - x, rows - y) - radius) / slope))).astype(np.float32)


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.0, -0.5), (0.5, 0.5), (-0.25, 0.1), (0.0, 0.0)])
def test_a_displacement_is_measured(shift: tuple[float, float]) -> None:
    moved = displacement_px(disc(40, 30), disc(40 + shift[0], 30 + shift[1]))
    assert moved == pytest.approx(shift, abs=0.06)


@pytest.mark.parametrize("radius", [13.5, 14.5])
def test_a_polyp_that_grows_or_shrinks_is_not_aside(radius: float) -> None:
    assert displacement_px(disc(40, 30), disc(40, 30, radius)) == (0, 0)


def test_one_edge_alone_tells_nothing() -> None:
    half, less = np.full((40, 40), 0.1, np.float32), np.full((40, 40), 0.1, np.float32)
    half[:20], less[:18] = 0.9, 0.9
    assert displacement_px(half, less) == (0, 0)
    assert displacement_px(np.zeros((40, 40), np.float32), half) is None


@pytest.mark.parametrize("threshold", [0.4, 0.6])
def test_another_threshold_is_an_offset_and_less_sure_is_none(threshold: float) -> None:
    sure = disc(40, 30)
    logits = np.log(sure.astype(np.float64) / (1 - sure))
    moved = 1 / (1 + np.exp(-(logits - np.log(threshold / (1 - threshold)))))
    offset = logit_offset(sure, moved.astype(np.float32))
    assert offset is not None and threshold_of(offset) == pytest.approx(threshold, abs=0.001)
    less_sure = (1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    assert logit_offset(sure, less_sure) == 0


def test_few_images_and_other_sizes_are_sure_of_nothing() -> None:
    meter = SystematicMeter()
    meter.add(disc(40, 30), disc(40, 30)[::2, ::2])
    assert meter.difference() is None
    for _ in range(5):
        meter.add(disc(40, 30), disc(40.5, 30))
    found = meter.difference()
    assert found is not None and found.image_count == 5 and not found.right_sure
    meter.add(disc(40, 30), disc(40.5, 30))
    found = meter.difference()
    assert found is not None and found.right_sure and not found.down_sure


def soft(frame: np.ndarray) -> np.ndarray:
    """Bright pixels are polyp, with a rim that is smooth."""
    level = cv2.GaussianBlur(frame[..., 1].astype(np.float32), (0, 0), 1.5)
    return 1 / (1 + np.exp((125 - level) / 15))


def reddish(frame: np.ndarray) -> np.ndarray:
    """As `soft`, from the first channel alone."""
    return soft(np.repeat(frame[..., :1], 3, 2))


def judged(folder, engine, reference=soft, red: bool = False) -> Verdict:
    masks = blobs(1)
    frames = frames_of(masks)
    if red:
        frames = [np.stack([frame[..., 0], frame[..., 1], 90 - frame[..., 2] // 3], -1) for frame in frames]
    pairs = write(folder / "data", frames, masks)
    return verify(network(engine), network(reference, "b"), pairs, limits_for("int8", None, None))


def test_a_verdict_names_the_displacement_and_the_threshold(tmp_path) -> None:
    aside = judged(tmp_path / "a", lambda frame: np.roll(soft(frame), 1, axis=1))
    assert aside.passed is False
    assert any("px to the right of the reference's" in reason for reason in aside.reasons), aside.reasons
    moved = judged(tmp_path / "b", lambda frame: 1 / (1 + (1 / soft(frame) - 1) * np.exp(-0.405)))
    assert moved.passed is False
    assert any("as if its threshold were 0.40 in the place of 0.5" in reason for reason in moved.reasons), moved.reasons


def test_a_verdict_names_swapped_colours_and_what_nothing_explains(tmp_path) -> None:
    swapped = judged(tmp_path / "a", lambda frame: reddish(frame[..., ::-1]), reddish, red=True)
    assert swapped.passed is False
    assert any("likely cause: its colours are in the order BGR" in reason for reason in swapped.reasons)
    spoilt = judged(tmp_path / "b", lambda frame: np.random.default_rng(int(frame.sum())).random((SIZE_PX, SIZE_PX)))
    assert any("likely cause: inside the engine" in reason for reason in spoilt.reasons)
    sound = judged(tmp_path / "c", soft)
    assert sound.passed is True and not any("likely cause" in reason for reason in sound.reasons)


def test_a_normalisation_is_undone_in_the_frame() -> None:
    """The graph's own mean and standard deviation make of the changed frame what others make of the frame."""
    frame = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    changes = hypotheses(network(soft).info)
    changed = changes["its frames are normalised otherwise: values from 0 to 1, without mean and standard deviation"](
        frame
    )
    normalised = (changed / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    assert normalised == pytest.approx(frame / 255, abs=0.01)
    assert not any("of ImageNet" in words for words in changes), "that is its own"
