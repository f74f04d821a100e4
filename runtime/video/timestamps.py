"""Times the frames of files: the stream's own distances, discontinuities closed up, strictly increasing.

Where a discontinuity begins is FFmpeg's rule (`ts_discontinuity_process` of its command line), so that a clip here is
as long as one that `ffmpeg -i` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

JUMP_S = Fraction(10)
"""A longer step forward means another clock in formats whose clock may jump (MPEG-TS, -PS, Ogg, HLS)."""
LONGEST_STEP_S = Fraction(30 * 3600)
"""The bound in all other formats, where a gap is a gap unless it is absurd; FFmpeg has the same."""
SPLICE_S = Fraction(1)
"""A step back by more than this means another clock in any format; a smaller one is the order of decoding."""
LATE_S = Fraction(1, 10)
"""The same for decoding times of formats whose clock may jump, where a stream never goes back by itself."""


class SpliceClock:
    """Moves the timestamps of packets so that the stream goes on without a gap after a discontinuity.

    All streams of a container are moved alike, which keeps sound beside its picture.

    Args:
        may_jump: True if the container's format has discontinuous timestamps.
    """

    def __init__(self, may_jump: bool) -> None:
        self._forward_s = JUMP_S if may_jump else LONGEST_STEP_S
        self._back_s = LATE_S if may_jump else SPLICE_S
        self._offset_s = Fraction(0)
        self._next_s: dict[int, Fraction] = {}
        """The time of each stream's next packet."""
        self.has_moved = False
        """True once a packet had to be moved."""

    def place(self, packet: Any, step_s: Fraction) -> None:
        """Move one packet of PyAV; packets come in the order of the file.

        Args:
            packet: The packet, whose timestamps are changed.
            step_s: The stream's usual distance of two packets, for one that does not state its duration.
        """
        stamp, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        if stamp is None or base is None:
            return
        stream, time_s = packet.stream.index, stamp * base
        expected_s = self._next_s.get(stream)
        if expected_s is not None:
            ahead_s = time_s + self._offset_s - expected_s
            back_s = self._back_s if packet.dts is not None else SPLICE_S
            if ahead_s > self._forward_s or -ahead_s > back_s + step_s:
                self._offset_s -= ahead_s
                self.has_moved = True
        if self._offset_s:
            ticks = round(self._offset_s / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        length_s = packet.duration * base if packet.duration else step_s
        self._next_s[stream] = time_s + self._offset_s + length_s


@dataclass
class Timeline:
    """Places frames: the first stands at `start`, all others strictly later, at the stream's own distances.

    A frame without a timestamp follows its predecessor by `step`; one that does not advance comes a tick after its
    predecessor; a jump back of more than a second is a splice, so all that follows is moved behind it.
    """

    time_base: Fraction
    step: int
    """The usual distance of two frames in units of `time_base`."""
    start: int = 0
    """The time of the first frame."""
    last: int | None = None
    offset: int = 0

    def place(self, pts: int | None) -> int:
        """The time at which the next frame stands, in units of `time_base`."""
        self.last = self._next(pts)
        return self.last

    def _next(self, pts: int | None) -> int:
        if self.last is None:
            self.offset = 0 if pts is None else self.start - pts
            return self.start
        if pts is None:
            return self.last + self.step
        if (self.last - pts - self.offset) * self.time_base > SPLICE_S:
            self.offset = self.last + self.step - pts
        return max(pts + self.offset, self.last + 1)


class StampChoice:
    """Decides which timestamps of decoded frames to believe, by FFmpeg's rule (`guess_correct_pts`).

    A container without times of presentation gives times of decoding under that name.

    Args:
        has_pts: True if the container has times of presentation, as far as is known.
    """

    def __init__(self, has_pts: bool) -> None:
        self._has_pts = has_pts
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None

    @property
    def believes_pts(self) -> bool:
        """True if the times of presentation were in order so far."""
        return self._has_pts and self._faulty_pts <= self._faulty_dts

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """Find the time of the next frame."""
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        return dts if pts is None or (dts is not None and not self.believes_pts) else pts
