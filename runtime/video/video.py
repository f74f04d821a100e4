"""A video file as frames: decoded by PyAV, upright, with growing timestamps; refused when cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import BadInputError
from edgeseg.optional import require
from edgeseg.runtime.video.decoded import QUARTER_TURNS, picture_of, turn_of
from edgeseg.runtime.video.source import UNSPECIFIED, ClipTiming, SourceFrame

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

FALLBACK_RATE = Fraction(25)
TOLERATED_FRAMES = 3
"""Headers may be off by so many frames without the file counting as cut off."""
SOUND_PADDING_S = 0.5
"""Sound is written in blocks with a lead-in, so that the stated length is a little longer than what is there."""
FORMATS_WITH_LENGTH = ("mp4", "matroska")
"""Containers whose header states how long the video is; others guess it from what is there."""


@dataclass
class Timeline:
    """Makes timestamps strictly increasing and touches no others.

    A frame without one follows its predecessor by `step`; one that does not advance comes a tick after its
    predecessor; a jump back of more than a second is a splice, so all that follows is moved behind it.
    """

    time_base: Fraction
    step: int
    """The usual distance of two frames in units of `time_base`."""
    last: int | None = None
    offset: int = 0

    def place(self, pts: int | None) -> int:
        """The time at which the next frame stands, in units of `time_base`."""
        self.last = self._next(pts)
        return self.last

    def _next(self, pts: int | None) -> int:
        if self.last is None:
            return 0 if pts is None else pts
        if pts is None:
            return self.last + self.step
        if (self.last - pts - self.offset) * self.time_base > 1:
            self.offset = self.last + self.step - pts
        return max(pts + self.offset, self.last + 1)


class VideoFile(AbstractContextManager["VideoFile"]):
    """A video file; only local files are opened, whatever a playlist inside may name.

    Args:
        path: The file.

    Raises:
        BadInputError: No video that can be decoded. Iterating raises it too: where decoding fails, and at the
            end when frames are missing that the header announced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container, self._stream = _open(path)
        rate = self._stream.average_rate or self._stream.guessed_rate or FALLBACK_RATE
        self._rate = rate.limit_denominator(10_000) or FALLBACK_RATE
        self._time_base = self._stream.time_base or 1 / self._rate
        self._timeline = Timeline(self._time_base, max(1, round(1 / (self._rate * self._time_base))))
        self._frames = self._decode()
        self._timing = ClipTiming(self._time_base, self._rate)
        try:
            self._first = next(self._frames, None)
            if self._first is None:
                raise self._unreadable("holds no frame that can be decoded", "a video stream without frames")
        except BaseException:
            self._container.close()
            raise

    @property
    def frame_count(self) -> int | None:
        """What the header says; None where it does not."""
        return self._stream.frames or None

    @property
    def timing(self) -> ClipTiming:
        """Time base, rate, colours and pixel shape of the file."""
        return self._timing

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame; the first was decoded by the constructor."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first
        yield from self._frames

    def __exit__(self, *_: object) -> None:
        self._first = None
        self._container.close()

    def _decode(self) -> Iterator[SourceFrame]:
        started_ns = time.perf_counter_ns()
        for index, decoded in enumerate(self._decoded()):
            self._note(decoded)
            picture = picture_of(decoded)
            pts = self._timeline.place(decoded.pts if decoded.pts is not None else decoded.dts)
            took_ns = time.perf_counter_ns() - started_ns
            name = f"frame_{index:06d}"
            yield SourceFrame(index, name, pts, self._time_base, picture, took_ns, decoded.is_corrupt)
            started_ns = time.perf_counter_ns()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode packet by packet; end with an error where the file ends before it should."""
        errors: Any = require("av.error")
        count, others_end_s, cut = 0, 0.0, False
        try:
            for packet in self._container.demux():
                if packet.stream.index != self._stream.index:
                    others_end_s = max(others_end_s, _end_s(packet))
                    continue
                cut = packet.is_corrupt if packet.size else cut
                for frame in self._decode_packet(packet, started=count > 0):
                    count += 1
                    yield frame
        except errors.FFmpegError as error:
            raise self._breaks_off(count, error.strerror or error) from error
        if cut:
            raise self._breaks_off(count, "the last packet is incomplete")
        if count:
            self._refuse_missing_end(count, others_end_s)

    def _decode_packet(self, packet: Any, started: bool) -> list[av.VideoFrame]:
        """A recording that starts between key frames has undecodable packets before its first picture."""
        try:
            frames: list[av.VideoFrame] = packet.decode()
        except require("av.error").InvalidDataError:
            if started:
                raise
            return []
        return frames

    def _note(self, decoded: av.VideoFrame) -> None:
        """What a clip takes over; a decoder knows it with the first frame only."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self._timing = ClipTiming(
            self._time_base,
            self._rate,
            states_matrix=int(decoded.colorspace) != UNSPECIFIED,
            sample_aspect_ratio=1 / aspect if turn_of(decoded) in QUARTER_TURNS else aspect,
            primaries=int(getattr(decoded, "color_primaries", UNSPECIFIED)),  # PyAV before 16 does not tell
            transfer=int(getattr(decoded, "color_trc", UNSPECIFIED)),
        )

    def _refuse_missing_end(self, count: int, others_end_s: float) -> None:
        """Fewer frames than the index has may be an edit list, an early end longer audio: both are a cut."""
        announced_s = self._announced_end_s()
        if announced_s is None or self._timeline.last is None:
            return
        few_s = float(TOLERATED_FRAMES / self._rate) + (SOUND_PADDING_S if others_end_s else 0.0)
        end_s = float(self._timeline.last * self._time_base + 1 / self._rate)
        too_short = max(end_s, others_end_s) + few_s < announced_s
        too_few = not self._stream.frames or count + TOLERATED_FRAMES < self._stream.frames
        if too_short and too_few:
            raise self._breaks_off(count, f"it ends at {end_s:.2f} s of {announced_s:.2f} s")

    def _announced_end_s(self) -> float | None:
        if not any(name in self._container.format.name for name in FORMATS_WITH_LENGTH):
            return None
        if self._stream.duration is not None:
            return float(((self._stream.start_time or 0) + self._stream.duration) * self._time_base)
        if self._container.duration is not None:
            return self._container.duration / 1e6  # Matroska counts from time 0, wherever the video starts
        return None

    def _breaks_off(self, count: int, why: object) -> BadInputError:
        if not count:
            return self._unreadable("cannot be decoded", why)
        announced = f" of {self._stream.frames}" if self._stream.frames else ""
        return BadInputError(
            f"the video {self._path} breaks off",
            found=f"{count}{announced} frames can be read; {why}",
            expected="a whole video file",
            next_command=f"copy the file again, or take what is there with --max-frames {count}",
        )

    def _unreadable(self, what: str, found: object) -> BadInputError:
        return _not_a_video(self._path, what, found)


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    av = require("av")
    try:  # the prefix keeps a colon in the name from being read as a protocol
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError) as error:
        raise _not_a_video(
            path, "is no video that FFmpeg can read", getattr(error, "strerror", None) or error
        ) from error
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        found = ", ".join(sorted({entry.type for entry in container.streams})) or "no streams"
        container.close()
        raise _not_a_video(path, "holds no video stream", found)
    stream.thread_type = "AUTO"
    return container, stream


def _not_a_video(path: Path, what: str, found: object) -> BadInputError:
    return BadInputError(
        f"{path} {what}",
        found=found,
        expected="a whole video file (MP4, MKV, AVI, MOV, TS, ...) or a folder of images",
        next_command="copy the file again; a recording that was not closed lacks its index",
    )


def _end_s(packet: Any) -> float:
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)
