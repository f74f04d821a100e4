"""Video files and folders of images, as feeds of a paced source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.images import read_rgb
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.paced import FeedFrame
from edgeseg.runtime.video.container import not_a_video
from edgeseg.runtime.video.dicom import DicomFrames
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.reader import FileReader
from edgeseg.runtime.video.source import ClipTiming
from edgeseg.runtime.video.video_files import IMAGES_FPS

logger = logging.getLogger(__name__)


class FileFeed:
    """Feeds a video file; damaged parts are left out or patched and counted, as those of a live stream are.

    Args:
        path: The file.
        options: They say whether to deinterlace.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._path = path
        self._deinterlace = options.deinterlace
        self._timing: ClipTiming | None = None
        self._told = False
        self.decoder_name = ""
        self.corrupt = 0

    @property
    def timing(self) -> ClipTiming:
        """The time base and rate of the file."""
        if self._timing is None:
            raise ValueError("no frame came yet")
        return self._timing

    def frames(self) -> Iterator[FeedFrame]:
        """Yield every frame of one pass, up to where the file ends or breaks off."""
        count, before = 0, self.corrupt
        with FileReader(self._path, self._deinterlace) as reader:
            self.decoder_name = reader.facts.codec.name
            if reader.sound_stream is not None and not self._told:
                logger.info("the sound of %s is left out", self._path)
                self._told = True
            for decoded in reader.decoded():
                if not count:
                    self._timing = self._timing or reader.timing
                count += 1
                self.corrupt = before + reader.corrupt
                picture = decoded.picture.planar()
                yield FeedFrame(decoded.pts, lambda picture=picture: picture, decoded.damaged)  # type: ignore[misc]
            self.corrupt = before + reader.corrupt
            why = reader.broken_off or "a video stream without frames"
        if not count:
            raise not_a_video(self._path, "holds no frame that can be decoded", why)


class ImageFeed:
    """Feeds images of any mix of sizes, sorted by name; one that cannot be read is left out and counted.

    Args:
        paths: The files, at least one.
        options: They give the rate.

    Raises:
        BadInputError: The first image cannot be read.
    """

    decoder_name = "images"

    def __init__(self, paths: Sequence[Path], options: SourceOptions) -> None:
        read_rgb(paths[0])
        self._paths = paths
        rate = options.rate or Fraction(IMAGES_FPS)
        self.timing = ClipTiming(1 / rate, rate)
        self.corrupt = 0

    def frames(self) -> Iterator[FeedFrame]:
        """Yield every image of one pass."""
        count = 0
        for index, path in enumerate(self._paths):
            try:
                rgb = read_rgb(path)
            except BadInputError:
                self.corrupt += 1
                continue
            count += 1
            yield FeedFrame(index, lambda rgb=rgb: _picture(rgb))  # type: ignore[misc]
        if not count:
            raise BadInputError("none of the images can be read any more", found=str(self._paths[0].parent))


class DicomFeed:
    """Feeds the frames of a DICOM object that is no video.

    Args:
        path: The file.

    Raises:
        BadInputError: Its first frame cannot be decoded.
    """

    decoder_name = "DICOM"
    corrupt = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        with DicomFrames(path) as opened:
            self.timing = opened.timing

    def frames(self) -> Iterator[FeedFrame]:
        """Yield every frame of one pass."""
        with DicomFrames(self._path) as opened:
            for frame in opened.frames():
                picture = frame.picture.planar()
                yield FeedFrame(frame.pts, lambda picture=picture: picture)  # type: ignore[misc]


def _picture(rgb: Any) -> Picture:
    return Picture.of_bgr(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)).planar()
