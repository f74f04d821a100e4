"""Pictures that spoil a calibration: without content, or kept for the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.dataset import find_layout
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame
from edgeseg.images import hash_pixels, read_rgb

NEARLY_CONSTANT = 2
"""A picture in which no channel spans more grey values than this shows nothing."""
_SHOWN = 3


def is_constant(frame: Frame) -> bool:
    """Say whether a picture, uint8 [H,W,3], is black or of one colour throughout."""
    pixels = frame.reshape(-1, frame.shape[-1])
    return bool((pixels.max(axis=0).astype(int) - pixels.min(axis=0) <= NEARLY_CONSTANT).all())


def constant_warning(names: Sequence[str], count: int) -> str | None:
    """Warn of constant pictures; None where there are none.

    Args:
        names: The constant ones.
        count: All pictures of the calibration.
    """
    if not names:
        return None
    return (
        f"warning: {len(names)} of {count} calibration pictures are black or of one colour ({_some(names)}): "
        "they tell nothing about the ranges of real pictures"
    )


def held_out_warning(images: Sequence[Path], data: Path) -> str | None:
    """Warn of calibration pictures that lie in a data set's test split, by what they show; None where none does.

    Args:
        images: The pictures of the calibration.
        data: The data set that they come from; one without a test split is never warned of.
    """
    try:
        test = find_layout(data).parts.get("test")
    except BadInputError:
        return None
    if test is None:
        return None
    kept = {_pixels(entry.path) for entry in test.images}
    shared = [path.name for path in images if (pixels := _pixels(path)) is not None and pixels in kept]
    if not shared:
        return None
    return (
        f"warning: {len(shared)} of {len(images)} calibration pictures are in the test split ({_some(shared)}): "
        "what is measured there will look better than it is; calibrate on the train split"
    )


def _pixels(path: Path) -> str | None:
    try:
        return hash_pixels(read_rgb(path))
    except BadInputError:  # it is refused where it is read for work
        return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
