"""Bytes to pixels as the file stores them, and everything about them that changes what they mean."""

from __future__ import annotations

import importlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.images.damage import damage_of
from edgeseg.images.deep_colour import Kind, Planes, deep_colour
from edgeseg.images.dicom_pixels import dicom_facts, dicom_frames, is_dicom_data, unreadable_dicom
from edgeseg.images.exif_orientation import ORIENTATION_TAG, upright
from edgeseg.plain_files import read_plain
from edgeseg.shell import quoted

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")
for _plugin in ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP"):
    importlib.import_module(f"PIL.{_plugin}ImagePlugin")
READABLE = "JPEG, PNG, BMP, TIFF, WebP, GIF or PNM"
MAX_PIXELS = 100_000_000
"""More pixels than this (an 8K picture has 33 million) are no camera's, and would take gigabytes."""
_MOST_BYTES = 2**30
"""More than the largest picture takes without compression, 16 bits a colour and transparency included."""
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # such pictures are refused
_REDUCED_TAG, _PHOTOMETRIC_TAG = 254, 262
_NO_IMAGES = (
    (re.compile(rb"\x00\x05\x16\x07"), "a companion file that macOS writes (AppleDouble)", "remove it"),
    (re.compile(rb"\Z"), "an empty file", "copy the file again, or remove it"),
    (re.compile(rb"....ftyp(?:hei|mif1|avi)", re.DOTALL), "a HEIC or AVIF picture", "save it as JPEG or PNG"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the file", "git lfs pull"),
    (re.compile(rb"\s*<(?:!DOCTYPE|html)", re.IGNORECASE), "a web page, not the file", "download the file again"),
)
"""The first bytes of files that carry an image's name, what they are, and what to do."""
_GREY_MODES = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """One picture as its file stores it, turned upright by its EXIF orientation."""

    path: Path
    pixels: NDArray[Any]
    """[H,W] grey values or palette indices, or [H,W,3] RGB; uint8, uint16, int32 or float32."""
    kind: Kind
    full_scale: int
    """The value of white: 1, 255 or 65535; 0 where the file does not say (32 bits, floating point)."""
    alpha: NDArray[np.uint8] | None
    """uint8 [H,W]: 255 is opaque; None without transparency."""
    palette: NDArray[np.uint8] | None
    """uint8 [N,3] RGB of a palette's indices."""
    orientation: int
    """EXIF orientation, 1 to 8, that was undone."""
    is_lossy: bool
    """True if the format smears values (JPEG)."""


def decode(path: Path, grey_jpeg: bool = False) -> StoredPicture:
    """Read the one picture of a file.

    Args:
        path: An image file.
        grey_jpeg: Give the brightness of a colour JPEG, as it is stored, instead of its colours.

    Raises:
        BadInputError: The file is missing, no image, cut off or damaged, too large, or holds several pictures.
    """
    data = _data(path)
    if is_dicom_data(data):
        return _of_dicom(path)
    with refused(path), _opened(path, data) as image:
        count = _picture_count(image)
        if count > 1:
            raise _several(path, f"{count} pictures in one {image.format} file")
        return _stored(path, data, image, grey_jpeg)


def picture_count(path: Path) -> int:
    """How many pictures a file holds; thumbnails and reduced copies do not count.

    Raises:
        BadInputError: The file is missing or no image.
    """
    with refused(path), _opened(path, _data(path)) as image:
        return _picture_count(image)


def decode_all(path: Path) -> Iterator[StoredPicture]:
    """Read every picture of a file in order.

    Raises:
        BadInputError: As for `decode`.
    """
    data = _data(path)
    with _opened(path, data) as image:
        with refused(path):
            count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        for index in range(count):
            with refused(path):
                image.seek(index)
                stored = None if _is_reduced(image) else _stored(path, data, image, False, first=index == 0)
            if stored is not None:
                yield stored


def _of_dicom(path: Path) -> StoredPicture:
    facts = dicom_facts(path)
    if facts.frames > 1 or facts.is_video:
        raise _several(path, f"DICOM, {facts}")
    pixels = next(dicom_frames(path), None)
    if pixels is None:
        raise unreadable_dicom(path, "no frames")
    return StoredPicture(path, pixels, "colour", 255, None, None, 1, facts.is_lossy)


def _several(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"{path} holds several pictures",
        found=found,
        expected="one picture a file",
        next_command=f"`edgeseg run ENGINE {quoted(path)}` takes them one by one; elsewhere save each alone",
    )


class refused:  # noqa: N801  reads as a statement: with refused(path)
    """Turn whatever a decoder raises about a file into a BadInputError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing is opened."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, EdgesegError) or not isinstance(error, Exception):
            return
        raise _damaged(self._path, str(error).strip() or type(error).__name__) from error


def _damaged(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"the image {path} is cut off or damaged",
        found=found,
        expected="a whole file",
        next_command="copy the file again, or remove it",
    )


def _data(path: Path) -> bytes:
    try:
        return read_plain(path, _MOST_BYTES)
    except OSError as error:
        raise BadInputError(f"cannot read the image {path}", found=error.strerror or error) from error


def _opened(path: Path, data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except Exception as error:  # a decoder may raise anything about a stranger's bytes
        raise _no_image(path, data) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height}")
    return image


def _no_image(path: Path, data: bytes) -> BadInputError:
    known = [(words, command) for start, words, command in _NO_IMAGES if start.match(data)]
    found, command = known[0] if known else (f"{len(data)} bytes", "copy the file again, or remove it")
    return BadInputError(
        f"{path} is no image that edgeseg can read", found=found, expected=READABLE, next_command=command
    )


def _too_large(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"the image {path} is too large",
        found=found,
        expected=f"at most {MAX_PIXELS / 1e6:.0f} million pixels",
        next_command="cut it up, or save it smaller",
    )


def _picture_count(image: Image.Image) -> int:
    count = int(getattr(image, "n_frames", 1))
    if image.format == "MPO" or count == 1:  # the further pictures of an MPO are previews of the first
        return 1
    if image.format != "TIFF":
        return count
    whole = 0
    for index in range(count):
        image.seek(index)
        whole += not _is_reduced(image)
    image.seek(0)
    return max(whole, 1)


def _is_reduced(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", None)
    return tags is not None and bool(int(tags.get(_REDUCED_TAG, 0)) & 1)


def _stored(path: Path, data: bytes, image: Image.Image, grey_jpeg: bool, first: bool = True) -> StoredPicture:
    damage = damage_of(data, image, first)
    if damage is not None:
        raise _damaged(path, damage)
    orientation = int(image.getexif().get(ORIENTATION_TAG, 1) or 1)
    orientation = orientation if 1 <= orientation <= 8 else 1
    turns_itself = image.format == "TIFF"  # Pillow turns a TIFF when it loads it
    deep = deep_colour(path, data, image)
    is_lossy = image.format in ("JPEG", "MPO") or (image.format == "WEBP" and b"VP8 " in data[:64])
    if grey_jpeg and image.format in ("JPEG", "MPO"):
        image.draft("L", image.size)
    image.load()
    pixels, alpha, palette, kind, full_scale = deep or _planes(path, image)
    if deep or not turns_itself:
        pixels = upright(pixels, orientation)
        alpha = None if alpha is None else upright(alpha, orientation)
    return StoredPicture(path, pixels, kind, full_scale, alpha, palette, orientation, is_lossy)


def _planes(path: Path, image: Image.Image) -> Planes:
    """Pixels, alpha, palette, kind and full scale of a loaded picture."""
    mode = image.mode
    if mode in ("P", "PA"):
        alpha = _alpha(image)
        colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        indices = np.asarray(image if mode == "P" else image.getchannel(0), np.uint8)
        return indices, alpha, colours, "palette", 255
    if mode in _GREY_MODES:
        _refuse_white_is_zero(path, image)
        alpha = _alpha(image) if mode in ("L", "LA") else None
        if alpha is None:
            _refuse_colour_key(path, image)
        values = np.asarray(image.getchannel(0) if mode == "LA" else image)
        if mode == "1":
            return values.astype(np.uint8), alpha, None, "grey", 1
        depth = 255 if values.dtype == np.uint8 else 65535 if values.dtype.itemsize == 2 else 0
        if depth == 0 and image.format in ("PNG", "PPM"):
            depth = 65535
        return np.asarray(values, values.dtype.newbyteorder("=")), alpha, None, "grey", depth
    if mode in _COLOUR_MODES:
        return np.asarray(image.convert("RGB"), np.uint8), _alpha(image), None, "colour", 255
    raise BadInputError(
        f"{path} stores its colours in a way that edgeseg does not read",
        found=f"mode {mode} of a {image.format} file",
        expected="grey, palette, RGB, RGBA, CMYK or YCbCr",
        next_command="save it as 8-bit RGB",
    )


def _alpha(image: Image.Image) -> NDArray[np.uint8] | None:
    if "A" not in image.mode and "transparency" not in image.info:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.uint8)
    return None if bool((alpha == 255).all()) else alpha


def _refuse_colour_key(path: Path, image: Image.Image) -> None:
    """Refuse a transparent grey value at depths at which no reader agrees on it."""
    if "transparency" in image.info and image.mode not in ("L", "LA"):
        raise BadInputError(
            f"{path} declares one of its values transparent", found=f"mode {image.mode}", expected="no transparency"
        )


def _refuse_white_is_zero(path: Path, image: Image.Image) -> None:
    tags = getattr(image, "tag_v2", None)
    if tags is not None and tags.get(_PHOTOMETRIC_TAG) == 0 and image.mode not in ("1", "L"):
        raise BadInputError(
            f"{path} stores white as 0 with more than 8 bits", found=f"mode {image.mode}", expected="black as 0"
        )
