"""The frames of a video file or of a folder of images, in order and each exactly once."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError, UsageError
from edgeseg.frames import Frame
from edgeseg.images import dicom_facts, is_dicom, is_still, list_folder, picture_count, pictures_in, read_rgb
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, Source, SourceFrame, StartedFrames
from edgeseg.shell import quoted

IMAGES_FPS = 25
"""The frame rate of a clip that is made of images."""


class ImageFolder(AbstractContextManager["ImageFolder"]):
    """Gives images of any mix of sizes as frames, in the order of `paths`.

    Args:
        paths: The image files.
        keep_going: Leave images out that cannot be read, and keep why in `unreadable`, instead of raising.

    Raises:
        BadInputError: Two images share a stem, the first (or, with `keep_going`, every one) cannot be read; later
            ones raise in turn.
    """

    sound = None

    def __init__(self, paths: Sequence[Path], keep_going: bool = False) -> None:
        self._paths = paths
        self._keep_going = keep_going
        self.unreadable: list[BadInputError] = []
        """The reasons why images were left out, so far."""
        _refuse_shared_stems(paths)
        self._frames = StartedFrames(self._readable())
        if self._frames.is_empty:
            raise self.unreadable[0]

    @property
    def frame_count(self) -> int:
        """The number of images."""
        return len(self._paths)

    @property
    def lost_frames(self) -> int:
        """The number of images so far that could not be read and were left out."""
        return len(self.unreadable)

    @property
    def timing(self) -> ClipTiming:
        """The timing of images: 25 frames a second."""
        return ClipTiming(Fraction(1, IMAGES_FPS), Fraction(IMAGES_FPS))

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every image; the constructor has read the first."""
        return self._frames.each()

    def __exit__(self, *_: object) -> None:
        self._frames.close()

    def _readable(self) -> Generator[SourceFrame]:
        index = 0
        for path in self._paths:
            started_ns = time.monotonic_ns()
            try:
                rgb = read_rgb(path)
            except BadInputError as error:
                if not self._keep_going:
                    raise
                self.unreadable.append(error)
                continue
            yield _frame(index, started_ns, rgb, path.stem)
            index += 1


class ImageStack(AbstractContextManager["ImageStack"]):
    """Gives the pictures of one file (TIFF with several pages, animated PNG or WebP) as frames, in order.

    Args:
        path: The file.

    Raises:
        BadInputError: It cannot be read.
    """

    sound = None
    lost_frames = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.frame_count = picture_count(path)
        """The number of pictures."""

    @property
    def timing(self) -> ClipTiming:
        """The timing of images: 25 frames a second."""
        return ClipTiming(Fraction(1, IMAGES_FPS), Fraction(IMAGES_FPS))

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every picture."""
        pictures = pictures_in(self._path)
        for index in range(self.frame_count):
            started_ns = time.monotonic_ns()
            yield _frame(index, started_ns, next(pictures), "")

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""


def open_source(path: Path, deinterlace: Deinterlace = "auto", keep_going: bool = False) -> Source:
    """Open what a SOURCE argument names and decode its first frame.

    Args:
        path: A video file, a folder of images (or of a data set), one file of images, or a DICOM object.
        deinterlace: When to deinterlace a video.
        keep_going: Leave images of a folder out that cannot be read; see `ImageFolder`.

    Raises:
        BadInputError: Nothing is there, or nothing that can be decoded.
        UsageError: The source holds images, and they were to be deinterlaced.
    """
    if deinterlace != "auto" and (path.is_dir() or is_still(path)):
        raise UsageError("--deinterlace works with video only", found=f"images: {path}", expected="a video file")
    if path.is_dir():
        return ImageFolder(load_images(path), keep_going)
    if not path.exists():
        raise BadInputError(
            f"there is no source at {path}",
            expected="a video file or a folder of images",
            next_command=f"ls {quoted(path.absolute().parent)}",
        )
    if is_still(path):
        return ImageStack(path) if picture_count(path) > 1 else ImageFolder([path])
    from edgeseg.runtime.video.dicom import DicomFrames
    from edgeseg.runtime.video.video import VideoFile

    if is_dicom(path) and not dicom_facts(path).is_video:
        return DicomFrames(path)
    return VideoFile(path, deinterlace)


def left_out_of(folder: Path) -> str | None:
    """Say which files of a folder of images are none that `open_source` takes; None if it takes all."""
    taken = set(load_images(folder))
    listing = list_folder(folder)
    words = [listing.passed_over()] if listing.passed_over() else []
    beside = [path for path in listing.images if path not in taken]
    words += [f"{len(beside)} masks beside their images"] if beside and taken & set(listing.images) else []
    return ", ".join(word for word in words if word) or None


def _frame(index: int, started_ns: int, rgb: Frame, stem: str) -> SourceFrame:
    picture = Picture.of_bgr(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8))
    return SourceFrame(index, started_ns, time.monotonic_ns(), index, Fraction(1, IMAGES_FPS), picture, stem=stem)


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
