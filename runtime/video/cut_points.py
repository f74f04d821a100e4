"""Cuts a video at key frames into spans that can be decoded one by one, to the very frames of the whole file.

All packets are read once and none is decoded: a table of key frames may be missing or wrong, the packets are what a
decoder gets. A file about which there is the slightest doubt is not cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.optional import require
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.reader import FileReader
from edgeseg.runtime.video.video import VideoFile

SEAM_FRAMES = 4
"""How many frames of the next span are decoded as well, to see that it gives the same ones."""

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """The frames from one key frame to another; times are the stream's own, in units of its time base."""

    sought: int
    """The time to which a reader seeks: its key frame's time of decoding, or of presentation in files without."""
    first_pts: int
    """The time of its key frame."""
    end_pts: int | None
    """The time of the next span's key frame; None for the last span."""
    seam_pts: int | None
    """The end of the next span's first frames, which are decoded as well; None where the file ends before it."""
    packets: int
    """How many packets to decode, from the key frame on in the order of the file."""
    frames: int


@dataclass(frozen=True)
class CutVideo:
    """The spans of a video, and what places their frames in time."""

    spans: tuple[Span, ...]
    time_base: Fraction
    step: int
    """The usual distance of two frames in units of `time_base`."""
    start: int
    """The time of the first frame in the file's own timeline, which begins with picture or sound."""


def cut_video(path: Path, deinterlace: Deinterlace, shortest_s: float) -> CutVideo | None:
    """Find the spans of a video.

    The pictures that follow a key frame in the file and precede it in time (open groups of pictures) belong to the span
    before, which therefore reads a little way past its end.

    Args:
        path: A video file, or a DICOM object that holds one.
        deinterlace: When to deinterlace; a deinterlaced picture rests on its neighbours, so such a file is not cut.
        shortest_s: A span ends at the first key frame after so many seconds.

    Returns:
        The spans, in order; None where one cannot be sure that they give the frames of the whole file.

    Raises:
        BadInputError: The file holds no video that can be decoded.
    """
    with VideoFile(path, deinterlace) as video:
        start = next(video.frames()).pts
    with FileReader(path, deinterlace) as reader:
        facts = reader.facts
        packets = _clean_packets(reader)
        if deinterlace == "on" or packets is None or not facts.has_pts or _is_doubtful(reader, packets[0]):
            return None
    pts, sought, keys = packets
    spans = _spans(pts, sought, _cuts(pts, keys, round(shortest_s / facts.time_base)))
    return CutVideo(spans, facts.time_base, facts.step, start)


def _clean_packets(reader: FileReader) -> tuple[Stamps, Stamps, NDArray[np.bool_]] | None:
    """Read each packet's time of presentation, the time by which it is sought, and whether a key frame is in it."""
    pts, sought, keys = [], [], []
    try:
        for packet in reader.placed():
            if packet.is_corrupt or packet.is_discard or packet.pts is None:
                return None
            pts.append(packet.pts)
            sought.append(packet.pts if packet.dts is None else packet.dts)
            keys.append(packet.is_keyframe)
    except require("av.error").FFmpegError:
        return None
    if not pts:
        return None
    return np.array(pts, np.int64), np.array(sought, np.int64), np.array(keys, np.bool_)


def _is_doubtful(reader: FileReader, pts: Stamps) -> bool:
    """Tell whether a packet is missing, has a time of another's, or comes in time before the first key frame."""
    end_s = float(int(pts.max()) * reader.facts.time_base + 1 / reader.facts.rate)
    is_whole = not reader.missing_packets and not reader.ends_early(len(pts), end_s)
    return not is_whole or reader.is_spliced or len(np.unique(pts)) < len(pts) or pts.min() < pts[0]


def _cuts(pts: Stamps, keys: NDArray[np.bool_], shortest: int) -> list[int]:
    """Find the packets at which spans begin."""
    cuts = [0]
    for index in np.flatnonzero(keys).tolist():
        if pts[index] - pts[cuts[-1]] >= shortest:
            cuts.append(index)
    return cuts


def _spans(pts: Stamps, sought: Stamps, cuts: list[int]) -> tuple[Span, ...]:
    shown = np.sort(pts)
    places = [*np.searchsorted(shown, pts[cuts]).tolist(), len(shown)]
    spans = []
    for cut, place, end in zip(cuts, places, places[1:], strict=False):
        seam = end + SEAM_FRAMES
        seam_pts = int(shown[seam]) if seam < len(shown) else None
        needed = len(pts) if seam_pts is None else int(np.flatnonzero(pts < seam_pts)[-1]) + 1
        spans.append(
            Span(
                sought=int(sought[cut]),
                first_pts=int(pts[cut]),
                end_pts=int(shown[end]) if end < len(shown) else None,
                seam_pts=seam_pts,
                packets=needed - cut,
                frames=end - place,
            )
        )
    return tuple(spans)
