"""The frames of a video file or of a folder of images, in order and each exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import IMAGE_SUFFIXES, read_rgb
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, Source, SourceFrame
from edgeseg.shell import quoted

IMAGES_FPS = 25
"""The frame rate of a clip that is made of images."""


class ImageFolder(AbstractContextManager["ImageFolder"]):
    """Gives images of any mix of sizes as frames, sorted by name.

    Args:
        paths: The image files.

    Raises:
        BadInputError: Two images share a stem, or the first cannot be read; later ones raise in turn.
    """

    sound = None
    lost_frames = 0

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
        """The timing of images: 25 frames a second."""
        return ClipTiming(Fraction(1, IMAGES_FPS), Fraction(IMAGES_FPS))

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every image; the constructor has read the first."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        for index in range(1, len(self._paths)):
            yield _read(index, self._paths[index])

    def __exit__(self, *_: object) -> None:
        self._first = None


def open_source(path: Path, deinterlace: Deinterlace = "auto") -> Source:
    """Open what a SOURCE argument names and decode its first frame.

    Args:
        path: A video file, a folder of images (or of a data set), one image, or a DICOM object.
        deinterlace: When to deinterlace a video.

    Raises:
        BadInputError: Nothing is there, or nothing that can be decoded.
        UsageError: The source holds images, and they were to be deinterlaced.
    """
    if deinterlace != "auto" and (path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES):
        raise UsageError("--deinterlace works with video only", found=f"images: {path}", expected="a video file")
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
    from edgeseg.runtime.video.dicom import DicomFrames, is_dicom, is_dicom_video
    from edgeseg.runtime.video.video import VideoFile

    if is_dicom(path) and not is_dicom_video(path):
        return DicomFrames(path)
    return VideoFile(path, deinterlace)


def _read(index: int, path: Path) -> SourceFrame:
    started_ns = time.monotonic_ns()
    picture = Picture.of_bgr(np.asarray(cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2BGR), dtype=np.uint8))
    return SourceFrame(index, started_ns, time.monotonic_ns(), index, Fraction(1, IMAGES_FPS), picture, stem=path.stem)


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
