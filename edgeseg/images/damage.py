"""Damage that image libraries pass over: they fill the missing part with grey or noise and say nothing."""

from __future__ import annotations

import importlib
import math
import re
import struct
import zlib
from typing import Any

from PIL import Image

_DAMAGE = re.compile(r"(?:Corrupt JPEG data|Premature end|Inconsistent progression).*")
"""The words of libjpeg that tell of damage, as warnings of a picture that it nevertheless decodes."""
_HARMLESS = re.compile(r"Corrupt JPEG data: (?:bad ICC marker|[1-3] extraneous bytes before marker 0xd9)")
"""A colour profile that no pixel depends on, and the padding that many cameras write before the end mark."""
_PROGRESSIVE = b"\xff\xc2"
"""The mark of a progressive frame; coded data hold no such bytes."""
_SCAN = b"\xff\xda"
"""The mark of a scan: a progressive picture has ten, and each goes over the whole picture."""
_MOST_SCANNED_PIXELS = 6_400_000_000
"""Pixels times scans: 64 scans of the largest picture that is read."""
_FOUR_COLOURS = frozenset({"CMYK", "YCCK"})
_WIDTH, _HEIGHT = 256, 257
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 273, 278, 279, 284
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325


def damage_of(data: bytes, image: Image.Image, is_first: bool) -> str | None:
    """Say what is wrong with an opened image file; None where nothing can be seen.

    BMP, GIF, PNM, TIFF and WebP have no checksums: bytes that changed inside them are another picture.

    Args:
        data: The whole file.
        image: It, opened at one of its pictures.
        is_first: Whether that is the first; what concerns the whole file is looked at once.
    """
    if image.format == "TIFF":
        return tiff_damage(image)
    if not is_first:
        return None
    if image.format == "PNG":
        return png_damage(data)
    if image.format not in ("JPEG", "MPO"):
        return None
    scans = data.count(_SCAN)
    if scans * image.width * image.height > _MOST_SCANNED_PIXELS:
        return f"{scans} scans of {image.width}x{image.height}, which would take minutes"
    return jpeg_damage(data)


def png_damage(data: bytes) -> str | None:
    """Say what is wrong with a PNG's chunks; None where each is whole. What follows the end chunk is nobody's."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name, end = data[position + 4 : position + 8], position + 8 + length
        if end + 4 > len(data):
            break
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(data[position + 4 : end]) != stated:
            return f"a checksum that fails, in the part {name.decode('ascii', 'replace')}"
        if name == b"IEND":
            return None
        position = end + 4
    return f"{len(data)} bytes without an end mark"


def jpeg_damage(data: bytes) -> str | None:
    """Say what is wrong with a JPEG's coded data; None where it is whole. What follows the end mark is nobody's.

    Pillow and OpenCV keep libjpeg's warnings to themselves; simplejpeg gives them. In progressive files FFmpeg's
    decoder sees further damage. What neither can decode (odd subsampling, no JPEG) is left to what reads the pixels.
    """
    simplejpeg: Any = importlib.import_module("simplejpeg")  # only where there is a JPEG
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
        simplejpeg.decode_jpeg(data, colorspace="CMYK" if colours in _FOUR_COLOURS else "GRAY", strict=True)
    except ValueError as error:
        found = _DAMAGE.search(str(error))
        if found is not None and not _HARMLESS.fullmatch(found[0]):
            return found[0]
    return "coded data that make no sense" if _PROGRESSIVE in data and _makes_no_sense(data) else None


def _makes_no_sense(data: bytes) -> bool:
    av: Any = importlib.import_module("av")
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"}
    decoder.thread_count = 1
    try:
        decoder.decode(av.Packet(data))
        decoder.decode(None)
    except av.error.InvalidDataError:
        return True
    except av.FFmpegError:  # a kind of JPEG that FFmpeg does not have
        return False
    return False


def tiff_damage(image: Image.Image) -> str | None:
    """Say which strips or tiles a TIFF's directory lacks; None where there is one for each part of the picture.

    Pillow shows whatever lies at the start of the file in their place.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]  # a TIFF has tags
    width, height = tags[_WIDTH], tags[_HEIGHT]  # as stored; Pillow's size may be turned already
    if _TILE_OFFSETS in tags:
        offsets, sizes, what = tags[_TILE_OFFSETS], tags.get(_TILE_BYTES), "tiles"
        needed = math.ceil(width / tags[_TILE_WIDTH]) * math.ceil(height / tags[_TILE_LENGTH])
    else:
        offsets, sizes, what = tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_BYTES), "strips"
        needed = math.ceil(height / min(tags.get(_ROWS_PER_STRIP, height), height))
    needed *= len(image.getbands()) if tags.get(_PLANAR) == 2 else 1
    there = sum(offset > 0 and size > 0 for offset, size in zip(offsets, sizes or (1,) * needed, strict=False))
    return None if there >= needed else f"{there} of {needed} {what}"
