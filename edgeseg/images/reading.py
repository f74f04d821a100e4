"""Files to RGB frames and to masks: what every reader calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, Mask
from edgeseg.images.decoding import StoredPicture, decode, decode_all, picture_count
from edgeseg.images.deep_colour import eight_bits
from edgeseg.images.mask_coding import MaskEvidence, coding_of, refuse_problems
from edgeseg.images.mask_values import MaskValues, mask_values

__all__ = ["picture_count", "pictures_in", "read_mask", "read_mask_values", "read_oriented_rgb", "read_rgb"]

_DARK_16_BIT = 16383
"""A 16-bit picture that never exceeds this holds 12 or 14 bits, and would come out nearly black."""


def read_rgb(path: Path) -> Frame:
    """Read an image as uint8 [H,W,3] RGB.

    16 bits become 8 (65535 becomes 255); a palette's colours are looked up; what is transparent shows black; EXIF
    orientation is applied.

    Args:
        path: An image file with one picture.

    Raises:
        BadInputError: Missing, not an image, cut off or damaged, several pictures, or pixels without one meaning.
    """
    return _rgb(decode(path))


def read_oriented_rgb(path: Path) -> tuple[Frame, int]:
    """Read an image as `read_rgb` does, upright, and say which EXIF orientation was undone, 1 to 8.

    Raises:
        BadInputError: As for `read_rgb`.
    """
    stored = decode(path)
    return _rgb(stored), stored.orientation


def pictures_in(path: Path) -> Iterator[Frame]:
    """Read every picture of a file as uint8 [H,W,3] RGB, in order.

    Raises:
        BadInputError: As for `read_rgb`, but several pictures are welcome.
    """
    return (_rgb(stored) for stored in decode_all(path))


def read_mask(path: Path) -> Mask:
    """Read a two-valued mask as uint8 [H,W], 0 or 255, judging by itself alone what its values mean.

    Raises:
        BadInputError: Not readable as an image, not two-valued, labels of several classes, or values to be ignored.
    """
    values = read_mask_values(path)
    coding, problems = coding_of([MaskEvidence.of(values)])
    refuse_problems(path, problems)
    mask, ignored = coding.apply(values)
    if coding.rule == "labels" or ignored is not None:
        shown = (*coding.labels, coding.ignore) if ignored is not None else coding.labels
        raise BadInputError(f"the mask {path} has more than two values", found=shown, expected="two")
    return mask


def read_mask_values(path: Path) -> MaskValues:
    """Read a mask's values: grey levels or labels, before anybody says what they mean.

    Raises:
        BadInputError: Missing, not an image, cut off or damaged, or colours without one meaning as a mask.
    """
    stored = decode(path)
    if stored.is_lossy and stored.kind == "colour" and _is_greyish(stored.pixels):
        stored = decode(path, grey_jpeg=True)
        if stored.kind == "colour":
            stored = _as_grey(stored)
    return mask_values(stored)


def _rgb(stored: StoredPicture) -> Frame:
    pixels = stored.pixels
    if stored.kind == "palette":
        assert stored.palette is not None
        if int(pixels.max(initial=0)) >= len(stored.palette):
            raise _no_picture(stored, "indices that its palette lacks")
        pixels = stored.palette[pixels]
    elif stored.full_scale == 1:
        pixels = pixels * np.uint8(255)
    elif pixels.dtype != np.uint8:
        pixels = _scaled(stored)
    rgb = np.repeat(pixels[..., np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels
    if stored.alpha is not None:
        shown = rgb.astype(np.uint16) * stored.alpha[..., np.newaxis].astype(np.uint16)
        rgb = ((shown + 127) // 255).astype(np.uint8)
    # An own, writable copy: Pillow's buffers are read-only.
    return np.array(rgb, np.uint8, order="C")


def _scaled(stored: StoredPicture) -> NDArray[np.uint8]:
    values = stored.pixels
    highest = int(values.max(initial=0)) if values.dtype.kind != "f" else 0
    if stored.full_scale != 65535 or int(values.min(initial=0)) < 0:
        raise _no_picture(stored, f"{values.dtype} values, whose white is unknown")
    if 0 < highest <= _DARK_16_BIT:
        raise _no_picture(stored, f"16-bit values up to {highest} only: is white {_white_near(highest)}?")
    return eight_bits(values)


def _white_near(highest: int) -> int:
    return next(white for white in (255, 1023, 4095, _DARK_16_BIT) if highest <= white)


def _no_picture(stored: StoredPicture, found: str) -> BadInputError:
    return BadInputError(
        f"the brightness of {stored.path} is not clear",
        found=found,
        expected="8 bits, or 16 bits with white as 65535",
        next_command="save it with 8 bits",
    )


def _is_greyish(rgb: NDArray[np.uint8]) -> bool:
    spread = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    return bool(np.count_nonzero(spread > 32) <= 0.01 * spread.size)


def _as_grey(stored: StoredPicture) -> StoredPicture:
    from dataclasses import replace

    import cv2

    grey = np.asarray(cv2.cvtColor(stored.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return replace(stored, pixels=grey, kind="grey")
