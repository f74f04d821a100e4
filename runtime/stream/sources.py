"""Where frames come from: a video file or a folder of images, in order and each exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame
from edgeseg.images import IMAGE_SUFFIXES, read_rgb
from edgeseg.runtime.stream.picture import Picture
from edgeseg.shell import quoted

UNSPECIFIED = 2
"""H.273's number for colours that a file does not describe."""
IMAGES_FPS = 25
"""The pace that images get when a clip is made of them."""


@dataclass(frozen=True)
class SourceFrame:
    """One decoded picture and where it stands."""

    index: int
    """0 for the first."""
    name: str
    """Of the files made from it, without suffix: ``frame_000000`` for video, the stem for an image."""
    pts: int
    """Presentation time in units of `time_base`; strictly increasing over a source."""
    time_base: Fraction
    """Seconds."""
    picture: Picture
    """Upright."""
    decode_ns: int
    """How long reading and decoding took."""
    damaged: bool = False
    """The decoder patched missing parts with guesses."""

    @property
    def image(self) -> Frame:
        """The picture as uint8 [H,W,3] BGR; of a video it has to be converted."""
        return self.picture.bgr

    def __repr__(self) -> str:
        size = f"{self.picture.width}x{self.picture.height}"
        return f"SourceFrame({self.name}, {size}, {float(self.pts * self.time_base):.3f} s)"


@dataclass(frozen=True)
class ClipTiming:
    """What a clip must take over from its source, beside the frames."""

    time_base: Fraction
    rate: Fraction
    """Frames a second, on average."""
    states_matrix: bool = False
    """Whether the source names its colour matrix; then a clip does too, else players guess both alike."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    primaries: int = UNSPECIFIED
    """Colour primaries by H.273, table 2."""
    transfer: int = UNSPECIFIED
    """Transfer characteristics by H.273, table 3."""


class Source(AbstractContextManager["Source"], Protocol):
    """Frames for one pass; opened and checked by its constructor, released by leaving the context."""

    @property
    def frame_count(self) -> int | None:
        """How many frames there should be; None where the file does not say."""
        ...

    @property
    def timing(self) -> ClipTiming:
        """For a clip of these frames."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame in order of presentation; one pass only."""
        ...


class ImageFolder(AbstractContextManager["ImageFolder"]):
    """Images of any mix of sizes as frames, sorted by name.

    Args:
        paths: The image files.

    Raises:
        BadInputError: Two images share a stem, or the first cannot be read; later ones raise in turn.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        _refuse_shared_stems(paths)
        self._first: SourceFrame | None = _read(0, paths[0])

    @property
    def frame_count(self) -> int:
        """The number of images."""
        return len(self._paths)

    @property
    def timing(self) -> ClipTiming:
        """25 frames a second."""
        return ClipTiming(Fraction(1, IMAGES_FPS), Fraction(IMAGES_FPS))

    def frames(self) -> Iterator[SourceFrame]:
        """Every image; the first was read by the constructor."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        for index in range(1, len(self._paths)):
            yield _read(index, self._paths[index])

    def __exit__(self, *_: object) -> None:
        self._first = None


def open_source(path: Path) -> Source:
    """Open what a SOURCE argument names and decode its first frame.

    Args:
        path: A video file, a folder of images (or of a data set), or one image.

    Raises:
        BadInputError: Nothing there, or nothing that can be decoded.
    """
    if path.is_dir():
        return ImageFolder(load_images(path))
    if not path.exists():
        raise BadInputError(
            f"there is no source at {path}",
            expected="a video file or a folder of images",
            next_command=f"ls {quoted(path.absolute().parent)}",
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolder([path])
    from edgeseg.runtime.stream.video import VideoFile

    return VideoFile(path)


def _read(index: int, path: Path) -> SourceFrame:
    started_ns = time.perf_counter_ns()
    image = np.asarray(cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2BGR), dtype=np.uint8)
    took_ns = time.perf_counter_ns() - started_ns
    return SourceFrame(index, path.stem, index, Fraction(1, IMAGES_FPS), Picture.of_bgr(image), took_ns)


def _refuse_shared_stems(paths: Sequence[Path]) -> None:
    path_of: dict[str, Path] = {}
    for path in paths:
        other = path_of.setdefault(path.stem, path)
        if other is not path:
            raise BadInputError(
                f"two images share the name {path.stem}, so their masks would share a file",
                found=f"{other.name} and {path.name}",
                expected="one image a name",
                next_command=f"mv {quoted(path)} to another name",
            )
