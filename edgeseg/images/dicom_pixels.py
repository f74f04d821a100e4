"""DICOM objects, read by pydicom: what describes their pixels, and the frames of those that are no video stream.

Of the data set only what describes the pixels is looked at. Source: DICOM PS3.3, C.7.6.3 (image pixel module), and
PS3.5, section 8.2 (encapsulated pixel data).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, EdgesegError, MissingComponentError
from edgeseg.frames import Frame
from edgeseg.optional import require
from edgeseg.plain_files import open_plain

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
PREAMBLE_BYTES = 128
MAGIC = b"DICM"
_DEFLATED = "1.2.840.10008.1.2.1.99"
"""Everything behind the file's head is compressed as one; pydicom unpacks it whole, gigabytes out of a megabyte."""
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?")
"""Transfer syntaxes whose fragments are one stream: MPEG-2, MPEG-4 AVC/H.264 and HEVC/H.265."""
_LOSSY = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(5[01]|81|91)")
"""Transfer syntaxes that smear values: JPEG, near-lossless JPEG-LS and lossy JPEG 2000."""
_COLOURS = re.compile(r"MONOCHROME[12]|RGB|YBR_\w+")


@dataclass(frozen=True)
class DicomFacts:
    """The facts that a DICOM object states about its pixels."""

    frames: int
    height: int
    width: int
    photometric: str
    """The photometric interpretation: RGB, YBR_FULL_422, MONOCHROME2 and so on."""
    bits: int
    """Bits a sample."""
    syntax: str
    """The name of the transfer syntax."""
    is_video: bool
    """True if the pixel data are one stream of video."""
    is_lossy: bool
    """True if the frames were compressed with loss, each by itself."""
    rate: Fraction | None
    """Frames a second; None where it does not say."""

    def __str__(self) -> str:
        count = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        rate = "" if self.rate is None else f", {float(self.rate):g} a second"
        return f"{count} of {self.width}x{self.height}, {self.photometric}, {self.bits} bits, {self.syntax}{rate}"


def is_dicom(path: Path) -> bool:
    """Tell by its first bytes whether a file is DICOM."""
    try:
        with open_plain(path) as file:
            return is_dicom_data(file.read(PREAMBLE_BYTES + len(MAGIC)))
    except OSError:
        return False


def is_dicom_data(data: bytes) -> bool:
    """Tell whether bytes are the start of a DICOM file."""
    return data[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] == MAGIC


def dicom_facts(path: Path) -> DicomFacts:
    """Read what a DICOM file states about its pixels.

    Raises:
        BadInputError: It cannot be read as DICOM, or holds no pictures.
        MissingComponentError: pydicom is not installed.
    """
    pydicom = require("pydicom")
    try:
        if require("pydicom.filereader").read_file_meta_info(path).TransferSyntaxUID == _DEFLATED:
            raise ValueError("the transfer syntax Deflated Explicit VR Little Endian, which is never unpacked here")
        described = pydicom.dcmread(path, stop_before_pixels=True)
        syntax = described.file_meta.TransferSyntaxUID
        return DicomFacts(
            frames=int(described.get("NumberOfFrames") or 1),
            height=int(described.Rows),
            width=int(described.Columns),
            photometric=str(described.PhotometricInterpretation),
            bits=int(described.BitsStored),
            syntax=str(syntax.name),
            is_video=_VIDEO.fullmatch(str(syntax)) is not None,
            is_lossy=_LOSSY.fullmatch(str(syntax)) is not None,
            rate=_rate(described),
        )
    except Exception as error:  # whatever pydicom trips over
        raise unreadable_dicom(path, error) from error


def dicom_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a DICOM object that is no video, uint8 [H,W,3] RGB: raw, JPEG, JPEG 2000 or RLE.

    Raises:
        BadInputError: A frame cannot be decoded, or its pixels are not those of a picture of 8 bits.
        MissingComponentError: pydicom, or what decodes the transfer syntax, is not installed.
    """
    facts, count = dicom_facts(path), 0
    try:
        for pixels in require("pydicom.pixels").iter_pixels(path):
            yield _rgb(path, pixels, facts)
            count += 1
    except EdgesegError:
        raise
    except Exception as error:  # whatever pydicom and its plug-ins trip over
        raise _undecoded(path, error, f"frame {count + 1} of {facts.frames}") from error


def unreadable_dicom(path: Path, why: object) -> BadInputError:
    """Make the error for a file that starts like DICOM and goes on otherwise."""
    return BadInputError(
        f"{path} cannot be read as DICOM",
        found=_first_line(why),
        expected="a whole DICOM object with pixel data: a video, frames or a picture",
        next_command="export or copy it again",
    )


def _undecoded(path: Path, error: Exception, where: str) -> BadInputError | MissingComponentError:
    if "missing dependencies" in str(error) or "plugins are missing" in str(error):
        return MissingComponentError(
            f"nothing here decodes the pixels of {path}",
            found=" ".join(str(error).split())[:300],
            next_command="pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
        )
    return unreadable_dicom(path, f"{where}: {_first_line(error)}")


def _rate(described: Any) -> Fraction | None:
    """Frames a second, by the first of the attributes that tell it."""
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        value = described.get(name)
        if value is not None and 0 < float(value) <= 1000:
            return Fraction(str(value)).limit_denominator(1001)
    frame_ms = described.get("FrameTime")
    if frame_ms is not None and float(frame_ms) > 0:
        return (1000 / Fraction(str(frame_ms))).limit_denominator(1001)
    return None


def _rgb(path: Path, pixels: NDArray[Any], facts: DicomFacts) -> Frame:
    is_colour = pixels.shape[2:] in ((), (3,)) and _COLOURS.fullmatch(facts.photometric) is not None
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not is_colour:
        raise BadInputError(
            f"the pixels of {path} are not those of a colour picture",
            found=f"{facts.photometric}, {pixels.dtype} of shape {list(pixels.shape)}",
            expected="8 bits, RGB, YBR or grey",
            next_command="export it as an 8-bit RGB picture",
        )
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(255 - pixels if facts.photometric == "MONOCHROME1" else pixels, cv2.COLOR_GRAY2RGB)
    return np.array(pixels, np.uint8, order="C")


def _first_line(text: object) -> str:
    return (str(text).strip().splitlines() or [""])[0][:300]
