"""Local video files as packets: opened, read to their end, and guarded against what damaged files do to a reader."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import BadInputError
from edgeseg.images import dicom_facts, is_dicom
from edgeseg.optional import require
from edgeseg.plain_files import open_plain
from edgeseg.runtime.video.dicom import EncapsulatedStream

if TYPE_CHECKING:
    from av.container import InputContainer

_PLAYLISTS = frozenset({"concat", "dash", "hls", "image2", "imf", "lavfi", "sdp", "webm_dash_manifest"})
_PLAYLIST_MARKS = (b"#EXTM3U", b"ffconcat")
_LONGEST_MARK = 16
"""Bytes, a mark of UTF-8 before it included."""


def open_container(path: Path) -> InputContainer:
    """Open a file that holds video, inside DICOM, too; only local files are opened, whatever a playlist may name.

    Raises:
        BadInputError: The file is no video, or none of its streams can be decoded.
    """
    av = require("av")
    _refuse_names_of_others(path)
    within = EncapsulatedStream(path) if is_dicom(path) and dicom_facts(path).is_video else None
    try:  # the prefix keeps a colon in the name from being read as a protocol
        container: InputContainer = av.open(
            f"file:{path}" if within is None else within,
            metadata_errors="replace",
            options={"protocol_whitelist": "file", "format_whitelist": _formats()},
        )
    except (av.FFmpegError, OSError) as error:
        found = getattr(error, "strerror", None) or error
        raise not_a_video(path, "is no video that FFmpeg can read", found) from error
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        kinds = ", ".join(sorted({entry.type for entry in container.streams})) or "no streams"
        container.close()
        raise not_a_video(path, "holds no video stream", kinds)
    return container


@functools.cache
def _formats() -> str:
    """All formats but those whose files name other files, which may be named pipes or devices."""
    return ",".join(sorted(require("av").formats_available - _PLAYLISTS))


def _refuse_names_of_others(path: Path) -> None:
    """Refuse what is no plain file, which FFmpeg would wait for, and playlists."""
    try:
        with open_plain(path) as file:
            start = file.read(_LONGEST_MARK)
    except OSError as error:
        raise not_a_video(path, "cannot be read as video", error.strerror or error) from error
    if start.lstrip(b"\xef\xbb\xbf").startswith(_PLAYLIST_MARKS):
        raise not_a_video(path, "is a playlist, which names other files", "HLS or ffconcat")


def packets_of(container: Any, *streams: Any) -> Iterator[Any]:
    """Yield the packets of some streams as they are read.

    Streams that appear in the middle (FLV, MPEG-TS, a damaged table of contents) make PyAV fail at their packets,
    which are left out here.
    """
    while True:
        try:
            yield from container.demux(*streams)
            return
        except IndexError:
            continue


def not_a_video(path: Path, what: str, found: object) -> BadInputError:
    """The error for a file that cannot be read as video at all."""
    return BadInputError(
        f"{path} {what}",
        found=found,
        expected="a whole video file (MP4, MKV, AVI, MOV, TS, ...) or a folder of images",
        next_command="copy the file again; a recording that was not closed lacks its index",
    )
