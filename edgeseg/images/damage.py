"""Damage that image libraries pass over: they fill the missing part with grey or noise and say nothing."""

from __future__ import annotations

import importlib
import re
import struct
import zlib
from typing import Any

_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of coded data: neither a stuffed zero nor a restart mark."""


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
    """Say what is wrong with a JPEG's coded data; None where it is whole.

    libjpeg only prints a warning where the bits make no sense. FFmpeg's decoder can be told to end there.
    """
    if not _reaches_end_mark(data):
        return f"{len(data)} bytes without an end mark"
    av: Any = importlib.import_module("av")  # only where there is a JPEG
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"}
    decoder.thread_count = 1
    try:
        decoder.decode(av.Packet(data))
        decoder.decode(None)
    except av.error.InvalidDataError:
        return "coded data that make no sense"
    except av.FFmpegError:  # a kind of JPEG that FFmpeg does not have
        return None
    return None


def _reaches_end_mark(data: bytes) -> bool:
    """Follow a JPEG's segments to its end mark; whatever lies behind that is nobody's."""
    position = 2
    while position + 4 <= len(data) or data[position : position + 2] == b"\xff\xd9":
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xFF:  # fill bytes
            position += 1
        elif marker == _END:
            return True
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
            if marker == _SCAN:
                found = _MARKER.search(data, position)
                position = len(data) if found is None else found.start()
    return False
