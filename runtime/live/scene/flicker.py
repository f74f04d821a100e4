"""How much masks flicker, and what steadying them costs or gains in overlap with the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.frames import THRESHOLD, Frame, Mask, Probability
from edgeseg.metrics import dice_per_image, iou_per_image
from edgeseg.runtime.live.scene.motion import Motion, estimate_motion, moved
from edgeseg.runtime.live.scene.stabilise import ProbabilityStabiliser, StabiliserSettings
from edgeseg.values import Part


def mask_flicker(before: Mask, after: Mask, motion: Motion) -> float:
    """1 - IoU of a mask with its predecessor, moved as the picture moved: 0 is steady, 1 is all new.

    The temporal consistency of Varghese et al., Unsupervised temporal consistency metric for video segmentation in
    highly-automated driving, CVPR Workshops 2020, with one translation for their dense optical flow. Empty after empty
    is 0.
    """
    return 1 - iou_per_image(moved(before, motion), after)


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of a clip with its truth and what the network said, all at the network's size."""

    luma: Mask
    """uint8 [h,w]."""
    truth: Mask
    """uint8 [h,w], 0 or 255."""
    probability: Probability
    """float32 [1,h,w]."""


class StabilisationReport(Part):
    """Flicker and Dice without and with stabilisation, means over frames."""

    frames: int
    truth_flicker: float
    """Flicker of the true masks: what the measure itself and real change of shape give."""
    flicker: float
    steadied_flicker: float
    dice: float
    steadied_dice: float


def measure_stabilisation(
    frames: Iterable[ClipFrame], settings: StabiliserSettings | None = None
) -> StabilisationReport:
    """Run the stabiliser over a clip and measure both sides on the same frames.

    Raises:
        ValueError: Fewer than two frames.
    """
    stabiliser = ProbabilityStabiliser(settings or StabiliserSettings())
    before: tuple[Mask, Mask, Mask, Mask] | None = None
    rows: list[tuple[float, ...]] = []
    dices: list[tuple[float, float]] = []
    for frame in frames:
        raw, steadied = (
            _decided(plane) for plane in (frame.probability, stabiliser.update(frame.probability, frame.luma))
        )
        dices.append((dice_per_image(raw, frame.truth), dice_per_image(steadied, frame.truth)))
        if before is not None:
            motion = estimate_motion(before[0], frame.luma)
            pairs = zip(before[1:], (frame.truth, raw, steadied), strict=True)
            rows.append(tuple(mask_flicker(old, new, motion) for old, new in pairs))
        before = (frame.luma, frame.truth, raw, steadied)
    if not rows:
        raise ValueError("flicker needs at least two frames")
    truth_flicker, flicker, steadied_flicker = (float(value) for value in np.mean(rows, axis=0))
    dice, steadied_dice = (float(value) for value in np.mean(dices, axis=0))
    return StabilisationReport(
        frames=len(dices),
        truth_flicker=truth_flicker,
        flicker=flicker,
        steadied_flicker=steadied_flicker,
        dice=dice,
        steadied_dice=steadied_dice,
    )


NOISE_LEVEL = 4.0
"""Standard deviation of the sensor noise of moved stills, in grey levels."""
REACH = 0.06
"""How far a moved still drifts from its middle, as a share of its width."""


def moved_still(image: Frame, mask: Mask, frames: int, seed: int) -> Iterator[tuple[Frame, Mask]]:
    """A still as a clip: the window drifts over it, breathing brightness and sensor noise are added.

    Args:
        image: uint8 [H,W,3] RGB.
        mask: uint8 [H,W] of 0 and 255.
        frames: How many.
        seed: Same seed, same clip.

    Yields:
        Frame and mask of the same size as the still.
    """
    rng = np.random.default_rng(seed)
    height, width = mask.shape
    rates, phases = rng.uniform(0.02, 0.08, 3), rng.uniform(0, 2 * np.pi, 3)
    for index in range(frames):
        x, y, light = np.sin(2 * np.pi * rates * index + phases)
        shift = np.array([[1, 0, REACH * width * x], [0, 1, REACH * width * y]], np.float32)
        window = cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        truth = cv2.warpAffine(mask, shift, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        noisy = window * (1 + 0.08 * light) + rng.normal(0, NOISE_LEVEL, window.shape)
        yield np.clip(np.round(noisy), 0, 255).astype(np.uint8), np.asarray(truth, dtype=np.uint8)


def _decided(probability: Probability) -> Mask:
    return np.where(probability[0] >= THRESHOLD, np.uint8(255), np.uint8(0))
