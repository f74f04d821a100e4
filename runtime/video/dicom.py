"""DICOM endoscopy: videos (MPEG-2, H.264, HEVC inside DICOM), multi-frame objects and stills, read by pydicom.

The part of the standard is PS3.5, section 8.2 (encapsulated pixel data). Of the data set only what describes the pixels
is looked at.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.optional import require
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
FALLBACK_RATE = Fraction(25)
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?")
"""Transfer syntaxes whose fragments are one stream: MPEG-2, MPEG-4 AVC/H.264 and HEVC/H.265."""
_LONG_HEADER_BYTES = 12
"""Tag, VR, two bytes that are reserved, and length: the head of the pixel data in explicit VR little endian."""


def is_dicom(path: Path) -> bool:
    """Tell by its first bytes whether a file is DICOM."""
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC
    except OSError:
        return False


def is_dicom_video(path: Path) -> bool:
    """Tell whether the pixel data of a DICOM file are a video stream.

    Raises:
        BadInputError: It cannot be read as DICOM.
        MissingComponentError: pydicom is not installed.
    """
    return _VIDEO.fullmatch(str(_described(path).file_meta.TransferSyntaxUID)) is not None


class EncapsulatedStream(io.RawIOBase):
    """The video stream inside a DICOM file, read from the disk as it is asked for.

    Args:
        path: A file for which `is_dicom_video` holds.

    Raises:
        BadInputError: Its pixel data are not what its header says.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        try:
            self._fragments = _fragments(self._file)
        except Exception as error:  # whatever pydicom trips over
            self._file.close()
            raise _unreadable(path, error) from error
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
        described = _described(path)
        self.frame_count = int(described.get("NumberOfFrames") or 1)
        """The number of frames that the header states."""
        rate = _rate(described)
        self.timing = ClipTiming(1 / rate, rate)
        self._inverted = str(described.get("PhotometricInterpretation", "")) == "MONOCHROME1"
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            raise _unreadable(path, "no frames")

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame; the constructor has decoded the first."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._frames

    def __exit__(self, *_: object) -> None:
        self._first = None
        self._frames.close()  # type: ignore[attr-defined]

    def _decoded(self) -> Iterator[SourceFrame]:
        count, started_ns = 0, time.monotonic_ns()
        stem = self._path.stem if self.frame_count == 1 else ""
        try:
            for pixels in require("pydicom.pixels").iter_pixels(self._path):
                picture = Picture.of_bgr(_bgr(self._path, pixels, self._inverted))
                base = self.timing.time_base
                yield SourceFrame(count, started_ns, time.monotonic_ns(), count, base, picture, stem=stem)
                count += 1
                started_ns = time.monotonic_ns()
        except (BadInputError, MissingComponentError):
            raise
        except Exception as error:  # whatever pydicom and its plug-ins trip over
            raise self._failed(count, error) from error

    def _failed(self, count: int, error: Exception) -> BadInputError | MissingComponentError:
        if "missing dependencies" in str(error) or "plugins are missing" in str(error):
            return MissingComponentError(
                f"nothing here decodes the pixels of {self._path}",
                found=" ".join(str(error).split())[:300],
                next_command="pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
            )
        return _unreadable(self._path, f"frame {count + 1} of {self.frame_count}: {_first_line(error)}")


def _described(path: Path) -> Any:
    """The data set of a file without its pixels."""
    pydicom = require("pydicom")
    try:
        described = pydicom.dcmread(path, stop_before_pixels=True)
        described.file_meta.TransferSyntaxUID  # noqa: B018
    except Exception as error:  # whatever pydicom trips over
        raise _unreadable(path, error) from error
    return described


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


def _rate(described: Any) -> Fraction:
    """Frames a second, by the first of the attributes that tell it."""
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        value = described.get(name)
        if value is not None and 0 < float(value) <= 1000:
            return Fraction(str(value)).limit_denominator(1001)
    frame_ms = described.get("FrameTime")
    if frame_ms is not None and float(frame_ms) > 0:
        return (1000 / Fraction(str(frame_ms))).limit_denominator(1001)
    return FALLBACK_RATE


def _bgr(path: Path, pixels: NDArray[Any], inverted: bool) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise BadInputError(
            f"the pixels of {path} are not those of a colour picture",
            found=f"{pixels.dtype} of shape {list(pixels.shape)}",
            expected="8 bits, RGB, YBR or grey",
        )
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(255 - pixels if inverted else pixels, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR), np.uint8)


def _unreadable(path: Path, why: object) -> BadInputError:
    return BadInputError(
        f"{path} cannot be read as DICOM",
        found=_first_line(why),
        expected="a whole DICOM object with pixel data: a video, frames or a picture",
    )


def _first_line(text: object) -> str:
    return (str(text).strip().splitlines() or [""])[0][:300]
