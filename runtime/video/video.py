"""Gives the frames of a video file: every picture, upright, timed from zero on; a cut file is refused."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.runtime.video.container import not_a_video
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.reader import FileReader
from edgeseg.runtime.video.sound import Sound, SoundPacket
from edgeseg.runtime.video.source import ClipTiming, SourceFrame, StartedFrames
from edgeseg.runtime.video.timestamps import JUMP_S, Timeline


class VideoFile(AbstractContextManager["VideoFile"]):
    """Gives the frames of a video file. Packets that give no picture are left out and counted.

    Args:
        path: The file.
        deinterlace: When to deinterlace.

    Raises:
        BadInputError: The file holds no video that can be decoded. Iterating raises it too, at the end, if
            the file breaks off or lacks frames that the header announced.
    """

    def __init__(self, path: Path, deinterlace: Deinterlace = "auto") -> None:
        self._path = path
        self._reader = FileReader(path, deinterlace, self._hear)
        facts = self._reader.facts
        self._timeline = Timeline(facts.time_base, facts.step)
        self._unplaced: list[Any] = []
        self._not_in_the_file = 0
        stream = self._reader.sound_stream
        self.sound = None if stream is None else Sound(stream)
        """The sound beside the pictures; None if the file announces none."""
        try:
            self._frames = StartedFrames(self._decode())
            if self._frames.is_empty:
                why = self._reader.broken_off or "a video stream without frames"
                raise not_a_video(path, "holds no frame that can be decoded", why)
        except BaseException:
            self._reader.close()
            raise

    @property
    def frame_count(self) -> int | None:
        """The number of frames in the header; None if it states none."""
        return self._reader.frame_count

    @property
    def timing(self) -> ClipTiming:
        """The time base, rate, colours and pixel shape of the file."""
        return self._reader.timing

    @property
    def lost_frames(self) -> int:
        """The number of pictures so far that were announced (packet, gap, index) and could not be decoded."""
        return self._reader.corrupt + self._not_in_the_file

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame; the constructor has decoded the first."""
        if self.sound is not None:
            self.sound.begin()
        yield from self._frames.each()

    def __exit__(self, *_: object) -> None:
        self._frames.close()
        self._reader.close()

    def _decode(self) -> Generator[SourceFrame]:
        count, end_s = 0, Fraction(0)
        started_ns = time.monotonic_ns()
        for decoded in self._reader.decoded():
            if not count:
                self._timeline.start = self._lead(decoded.time_s)
            pts = self._timeline.place(decoded.pts)
            if not count:
                self._hear_early()
            end_s = decoded.time_s or end_s
            frame = SourceFrame(
                count,
                started_ns,
                time.monotonic_ns(),
                pts,
                self._timeline.time_base,
                decoded.picture,
                damaged=decoded.damaged,
            )
            count += 1
            yield frame
            started_ns = time.monotonic_ns()
        if count:
            self._refuse_cut(count, float(end_s + 1 / self._reader.facts.rate))
            if self.sound is not None:
                self.sound.is_whole = True

    def _lead(self, first_s: Fraction | None) -> int:
        """How much later than the sound the picture begins: the earlier of the two stands at zero."""
        stream = self._reader.sound_stream
        if first_s is None or stream is None or stream.start_time is None:
            return 0
        lead_s = first_s - stream.start_time * stream.time_base
        return round(lead_s / self._timeline.time_base) if 0 < lead_s < JUMP_S else 0

    def _hear(self, packet: Any) -> None:
        if self._timeline.last is None:
            self._unplaced.append(packet)
        elif self.sound is not None:
            base, moved_s = packet.time_base, self._timeline.offset * self._timeline.time_base
            pts = packet.pts + round(moved_s / base)
            dts = pts if packet.dts is None else pts + packet.dts - packet.pts
            self.sound.add(SoundPacket(bytes(packet), pts, dts, packet.duration or 0, base))

    def _hear_early(self) -> None:
        """Pass on the sound that came before the first picture, which alone says where zero is."""
        early, self._unplaced = self._unplaced, []
        for packet in early:
            self._hear(packet)

    def _refuse_cut(self, count: int, end_s: float) -> None:
        """Refuse a file that breaks off or lacks its end.

        Raises:
            BadInputError: The file ends too early.
        """
        reader = self._reader
        if reader.broken_off:
            raise self._breaks_off(count, reader.broken_off)
        self._not_in_the_file = reader.missing_packets
        if reader.ends_early(count, end_s):
            raise self._breaks_off(count, f"it ends at {end_s:.2f} s of {reader.announced_end_s:.2f} s")

    def _breaks_off(self, count: int, why: object) -> BadInputError:
        announced = f" of {self.frame_count}" if self.frame_count else ""
        return BadInputError(
            f"the video {self._path} breaks off",
            found=f"{count}{announced} frames can be read; {why}",
            expected="a whole video file",
            next_command=f"copy the file again, or take what is there with --max-frames {count}",
        )
