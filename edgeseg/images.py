"""Still images in and out: RGB frames and masks, with truncated files refused instead of half grey."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes, write_bytes
from edgeseg.frames import Frame, Mask

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MASK_THRESHOLD = 127
"""JPEG masks hold grey borders; above this a pixel is foreground (the rule of Kvasir-SEG's JPEG masks)."""


def list_images(folder: Path) -> list[Path]:
    """The image files directly inside a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def read_rgb(path: Path) -> Frame:
    """Read an image as uint8 [H,W,3] RGB.

    Raises:
        BadInputError: Missing, not an image, or cut off.
    """
    bgr = _decode(path, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_mask(path: Path) -> Mask:
    """Read a two-valued mask as uint8 [H,W], 0 or 255.

    Raises:
        BadInputError: Missing, not an image, or cut off.
    """
    return np.where(read_grey(path) > MASK_THRESHOLD, np.uint8(255), np.uint8(0))


def read_grey(path: Path) -> Mask:
    """Read an image as it is in grey, uint8 [H,W]: a mask before its threshold.

    Raises:
        BadInputError: Missing, not an image, or cut off.
    """
    return _decode(path, cv2.IMREAD_GRAYSCALE)


def hash_pixels(frame: Frame) -> str:
    """SHA-256 of what a picture shows, whatever file format or metadata it came with."""
    return sha256_bytes(repr(frame.shape).encode() + np.ascontiguousarray(frame).tobytes())


def encode_png(image: Frame | Mask) -> bytes:
    """PNG bytes of an RGB frame or of a mask."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def encode_jpeg(image: Frame, quality: int = 88) -> bytes:
    """JPEG bytes of an RGB frame."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def write_png(path: Path, image: Frame | Mask) -> None:
    """Write an RGB frame or a mask as PNG, whole or not at all."""
    write_bytes(path, encode_png(image))


def _encode(suffix: str, image: Frame | Mask, parameters: list[int]) -> bytes:
    array = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded, data = cv2.imencode(suffix, array, parameters)
    if not encoded:
        raise ValueError(f"OpenCV cannot encode {image.shape} {image.dtype} as {suffix}")
    return bytes(data)


def _decode(path: Path, flag: int) -> Frame | Mask:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read the image {path}", found=error.strerror or error) from error
    if _is_cut_off(data):
        raise BadInputError(
            f"the image {path} is cut off",
            found=f"{len(data)} bytes without an end mark",
            next_command="copy the file again",
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if image is None:
        raise BadInputError(
            f"{path} is no image that OpenCV can read",
            found=f"{len(data)} bytes",
            expected="JPEG, PNG, BMP, TIFF or WebP",
        )
    return np.asarray(image, dtype=np.uint8)


def _is_cut_off(data: bytes) -> bool:
    """OpenCV fills the missing part of a cut JPEG or PNG with grey and says nothing; the end marks tell."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    return False
