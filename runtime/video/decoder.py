"""Decodes packets: what cannot be decoded is left out and counted, guesses are marked, and nothing ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgeseg.optional import require
from edgeseg.runtime.video.decoded import picture_of
from edgeseg.runtime.video.deinterlace import Deinterlace, Deinterlacer
from edgeseg.runtime.video.display_matrix import UPRIGHT, orientation_of
from edgeseg.runtime.video.loss import PacketLedger
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import UNSPECIFIED, ClipTiming
from edgeseg.runtime.video.timestamps import StampChoice

if TYPE_CHECKING:
    import av
    from av.video.codeccontext import VideoCodecContext

FALLBACK_RATE = Fraction(25)
_LARGEST_RATE = 1000
"""The largest rate to believe: streams without a rate state that of their clock, for example 90000."""
INDEXED = "mp4"
"""Part of the name of the format whose header counts packets; AVI's also counts pictures left out."""
REORDERED_IN_AVI = ("h264", "hevc")
"""Codecs whose order of presentation AVI does not know, because it only counts packets."""
_B_PICTURE = 3
"""FFmpeg's AV_PICTURE_TYPE_B: hardly any other picture depends on such a one."""


@dataclass(frozen=True, eq=False)
class ArrivedPacket:
    """A packet of a stream, and when it came."""

    packet: Any
    """The packet of PyAV."""
    arrived_ns: int
    after_gap: bool = False
    """True if data before it were left out."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture out of a decoder."""

    picture: Picture
    time_s: Fraction | None
    """The time of presentation by the stream's own clock; None if the stream does not give it."""
    pts: int | None
    """The same time in units of the stream's time base."""
    arrived_ns: int
    decoded_ns: int
    damaged: bool


@dataclass(frozen=True)
class VideoFacts:
    """The facts that a stream states, and its decoder: all that may be used once the container is closed."""

    codec: VideoCodecContext
    time_base: Fraction
    rate: Fraction
    """The frame rate; 25 if the stream does not state it."""
    aspect: Fraction
    """The width of a pixel over its height."""
    is_even: bool = False
    """True if pictures come at an even rate, so that a gap is a loss."""
    has_pts: bool = True
    """True if the container has times of presentation."""

    @property
    def step(self) -> int:
        """The usual distance of two frames in units of `time_base`."""
        return max(1, round(1 / (self.rate * self.time_base)))


def facts_of(container: Any, stream: Any, live: bool) -> VideoFacts:
    """Read the facts of a stream from an open container.

    Args:
        container: The container of PyAV.
        stream: Its video stream.
        live: True if pictures come over a network, where one that was lost leaves a gap in time.
    """
    codec, names = stream.codec_context, container.format.name
    has_pts = not ("avi" in names and codec.name in REORDERED_IN_AVI and codec.has_b_frames)
    stream.thread_type = "SLICE"  # threads that decode a picture each cost more than they gain, and hold pictures back
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= _LARGEST_RATE]
    rate = Fraction(rates[0]).limit_denominator(10_000) if rates else FALLBACK_RATE
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return VideoFacts(codec, stream.time_base or 1 / rate, rate, aspect, not live and INDEXED not in names, has_pts)


@dataclass(frozen=True)
class _Note:
    pts: int | None
    arrived_ns: int
    damaged: bool


