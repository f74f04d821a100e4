"""Small copies of all masks of a comparison, for what no single image shows: masks that never change, or fit any image.

A copy is 64x64 pixels of one bit each, so that 10 000 images take 15 MB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask

SIZE_PX = 64
MOST_SHIFTS = 32
"""How many other images each mask is held against."""

Bits = NDArray[np.uint8]
"""uint8 [512], the 64x64 pixels of a mask, packed."""
Constant = Literal["nothing", "the whole picture", "the same"]


_TURNS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "mirrored": lambda truth: truth[:, :, ::-1],
    "upside down": lambda truth: truth[:, ::-1],
    "turned by 180 degrees": lambda truth: truth[:, ::-1, ::-1],
    "transposed": lambda truth: truth.swapaxes(1, 2),
    "turned by 90 degrees": lambda truth: np.rot90(truth, 1, (1, 2)),
    "turned by 270 degrees": lambda truth: np.rot90(truth, 3, (1, 2)),
    "transposed the other way": lambda truth: np.rot90(truth, 2, (1, 2)).swapaxes(1, 2),
}


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """One image's masks, small."""

    truth: Bits
    reference: Bits
    engine: Bits | None
    """None where the engine's probabilities are not finite."""


@dataclass(frozen=True)
class Shuffled:
    """The mean Dice of masks against the ground truth of other images, over the images that show a polyp."""

    reference_dice: float
    """The reference's masks."""
    truth_dice: float
    """The ground truth itself; 1 where all images have the same, which tells nothing."""
    own_dice: float
    """The reference's masks against their own ground truth, on the same small copies."""

    @property
    def skill(self) -> float | None:
        """How far the reference gets from chance (0) to ground truth (1); None where all images look alike."""
        room = 1 - self.truth_dice
        return (self.own_dice - self.reference_dice) / room if room > 0.1 else None


def thumbnail(mask: Mask) -> Bits:
    """Pick 64x64 pixels of a mask, evenly spread, and pack them.

    Args:
        mask: uint8 [H,W]; anything above 0 is foreground.
    """
    rows, columns = ((np.arange(SIZE_PX) + 0.5) * length / SIZE_PX for length in mask.shape)
    return np.packbits(mask[np.ix_(rows.astype(np.intp), columns.astype(np.intp))] > 0)


def shuffled(images: Sequence[Thumbnails]) -> Shuffled | None:
    """Hold the reference's masks against the ground truth of other images; None for fewer than two with a polyp."""
    shown = [image for image in images if image.truth.any()]
    if len(shown) < 2:
        return None
    truth = np.stack([image.truth for image in shown])
    reference = np.stack([image.reference for image in shown])
    count = min(MOST_SHIFTS, len(shown) - 1)
    others = [np.roll(truth, 1 + index * (len(shown) - 1) // count, axis=0) for index in range(count)]
    return Shuffled(
        reference_dice=float(np.mean([dice_of_thumbnails(reference, other) for other in others])),
        truth_dice=float(np.mean([dice_of_thumbnails(truth, other) for other in others])),
        own_dice=float(np.mean(dice_of_thumbnails(reference, truth))),
    )


@dataclass(frozen=True)
class Turned:
    """The turn of the ground truth that the reference's masks fit best, where it is not the one that they have."""

    how: str
    dice: float
    """The mean Dice of the reference's masks against ground truth turned that way."""
    own_dice: float
    """The same as it lies."""


def better_turned(images: Sequence[Thumbnails]) -> Turned | None:
    """Find whether the reference's masks fit the ground truth better when that is mirrored or turned.

    Returns:
        The best turn where it beats the ground truth as it lies; None where nothing does, as in a set that is right.
    """
    shown = [image for image in images if image.truth.any()]
    if not shown:
        return None
    reference = np.stack([image.reference for image in shown])
    truth = np.unpackbits(np.stack([image.truth for image in shown]), axis=1).reshape(-1, SIZE_PX, SIZE_PX)
    dice = {
        how: float(np.mean(dice_of_thumbnails(reference, np.packbits(turn(truth).reshape(len(shown), -1), axis=1))))
        for how, turn in _TURNS.items()
    }
    own = float(np.mean(dice_of_thumbnails(reference, np.stack([image.truth for image in shown]))))
    how = max(dice, key=dice.__getitem__)
    return Turned(how, dice[how], own) if dice[how] > own else None


def constant(masks: Sequence[Bits], truths: Sequence[Bits]) -> Constant | None:
    """Name what a network's masks are on every image alike, where ground truth is not on most of them.

    Args:
        masks: The network's, one an image.
        truths: Ground truth of the same images.
    """
    if not masks:
        return None
    first = masks[0]
    if any(not np.array_equal(first, mask) for mask in masks):
        return None
    if not first.any():
        return "nothing" if any(truth.any() for truth in truths) else None
    if (first == 255).all():
        return "the whole picture"
    commonest = max(Counter(truth.tobytes() for truth in truths).values())
    return "the same" if commonest <= len(truths) / 2 else None


def dice_of_thumbnails(one: Bits, other: Bits) -> NDArray[np.float64]:
    """Dice of each row of packed masks, float64 [n]; empty against empty is 1.

    Args:
        one: uint8 [n,512].
        other: Likewise.
    """
    both, total = (_count(bits) for bits in (one & other, np.concatenate([one, other], axis=1)))
    return np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))


def _count(bits: Bits) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = np.unpackbits(bits, axis=1).sum(axis=1, dtype=np.float64)
    return counts
