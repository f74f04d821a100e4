"""DICOM endoscopy as a source: videos (MPEG-2, H.264, HEVC inside DICOM), multi-frame objects and stills."""

from __future__ import annotations

import io
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.images import dicom_facts, dicom_frames, unreadable_dicom
from edgeseg.optional import require
from edgeseg.plain_files import open_plain
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame, StartedFrames

FALLBACK_RATE = Fraction(25)
_LONG_HEADER_BYTES = 12
"""Tag, VR, two bytes that are reserved, and length: the head of the pixel data in explicit VR little endian."""


class EncapsulatedStream(io.RawIOBase):
    """The video stream inside a DICOM file, read from the disk as it is asked for.

    Args:
        path: A file whose `DicomFacts.is_video` holds.

    Raises:
        BadInputError: Its pixel data are not what its header says.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open_plain(path)
        try:
            self._fragments = _fragments(self._file)
        except Exception as error:  # whatever pydicom trips over
            self._file.close()
            raise unreadable_dicom(path, error) from error
        self._length = sum(length for _, length in self._fragments)
        self._position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """The position in the stream."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position in the stream."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the end of a fragment."""
        view, start = memoryview(buffer).cast("B"), 0
        for offset, length in self._fragments:
            if self._position < start + length:
                self._file.seek(offset + self._position - start)
                wanted = min(len(view), start + length - self._position)
                count = self._file.readinto(view[:wanted])
                self._position += count
                return count
            start += length
        return 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class DicomFrames(AbstractContextManager["DicomFrames"]):
    """Gives the frames of a DICOM object that is no video: raw, JPEG, JPEG 2000 or RLE; one or many.

    Args:
        path: The file.

    Raises:
        BadInputError: It holds no picture of 8 bits that can be decoded; iterating raises it for later frames.
        MissingComponentError: pydicom, or what decodes its transfer syntax, is not installed.
    """

    sound = None
    lost_frames = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        facts = dicom_facts(path)
        self.frame_count = facts.frames
        """The number of frames that the header states."""
        rate = facts.rate or FALLBACK_RATE
        self.timing = ClipTiming(1 / rate, rate)
        self._frames = StartedFrames(self._decoded())
        if self._frames.is_empty:
            raise unreadable_dicom(path, "no frames")

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame; the constructor has decoded the first."""
        return self._frames.each()

    def __exit__(self, *_: object) -> None:
        self._frames.close()

    def _decoded(self) -> Generator[SourceFrame]:
        started_ns, stem = time.monotonic_ns(), self._path.stem if self.frame_count == 1 else ""
        for index, rgb in enumerate(dicom_frames(self._path)):
            picture = Picture.of_bgr(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8))
            yield SourceFrame(index, started_ns, time.monotonic_ns(), index, self.timing.time_base, picture, stem=stem)
            started_ns = time.monotonic_ns()


def _fragments(file: Any) -> list[tuple[int, int]]:
    """Offset and length of each fragment of the pixel data, but for the table of offsets before them."""
    require("pydicom").dcmread(file, stop_before_pixels=True)
    file.seek(_LONG_HEADER_BYTES, io.SEEK_CUR)
    encaps = require("pydicom.encaps")
    encaps.parse_basic_offsets(file)
    fragments = []
    for item in encaps.parse_fragments(file)[1]:
        file.seek(item + 4)
        fragments.append((item + 8, int.from_bytes(file.read(4), "little")))
    return fragments
