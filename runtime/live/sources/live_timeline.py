"""Timestamps of a live source: strictly increasing over jumps, gaps and reconnections, never far behind the clock."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from edgeseg.runtime.live.sources.contract import LIVE_TIME_BASE

SPLICE_S = Fraction(1)
"""A step back by more than this means another clock (a smaller one is the order of decoding), and so does a
step forward that is longer by this than the time between the two arrivals."""
TOLERANCE_S = Fraction(10)
"""How far timestamps may be from the clock of arrival: HLS comes in bursts, a segment at a time."""
_LONGEST_STEP_S = Fraction(1, 5)
_TICKS = 1 / LIVE_TIME_BASE


@dataclass
class LiveTimeline:
    """Places frames in units of `LIVE_TIME_BASE`; the first stands at 0.

    The stream's own distances are kept while they agree with the clock of arrival within `TOLERANCE_S`. A frame
    without a timestamp stands where it arrived; a stream that jumps, or that comes from a new connection, goes on from
    where the clock is. So a recording of a live source has gaps as long as the source was away.
    """

    _last: int | None = None
    _first_arrival_ns: int = 0
    _latest_arrival_s: Fraction = Fraction(0)
    """The arrival of the latest frame, in seconds since that of the first one."""
    _stream_s: Fraction | None = None
    """The timestamp of the latest frame that had one, in the stream's own time."""
    _offset_s: Fraction | None = None
    """The offset to add to the stream's times; None if the next one sets it."""
    _step_s: Fraction = Fraction(0)
    """The latest distance of two frames in the stream."""

    def reconnect(self) -> None:
        """Note that the next timestamp belongs to another clock."""
        self._offset_s = self._stream_s = None

    def place(self, time_s: Fraction | None, arrived_ns: int) -> int:
        """Place a frame on the timeline.

        Args:
            time_s: Its timestamp in the stream, where it has one.
            arrived_ns: When it came, by `time.monotonic_ns`.
        """
        if self._last is None:
            self._first_arrival_ns = arrived_ns
        clock_s = Fraction(arrived_ns - self._first_arrival_ns, 10**9)
        ticks = round((clock_s if time_s is None else self._on_the_clock(time_s, clock_s)) * _TICKS)
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        self._latest_arrival_s = clock_s
        return self._last

    def _on_the_clock(self, time_s: Fraction, clock_s: Fraction) -> Fraction:
        if self._offset_s is None or self._jumps(time_s, self._offset_s, clock_s):
            self._offset_s = self._after_the_last(clock_s) - time_s
        elif self._stream_s is not None and self._stream_s < time_s:
            self._step_s = min(time_s - self._stream_s, _LONGEST_STEP_S)
        self._stream_s = time_s
        return time_s + self._offset_s

    def _after_the_last(self, clock_s: Fraction) -> Fraction:
        """The place as far behind the latest frame as this one came after it."""
        if self._last is None:
            return clock_s
        later_s = max(clock_s - self._latest_arrival_s, self._step_s)
        return max(clock_s, self._last * LIVE_TIME_BASE + later_s)

    def _jumps(self, time_s: Fraction, offset_s: Fraction, clock_s: Fraction) -> bool:
        if abs(time_s + offset_s - clock_s) > TOLERANCE_S:
            return True
        if self._stream_s is None:
            return False
        step_s, passed_s = time_s - self._stream_s, clock_s - self._latest_arrival_s
        return -step_s > SPLICE_S or step_s - passed_s > SPLICE_S
