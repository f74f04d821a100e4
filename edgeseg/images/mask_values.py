"""A mask file to its values, before anybody says what they mean: grey levels, labels, or one colour on black."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.frames import Mask
from edgeseg.images.class_colours import colour_counts, colours_in_words
from edgeseg.images.decoding import StoredPicture
from edgeseg.images.deep_colour import eight_bits

MASK_THRESHOLD = 127
"""JPEG masks hold grey borders; above this a pixel is foreground (the rule of Kvasir-SEG's JPEG masks)."""
MAX_EXACT = 32
"""A mask with more different values than this is a smeared or soft one, not one of labels."""
_LEVEL_WIDTH = 9
"""Grey values that count as one level: JPEG smears a level by a few."""
_LEVEL_SHARE = 0.01
"""Share of a mask that makes a level a clear one; the smeared borders of Kvasir-SEG's JPEG masks reach 0.0016."""
_FLAT_SHARE = 0.1
"""Share of a picture with one level all about, below which it is no mask but a gradient."""
_EMPTY_NOISE = 32
"""The largest value that JPEG may leave in an empty mask."""
_NEAR_COLOUR = 80
"""How far a smeared colour may lie from its mask's one colour, in grey values of the worst channel."""
_SAME_COLOUR = 8
"""The same without JPEG: what rounding leaves."""
_NEAR_SHARE = 0.98


@dataclass(frozen=True, eq=False)
class MaskValues:
    """The values of one mask file."""

    values: NDArray[Any]
    """[H,W], uint8, uint16 or int32: grey values, or labels."""
    is_palette: bool
    """True if the values are indices of a palette with colours, as label images have them."""
    is_lossy: bool
    orientation: int = 1
    """EXIF orientation that was undone."""

    def grey(self) -> Mask:
        """The values as uint8 grey: 16 bits are scaled where they need it."""
        if self.values.dtype == np.uint8:
            return self.values
        if int(self.values.max(initial=0)) <= 255:
            return self.values.astype(np.uint8)
        return eight_bits(np.clip(self.values, 0, 65535))

    def distinct(self) -> dict[int, int] | None:
        """Value -> pixels; None where there are more values than labels or two levels would have."""
        if self.is_lossy and int(self.grey().max(initial=0)) > 0:
            return None
        if self.values.dtype == np.uint8:
            counts = np.bincount(self.values.ravel(), minlength=256)
            present = np.flatnonzero(counts)
            return None if present.size > MAX_EXACT else {int(value): int(counts[value]) for value in present}
        values, occurrences = np.unique(self.values, return_counts=True)
        return None if values.size > MAX_EXACT else {int(v): int(n) for v, n in zip(values, occurrences, strict=True)}


def mask_values(stored: StoredPicture) -> MaskValues:
    """The values of a mask as its file means them.

    Args:
        stored: As `edgeseg.images.decoding.decode` gives it.

    Raises:
        BadInputError: Colours, transparency or numbers that have no one meaning as a mask.
    """
    if stored.kind == "palette":
        values, is_palette = _of_palette(stored)
    else:
        values = _of_colours(stored, stored.pixels) if stored.kind == "colour" else _of_numbers(stored)
        is_palette = False
    if stored.alpha is not None:
        values = _of_alpha(stored, values)
    return MaskValues(values, is_palette, stored.is_lossy, stored.orientation)


def mask_problem(grey: Mask) -> str | None:
    """Say what makes a grey picture unfit as a two-valued mask; None for a fit one.

    Args:
        grey: uint8 [H,W], before the threshold.
    """
    levels = _clear_levels(grey)
    if len(levels) > 2:
        return f"is no mask: {len(levels)} clear grey levels ({', '.join(map(str, levels[:6]))}), not two"
    if len(levels) == 2 and (levels[0] > MASK_THRESHOLD) == (levels[1] > MASK_THRESHOLD):
        return f"has its two levels ({levels[0]} and {levels[1]}) on one side of {MASK_THRESHOLD}: they read as one"
    largest = int(grey.max(initial=0))
    if 0 < largest <= MASK_THRESHOLD and np.unique(grey).size == 2:
        return f"holds only 0 and {largest}: it reads as empty, foreground must be 255"
    is_noise = largest <= _EMPTY_NOISE and np.count_nonzero(grey) < _LEVEL_SHARE * grey.size
    if 0 < largest <= MASK_THRESHOLD and not is_noise:
        return f"holds nothing brighter than {largest}: it reads as empty, foreground must be 255"
    return None


def _of_numbers(stored: StoredPicture) -> NDArray[Any]:
    """Grey values; white becomes 255 where a mask holds nothing but black and its depth's white."""
    values = stored.pixels
    if values.dtype.kind == "f":
        whole = np.rint(values)
        if not bool(np.isfinite(values).all()) or not bool((values == whole).all()):
            raise _no_mask(stored, "fractions in floating point", "whole numbers")
        values = whole.astype(np.int64)
    if values.dtype.itemsize > 2:
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 or high > 65535:
            raise _no_mask(stored, f"values from {low} to {high}", "values from 0 to 65535")
        values = values.astype(np.uint8 if high < 256 else np.uint16)
    if stored.full_scale not in (0, 255) and bool(((values == 0) | (values == stored.full_scale)).all()):
        return np.where(values > 0, np.uint8(255), np.uint8(0))
    return values


def _of_palette(stored: StoredPicture) -> tuple[NDArray[Any], bool]:
    """Grey levels where the palette has only greys, else its indices as labels, with black as the background."""
    indices, palette = stored.pixels, stored.palette
    assert palette is not None
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if used.max(initial=0) >= len(palette):
        raise _no_mask(stored, f"index {used.max()} of a palette of {len(palette)}", "indices that the palette has")
    colours = palette[used].astype(np.int64)
    if bool((colours == colours[:, :1]).all()):
        return palette[indices, 0], False
    black = [int(index) for index in used if not palette[index].any()]
    if len(used) == 2 and len(black) == 1 and 255 not in used and black != [0]:
        return np.where(indices == black[0], np.uint8(0), np.uint8(255)), False
    if black and black != [0]:
        raise _no_mask(stored, f"black as index {black[0]} of the palette", "black as index 0, the background")
    if 0 in used and palette[0].any():
        raise _no_mask(stored, "a palette whose index 0 is a colour", "black as index 0, the background")
    return indices, True


def _of_colours(stored: StoredPicture, rgb: NDArray[Any]) -> NDArray[Any]:
    """One plane of an RGB mask: its grey where it has no colours, else one colour on black."""
    if stored.full_scale == 65535:
        if bool(((rgb == 0) | (rgb == 65535)).all()):
            rgb = (rgb > 0).astype(np.uint8) * np.uint8(255)
        elif int(rgb.max(initial=0)) > 255:
            rgb = eight_bits(rgb)
        else:
            rgb = rgb.astype(np.uint8)
    if bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all()):
        return np.ascontiguousarray(rgb[..., 0])
    brightest = rgb.max(axis=2)
    marked = brightest > (MASK_THRESHOLD if stored.is_lossy else 0)
    colours = rgb[marked].astype(np.int64)
    if not stored.is_lossy and bool((colours == colours[:1]).all()):
        if bool(marked.all()):
            raise _no_mask(stored, "one colour everywhere", "a colour on black")
        return np.where(marked, np.uint8(255), np.uint8(0))
    if _has_one_hue(rgb, brightest, stored.is_lossy):
        return np.asarray(brightest, np.uint8)
    counts = colour_counts(np.asarray(rgb, np.uint8))
    raise BadInputError(
        f"{stored.path} has no one meaning as a mask",
        found=f"several colours: {colours_in_words(counts, brightest.size)}",
        expected="grey, labels or one colour on black",
        next_command="edgeseg data convert DIR --out NEW --classes FILE, a CSV of name,r,g,b",
    )


