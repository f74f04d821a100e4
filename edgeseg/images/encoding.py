"""Pictures and masks to bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes, write_bytes
from edgeseg.frames import Frame, Mask

MAX_JPEG_SIDE = 65500
"""The longest side that JPEG encoders take, in pixels."""


def hash_pixels(frame: Frame) -> str:
    """SHA-256 of what a picture shows, whatever file format or metadata it came with."""
    return sha256_bytes(repr(frame.shape).encode() + np.ascontiguousarray(frame).tobytes())


def encode_png(image: Frame | Mask) -> bytes:
    """PNG bytes of an RGB frame or of a mask."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def encode_jpeg(image: Frame, quality: int = 88) -> bytes:
    """JPEG bytes of an RGB frame.

    Raises:
        BadInputError: The picture is larger than JPEG allows.
    """
    refuse_too_large_for_jpeg(image)
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def refuse_too_large_for_jpeg(image: Frame) -> None:
    """Refuse a picture with a side that JPEG cannot hold.

    Raises:
        BadInputError: It has one.
    """
    height, width = image.shape[:2]
    if max(height, width) > MAX_JPEG_SIDE:
        raise BadInputError(
            "a picture is too large to be written as JPEG",
            found=f"{width}x{height}",
            expected=f"at most {MAX_JPEG_SIDE} pixels a side",
            next_command="ask for --masks alone, or cut the picture up",
        )


def write_png(path: Path, image: Frame | Mask) -> None:
    """Write an RGB frame or a mask as PNG, whole or not at all."""
    write_bytes(path, encode_png(image))


def _encode(suffix: str, image: Frame | Mask, parameters: list[int]) -> bytes:
    array = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded, data = cv2.imencode(suffix, array, parameters)
    if not encoded:
        raise ValueError(f"OpenCV cannot encode {image.shape} {image.dtype} as {suffix}")
    return bytes(data)
