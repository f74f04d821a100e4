"""The outputs for pictures and masks: folders here, a clip in `clip.py`; each appears whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2

from edgeseg.files import UnwritableError, atomic_folder
from edgeseg.frames import Frame, Mask, Probability
from edgeseg.images import refuse_too_large_for_jpeg
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

JPEG_QUALITY = 92
MASK_PARAMETERS = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""The PNG options of masks: at 1080p run lengths take a quarter of zlib's time and half of its bytes."""


class PictureSink(Protocol):
    """Takes pictures, as they came or with the overlay."""

    def write(self, frame: SourceFrame, picture: Picture) -> None:
        """Keep one picture; frames come in order."""
        ...


class MaskSink(Protocol):
    """Takes masks as they are, without gates or smoothing."""

    def write(self, frame: SourceFrame, mask: Mask) -> None:
        """Keep one mask, uint8 [H,W] at the frame's size; frames come in order."""
        ...


class ResultSink(Protocol):
    """Takes what the network says of each frame."""

    def write(self, frame: SourceFrame, mask: Mask, probability: Probability) -> None:
        """Keep one result; frames come in order.

        Args:
            frame: The frame.
            mask: uint8 [H,W] at the frame's size.
            probability: float32 [C,h,w] at the network's size.
        """
        ...


@dataclass(frozen=True)
class Sinks:
    """Everything that one run writes frame by frame; with no picture sink, no overlay is drawn."""

    pictures: tuple[PictureSink, ...] = ()
    """The output for pictures with the overlay."""
    masks: tuple[MaskSink, ...] = ()
    raw: tuple[PictureSink, ...] = ()
    """The output for pictures as they came."""
    results: tuple[ResultSink, ...] = ()


class PictureFolder:
    """Writes pictures as JPEG files into a folder that exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, frame: SourceFrame, picture: Picture) -> None:
        """Write NAME.jpg.

        Raises:
            BadInputError: The picture has a side that JPEG cannot hold.
        """
        refuse_too_large_for_jpeg(picture.bgr)
        _write_image(self._folder / f"{frame.name}.jpg", picture.bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))


class MaskFolder:
    """Writes masks as PNG files into a folder that exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, frame: SourceFrame, mask: Mask) -> None:
        """Write NAME.png."""
        _write_image(self._folder / f"{frame.name}.png", mask, MASK_PARAMETERS)


@contextlib.contextmanager
def picture_folder(path: Path) -> Iterator[PictureFolder]:
    """Write pictures into a folder that appears when the block ends well."""
    with atomic_folder(path) as temporary:
        yield PictureFolder(temporary)


@contextlib.contextmanager
def mask_folder(path: Path) -> Iterator[MaskFolder]:
    """Write masks into a folder that appears when the block ends well."""
    with atomic_folder(path) as temporary:
        yield MaskFolder(temporary)


def unwritable(path: Path, error: OSError) -> UnwritableError:
    """Make the error for a place that takes no more data (full, unplugged, read-only)."""
    return UnwritableError(
        f"cannot write {path}",
        found=error.strerror or error,
        next_command="choose another place or make room",
    )


def _write_image(path: Path, image: Frame | Mask, parameters: tuple[int, int]) -> None:
    encoded, data = cv2.imencode(path.suffix, image, parameters)
    if not encoded:
        raise ValueError(f"OpenCV cannot encode {image.shape} {image.dtype} as {path.suffix}")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise unwritable(path, error) from error
