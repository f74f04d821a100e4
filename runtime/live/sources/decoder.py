"""Packets to pictures: what cannot be decoded is left out and counted, what is guessed is marked; nothing ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgeseg.optional import require
from edgeseg.runtime.live.sources.contract import Deinterlace
from edgeseg.runtime.live.sources.deinterlace import Deinterlacer
from edgeseg.runtime.video.decoded import QUARTER_TURNS, picture_of, turn_of
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import UNSPECIFIED, ClipTiming

if TYPE_CHECKING:
    import av
    from av.video.codeccontext import VideoCodecContext

_REMEMBERED_ARRIVALS = 64
"""Decoders hold fewer frames than this back."""
FALLBACK_RATE = Fraction(25)
_LARGEST_RATE = 1000
"""Streams without a rate state their clock's instead, 90000 for example."""


@dataclass(frozen=True, eq=False)
class ArrivedPacket:
    """Data of a stream and when they came."""

    packet: Any
    """PyAV's."""
    arrived_ns: int
    after_gap: bool = False
    """Data before it were left out."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture out of a decoder."""

    picture: Picture
    time_s: Fraction | None
    """In the stream's own time, where it says."""
    pts: int | None
    """The same in units of the stream's time base."""
    arrived_ns: int
    decoded_ns: int
    damaged: bool


@dataclass(frozen=True)
class VideoFacts:
    """What a stream says of itself, and its decoder: all that may be used once the container is closed."""

    codec: VideoCodecContext
    time_base: Fraction
    rate: Fraction
    """Frames a second; 25 where it does not say."""
    aspect: Fraction
    """Width of a pixel over its height."""


def facts_of(stream: Any, threads: str) -> VideoFacts:
    """Read them from a stream of an open container.

    Args:
        stream: PyAV's video stream.
        threads: PyAV's thread type: ``SLICE`` holds no frame back, ``AUTO`` is faster.
    """
    stream.thread_type = threads
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= _LARGEST_RATE]
    rate = Fraction(rates[0]).limit_denominator(10_000) if rates else FALLBACK_RATE
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return VideoFacts(stream.codec_context, stream.time_base or 1 / rate, rate, aspect)


def packets_of(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of one stream as they are read.

    A damaged table of contents can add streams in the middle; PyAV fails at their packets, which are left out here.
    """
    while True:
        try:
            yield from container.demux(stream)
            return
        except IndexError:
            continue


@dataclass(frozen=True)
class _Note:
    arrived_ns: int
    damaged: bool


class PacketDecoder:
    """Decodes the packets of one stream.

    A decoder that is fed in the middle of a stream, or after a loss, shows nothing until it has a whole picture;
    pictures from a loss to the next key frame are marked as damaged.

    Args:
        facts: Of the stream; the codec is this object's from now on.
        deinterlace: When to.
    """

    def __init__(self, facts: VideoFacts, deinterlace: Deinterlace) -> None:
        self._facts = facts
        self._codec = facts.codec
        self._deinterlacer: Deinterlacer[_Note] = Deinterlacer(deinterlace)
        self._arrivals: dict[int, int] = {}
        self._suspect = self._started = False
        self.timing: ClipTiming | None = None
        """Of the stream; set with the first picture, and anew where size or colours change."""
        self._form: tuple[int, ...] = ()
        self.corrupt = 0
        """Packets that could not be decoded, or that the stream itself calls corrupt."""

    def decode(self, arrived: ArrivedPacket) -> list[Decoded]:
        """The pictures that this packet completes: none, one, or several."""
        packet = arrived.packet
        if arrived.after_gap:
            self._codec.flush_buffers()
            self._suspect = True
        if packet.is_corrupt:
            self._lose()
        if packet.pts is not None:
            self._arrivals[packet.pts] = arrived.arrived_ns
            while len(self._arrivals) > _REMEMBERED_ARRIVALS:
                del self._arrivals[next(iter(self._arrivals))]
        try:
            frames = self._codec.decode(packet)
        except require("av.error").FFmpegError:
            if not packet.is_corrupt:
                self._lose()
            return []
        return [done for frame in frames for done in self._finished(frame, arrived.arrived_ns)]

    def flush(self) -> list[Decoded]:
        """What decoder and filter still hold, at the end of a file."""
        now_ns = time.monotonic_ns()
        try:
            frames = self._codec.decode(None)
        except require("av.error").FFmpegError:
            frames = []
        done = [picture for frame in frames for picture in self._finished(frame, now_ns)]
        return done + [self._decoded(*entry) for entry in self._deinterlacer.flush()]

    def _lose(self) -> None:
        if self._started:  # what comes before the first key frame is the stream's beginning, no loss
            self.corrupt += 1
            self._suspect = True

    def _finished(self, frame: av.VideoFrame, arrived_ns: int) -> list[Decoded]:
        self._started = True
        if frame.key_frame and not frame.is_corrupt:
            self._suspect = False
        pts = frame.pts
        arrived_ns = arrived_ns if pts is None else self._arrivals.pop(pts, arrived_ns)
        note = _Note(arrived_ns, self._suspect or frame.is_corrupt)
        return [self._decoded(*entry) for entry in self._deinterlacer.push(frame, note)]

    def _decoded(self, picture: av.VideoFrame, frame: av.VideoFrame, note: _Note) -> Decoded:
        base = frame.time_base or self._facts.time_base
        pts = frame.pts if frame.pts is not None else frame.dts
        time_s = None if pts is None else pts * base
        form = (frame.width, frame.height, int(frame.colorspace))
        if form != self._form:
            self._form, self.timing = form, self._timing_by(frame)
        return Decoded(picture_of(picture).planar(), time_s, pts, note.arrived_ns, time.monotonic_ns(), note.damaged)

    def _timing_by(self, frame: av.VideoFrame) -> ClipTiming:
        """What a decoder knows with its first frame only."""
        facts = self._facts
        aspect = facts.aspect if self.timing is None else self._codec.sample_aspect_ratio or Fraction(1)
        return ClipTiming(
            facts.time_base,
            facts.rate,
            states_matrix=int(frame.colorspace) != UNSPECIFIED,
            sample_aspect_ratio=1 / aspect if turn_of(frame) in QUARTER_TURNS else aspect,
            primaries=int(getattr(frame, "color_primaries", UNSPECIFIED)),  # PyAV before 16 does not tell
            transfer=int(getattr(frame, "color_trc", UNSPECIFIED)),
        )
