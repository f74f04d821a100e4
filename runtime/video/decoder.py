"""Packets to pictures: what cannot be decoded is left out and counted, what is guessed is marked; nothing ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgeseg.optional import require
from edgeseg.runtime.video.decoded import picture_of
from edgeseg.runtime.video.deinterlace import Deinterlace, Deinterlacer
from edgeseg.runtime.video.loss import PacketLedger
from edgeseg.runtime.video.orientation import orientation_of
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import UNSPECIFIED, ClipTiming

if TYPE_CHECKING:
    import av
    from av.video.codeccontext import VideoCodecContext

FALLBACK_RATE = Fraction(25)
_LARGEST_RATE = 1000
"""Streams without a rate state their clock's instead, 90000 for example."""
_FRAME_THREADS = ("h264", "hevc")
"""These decoders answer damage with fewer pictures; others with an error, after which PyAV does not give out what the
threads still hold at the end."""
INDEXED = "mp4"
"""Part of the name of the format whose header counts packets; AVI's counts pictures that were left out, too."""
REORDERED_IN_AVI = ("h264", "hevc")
"""AVI counts packets; others' parsers know where a B-frame belongs."""
_B_PICTURE = 3
"""AV_PICTURE_TYPE_B: hardly any other picture rests on it."""


@dataclass(frozen=True, eq=False)
class ArrivedPacket:
    """Data of a stream and when they came."""

    packet: Any
    """PyAV's."""
    arrived_ns: int
    after_gap: bool = False
    """Data before it were left out."""
    is_corrupt: bool = False
    """Whether the container calls it so, on good grounds."""


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
    is_even: bool = False
    """Whether its pictures come at an even rate, so that a gap is a loss."""
    has_pts: bool = True
    """Whether the container has times of presentation."""

    @property
    def step(self) -> int:
        """The usual distance of two frames in units of `time_base`."""
        return max(1, round(1 / (self.rate * self.time_base)))


def facts_of(container: Any, stream: Any, live: bool) -> VideoFacts:
    """Read them from an open container.

    Args:
        container: PyAV's.
        stream: Its video stream.
        live: Hold no frame back; else several are decoded at once where the decoder allows it.
    """
    codec, names = stream.codec_context, container.format.name
    has_pts = not ("avi" in names and codec.name in REORDERED_IN_AVI and codec.has_b_frames)
    stream.thread_type = "AUTO" if not live and codec.name in _FRAME_THREADS else "SLICE"
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= _LARGEST_RATE]
    rate = Fraction(rates[0]).limit_denominator(10_000) if rates else FALLBACK_RATE
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return VideoFacts(codec, stream.time_base or 1 / rate, rate, aspect, not live and INDEXED not in names, has_pts)


@dataclass(frozen=True)
class _Note:
    pts: int | None
    arrived_ns: int
    damaged: bool


class StampChoice:
    """Which timestamps of decoded frames to believe: FFmpeg's rule (`guess_correct_pts`).

    A container without times of presentation gives those of decoding under their name.

    Args:
        has_pts: Whether the container has times of presentation, as far as is known.
    """

    def __init__(self, has_pts: bool) -> None:
        self._has_pts = has_pts
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None

    @property
    def believes_pts(self) -> bool:
        """Whether times of presentation are in order, as far as they came."""
        return self._has_pts and self._faulty_pts <= self._faulty_dts

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """The time of the next frame."""
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        return dts if pts is None or (dts is not None and not self.believes_pts) else pts


class PacketDecoder:
    """Decodes the packets of one stream.

    A decoder that is fed in the middle of a stream, or after a gap, shows nothing until it has a whole picture;
    pictures from a loss or a patched one to the next key frame are marked as damaged.

    Args:
        facts: Of the stream; the codec is this object's from now on.
        deinterlace: When to.
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
        """Of the stream; set with the first picture, and anew where size or colours change."""
        self._form: tuple[int, ...] = ()

    @property
    def corrupt(self) -> int:
        """Packets that gave no picture, from the first picture on."""
        return self._ledger.lost + self._unstamped

    def decode(self, arrived: ArrivedPacket) -> Iterator[Decoded]:
        """The pictures that this packet completes, each converted when it is asked for: none, one, or several."""
        packet = arrived.packet
        if arrived.after_gap:
            self._begin_anew()
        if arrived.is_corrupt:
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
        """What decoder and filter still hold, at the end of a file."""
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
        """The container calls a packet corrupt: its picture will be, if one comes of it."""
        if pts is not None:
            self._flagged.add(pts)
        elif self._started:
            self._suspect = True

    def _unflag(self, pts: int) -> bool:
        """Whether the container called the packet of a picture corrupt."""
        is_flagged = pts in self._flagged
        if is_flagged:
            self._flagged = {later for later in self._flagged if later > pts}
        return is_flagged

    def _show_patched(self, wanted: bool) -> None:
        """Let the decoder give pictures out that lack a reference; before the first whole one they show nothing."""
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
        """Pictures of frames.

        Args:
            entries: What is shown, the decoded frame that it was made of, and what is known of that one.
        """
        for shown, frame, note in entries:
            base = frame.time_base or self._facts.time_base
            time_s = None if note.pts is None else note.pts * base
            form = (frame.width, frame.height, int(frame.colorspace))
            if form != self._form:
                self._form, self.timing = form, self._timing_by(frame)
            picture = picture_of(shown, orientation_of(frame))
            yield Decoded(picture, time_s, note.pts, note.arrived_ns, time.monotonic_ns(), note.damaged)

    def _timing_by(self, frame: av.VideoFrame) -> ClipTiming:
        """What a decoder knows with its first frame only."""
        facts = self._facts
        aspect = facts.aspect if self.timing is None else self._codec.sample_aspect_ratio or Fraction(1)
        return ClipTiming(
            facts.time_base,
            facts.rate,
            states_matrix=int(frame.colorspace) != UNSPECIFIED,
            sample_aspect_ratio=1 / aspect if orientation_of(frame).transposed else aspect,
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
        )
