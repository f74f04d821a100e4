"""A video file as frames: every picture that it holds, upright, in its own time from zero on; refused when cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.runtime.video.container import not_a_video
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.reader import FileReader
from edgeseg.runtime.video.sound import Sound, SoundPacket
from edgeseg.runtime.video.source import ClipTiming, SourceFrame
from edgeseg.runtime.video.timestamps import JUMP_S, Timeline

TOLERATED_FRAMES = 3
"""Headers may be off by so many frames without the file counting as cut off."""
SOUND_PADDING_S = 0.5
"""Sound is written in blocks with a lead-in, so that the stated length is a little longer than what is there."""


class VideoFile(AbstractContextManager["VideoFile"]):
    """A video file. Packets that give no picture are left out and counted; a file that is cut off is refused.

    Args:
        path: The file.
        deinterlace: When combed pictures are made whole.

    Raises:
        BadInputError: No video that can be decoded. Iterating raises it too, at the end, when the file breaks off or
            frames are missing that the header announced.
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
        """What is heard beside the pictures; None where the file announces no sound."""
        self._frames = self._decode()
        try:
            self._first = next(self._frames, None)
            if self._first is None:
                why = self._reader.broken_off or "a video stream without frames"
                raise not_a_video(path, "holds no frame that can be decoded", why)
        except BaseException:
            self._reader.close()
            raise

    @property
    def frame_count(self) -> int | None:
        """What the header says; None where it does not."""
        return self._reader.frame_count

    @property
    def timing(self) -> ClipTiming:
        """Time base, rate, colours and pixel shape of the file."""
        return self._reader.timing

    @property
    def lost_frames(self) -> int:
        """Pictures so far that the file announces by a packet, a gap or its index, and that could not be had."""
        return self._reader.corrupt + self._not_in_the_file

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame; the first was decoded by the constructor."""
        if self.sound is not None:
            self.sound.begin()
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first
        yield from self._frames

    def __exit__(self, *_: object) -> None:
        self._first = None
        self._reader.close()

    def _decode(self) -> Iterator[SourceFrame]:
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
        """How much later than the sound the picture begins, which it keeps: the earlier of the two stands at zero."""
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
        """What was heard before the first picture could say where zero is."""
        early, self._unplaced = self._unplaced, []
        for packet in early:
            self._hear(packet)

    def _refuse_cut(self, count: int, end_s: float) -> None:
        """Fewer frames than the index has may be an edit list, an early end longer audio: both are a cut.

        Raises:
            BadInputError: The file ends before it should.
        """
        reader = self._reader
        if reader.broken_off:
            raise self._breaks_off(count, reader.broken_off)
        announced_s, announced = reader.announced_end_s, reader.frame_count
        self._not_in_the_file = max(0, (reader.indexed_frames or 0) - reader.packets)
        if announced_s is None:
            return
        few_s = float(TOLERATED_FRAMES / reader.facts.rate) + (SOUND_PADDING_S if reader.sound_end_s else 0.0)
        too_short = max(end_s, reader.sound_end_s) + few_s < announced_s
        if too_short and (announced is None or count + reader.corrupt + TOLERATED_FRAMES < announced):
            raise self._breaks_off(count, f"it ends at {end_s:.2f} s of {announced_s:.2f} s")

    def _breaks_off(self, count: int, why: object) -> BadInputError:
        announced = f" of {self.frame_count}" if self.frame_count else ""
        return BadInputError(
            f"the video {self._path} breaks off",
            found=f"{count}{announced} frames can be read; {why}",
            expected="a whole video file",
            next_command=f"copy the file again, or take what is there with --max-frames {count}",
        )