def _has_one_hue(rgb: NDArray[Any], brightest: NDArray[Any], is_lossy: bool) -> bool:
    """Say whether a mask shows one colour on black, its edges perhaps softened or smeared."""
    bright = brightest > MASK_THRESHOLD
    if not bright.any() or bright.all() or mask_problem(np.asarray(brightest, np.uint8)) is not None:
        return False
    if is_lossy:  # JPEG keeps colours at half the resolution: borders have others
        inner = np.asarray(cv2.erode(bright.astype(np.uint8), np.ones((7, 7), np.uint8))) > 0
        bright = inner if inner.any() else bright
    full = rgb[bright].astype(np.float32) * (255 / brightest[bright, np.newaxis].astype(np.float32))
    near = (np.abs(full - np.median(full, axis=0)) <= (_NEAR_COLOUR if is_lossy else _SAME_COLOUR)).all(axis=1)
    return float(near.mean()) >= (_NEAR_SHARE if is_lossy else 1.0)


def _of_alpha(stored: StoredPicture, values: NDArray[Any]) -> NDArray[Any]:
    """A mask with transparency: it may lie in the alpha channel alone, or in both alike."""
    alpha = stored.alpha
    assert alpha is not None
    if bool((values == values.flat[0]).all()):
        return alpha
    inside = values > 0
    if bool((inside == (alpha > 0)).all()):
        return values
    if bool((values[alpha > MASK_THRESHOLD] == values[alpha > MASK_THRESHOLD][:1]).all()) and bool(
        (values[alpha > MASK_THRESHOLD] > 0).all()
    ):
        return alpha  # only invisible pixels hold other values
    if bool((alpha[inside] == 255).all()):
        return values  # nothing that is marked is transparent
    raise _no_mask(stored, "a colour and a transparency that mark different pixels", "one of them alone")


def _no_mask(stored: StoredPicture, found: str, expected: str) -> BadInputError:
    return BadInputError(
        f"{stored.path} has no one meaning as a mask",
        found=found,
        expected=expected,
        next_command="save it as 8-bit grey: 0 is the background, 255 the polyp",
    )


def _clear_levels(grey: Mask) -> list[int]:
    """Grey values about which a clear share of the pixels lies, the strongest of each neighbourhood, ascending."""
    flat = _flat(grey)
    counts = np.bincount(
        grey[flat] if np.count_nonzero(flat) > _FLAT_SHARE * grey.size else grey.ravel(), minlength=256
    )
    least = max(_LEVEL_SHARE * grey.size, 1)
    levels: list[int] = []
    while True:
        window = np.convolve(counts, np.ones(_LEVEL_WIDTH, np.int64), "same")
        if window.max() < least:
            return sorted(levels)
        near = int(window.argmax())
        low, high = max(near - _LEVEL_WIDTH // 2, 0), near + _LEVEL_WIDTH // 2 + 1
        levels.append(low + int(counts[low:high].argmax()))
        counts[low:high] = 0


def _flat(grey: Mask) -> NDArray[np.bool_]:
    """Find where a mask has one level all about: soft edges of small objects make no level of their own."""
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.subtract(cv2.dilate(grey, kernel), cv2.erode(grey, kernel))) < _LEVEL_WIDTH