class PacketDecoder:
    """Decodes the packets of one stream.

    A decoder that is fed in the middle of a stream, or after a gap, shows nothing until it has a whole picture;
    pictures from a loss or a patched one to the next key frame are marked as damaged.

    Args:
        facts: The facts of the stream; its codec belongs to this object from now on.
        deinterlace: When to deinterlace.
    """

    def __init__(self, facts: VideoFacts, deinterlace: Deinterlace) -> None:
        self._facts = facts
        self._codec = facts.codec
        self._deinterlacer: Deinterlacer[_Note] = Deinterlacer(deinterlace)
        self._ledger = PacketLedger(facts.step, facts.is_even)
        self._stamps = StampChoice(facts.has_pts)
        self._flagged: set[int] = set()
        self._unstamped = 0
        self._suspect = self._started = False
        self.timing: ClipTiming | None = None
        """The timing of the stream; set with the first picture, and again when size or colours change."""
        self._form: tuple[int, ...] = ()
        self._orientation = UPRIGHT

    @property
    def corrupt(self) -> int:
        """The number of packets that gave no picture, from the first picture on."""
        return self._ledger.lost + self._unstamped

    @property
    def deinterlaces(self) -> bool:
        """True while pictures are deinterlaced, each from its neighbours."""
        return self._deinterlacer.is_active

    def decode(self, arrived: ArrivedPacket) -> Iterator[Decoded]:
        """Yield the pictures that this packet completes, none or several; each is converted when taken."""
        packet = arrived.packet
        if arrived.after_gap:
            self._begin_anew()
        if packet.is_corrupt:
            self._flag(packet.pts)
        if packet.pts is not None and not packet.is_discard:
            self._ledger.send(packet.pts, arrived.arrived_ns)
        try:
            frames = self._codec.decode(packet)
        except require("av.error").FFmpegError:
            if packet.pts is None and self._started:  # what has a timestamp is missed by it
                self._unstamped += 1
                self._suspect = True
            return
        for frame in frames:
            yield from self._finished(frame, arrived.arrived_ns)

    def flush(self) -> Iterator[Decoded]:
        """Yield the pictures that decoder and filter still hold at the end of a file."""
        now_ns = time.monotonic_ns()
        try:
            frames = self._codec.decode(None)
        except require("av.error").FFmpegError:
            frames = []
        for frame in frames:
            yield from self._finished(frame, now_ns)
        yield from self._converted(self._deinterlacer.flush())
        self._ledger.finish()

    def _begin_anew(self) -> None:
        self._codec.flush_buffers()
        self._ledger.forget()
        self._show_patched(False)
        self._suspect = True

    def _flag(self, pts: int | None) -> None:
        """Note that the container calls a packet corrupt: so is its picture, if it gives one."""
        if pts is not None:
            self._flagged.add(pts)
        elif self._started:
            self._suspect = True

    def _unflag(self, pts: int) -> bool:
        """Tell whether the container called the packet of a picture corrupt."""
        is_flagged = pts in self._flagged
        if self._flagged:
            self._flagged = {later for later in self._flagged if later > pts}
        return is_flagged

    def _show_patched(self, wanted: bool) -> None:
        """Let pictures without a reference out; before the first whole one they show nothing."""
        flag = require("av.codec.context").Flags.output_corrupt.value
        self._codec.flags = self._codec.flags | flag if wanted else self._codec.flags & ~flag
        self._started = wanted

    def _finished(self, frame: av.VideoFrame, arrived_ns: int) -> Iterator[Decoded]:
        if not self._started:
            self._show_patched(True)
        is_flagged = frame.pts is not None and self._unflag(frame.pts)
        is_broken, is_gap = is_flagged or frame.is_corrupt, False
        pts = self._stamps.choose(frame.pts, frame.dts)
        if pts is not None and pts == frame.pts:
            known_ns, is_gap = self._ledger.receive(pts, frame.duration, is_broken)
            arrived_ns = arrived_ns if known_ns is None else known_ns
        elif pts is not None:
            self._ledger.forget()
        if frame.key_frame and not is_broken:
            self._suspect = False
        elif is_gap or (is_broken and frame.pict_type != _B_PICTURE):
            self._suspect = True
        note = _Note(pts, arrived_ns, self._suspect or is_broken)
        yield from self._converted(self._deinterlacer.push(frame, note))

    def _converted(self, entries: Iterable[tuple[av.VideoFrame, av.VideoFrame, _Note]]) -> Iterator[Decoded]:
        """Turn decoded frames into pictures.

        Args:
            entries: The frame to show, the decoded frame that it was made of, and the note on that one.
        """
        for shown, frame, note in entries:
            base = frame.time_base or self._facts.time_base
            time_s = None if note.pts is None else note.pts * base
            form = (frame.width, frame.height, int(frame.colorspace), frame.rotation)
            if form != self._form:
                # Not for every frame: asking PyAV for side data ties the frame's memory up until Python's next
                # collection, so that each frame would take fresh pages of the kernel (300 faults at 720p).
                self._form, self._orientation = form, orientation_of(frame)
                self.timing = self._timing_by(frame)
            picture = picture_of(shown, self._orientation)
            yield Decoded(picture, time_s, note.pts, note.arrived_ns, time.monotonic_ns(), note.damaged)

    def _timing_by(self, frame: av.VideoFrame) -> ClipTiming:
        """Note the facts that a decoder knows with its first frame only."""
        facts = self._facts
        aspect = facts.aspect if self.timing is None else self._codec.sample_aspect_ratio or Fraction(1)
        return ClipTiming(
            facts.time_base,
            facts.rate,
            states_matrix=int(frame.colorspace) != UNSPECIFIED,
            sample_aspect_ratio=1 / aspect if self._orientation.transposed else aspect,
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
        )
