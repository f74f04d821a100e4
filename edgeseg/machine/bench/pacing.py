"""Frames at a source's own rate: absolute deadlines on the monotonic clock, so that nothing drifts."""

from __future__ import annotations

from fractions import Fraction

from edgeseg.proof.timing.clock import Clock

NS_PER_S = 1_000_000_000
SPIN_NS = 200_000
"""The last stretch before a deadline is spun, because a sleeper wakes late. Short: a core that spins keeps the
processor's clock up, which is what a paced measurement must not do."""


def deadline_ns(start_ns: int, index: int, rate: Fraction) -> int:
    """When frame `index` comes, in exact arithmetic: the millionth frame is as punctual as the first.

    Args:
        start_ns: When frame 0 comes.
        index: The frame's index.
        rate: Frames a second.
    """
    return start_ns + index * NS_PER_S * rate.denominator // rate.numerator


def newest_due(start_ns: int, now_ns: int, rate: Fraction) -> int:
    """Index of the newest frame that has come by `now_ns`; -1 before the first."""
    elapsed_ns = now_ns - start_ns
    if elapsed_ns < 0:
        return -1
    index = elapsed_ns * rate.numerator // (NS_PER_S * rate.denominator)
    return index + 1 if deadline_ns(start_ns, index + 1, rate) <= now_ns else index


def wait_until(deadline: int, clock: Clock, spin_ns: int = SPIN_NS) -> int:
    """Sleep, then spin the last stretch.

    Returns:
        The nanoseconds that were spun.
    """
    while (left_ns := deadline - clock.now_ns()) > spin_ns:
        clock.sleep((left_ns - spin_ns) / NS_PER_S)
    spinning_ns = clock.now_ns()
    while clock.now_ns() < deadline:
        pass
    return max(0, min(deadline, clock.now_ns()) - spinning_ns)


class Pacer:
    """A source of fixed rate with one slot: the newest frame wins, frames that a newer one replaced are dropped.

    Args:
        rate: Frames a second.
        clock: The measurement's clock.
        spin_ns: See `wait_until`.
    """

    def __init__(self, rate: Fraction, clock: Clock, spin_ns: int = SPIN_NS) -> None:
        self._rate, self._clock, self._spin_ns = rate, clock, spin_ns
        self._start_ns: int | None = None
        self._next = 0
        self.dropped: list[int] = []
        """How many frames were dropped just before each frame that was handed out."""
        self.late_ns: list[int] = []
        """How late each wait for a frame ended."""
        self.spun_ns = 0
        """Time spent spinning, in all."""

    def next_arrival_ns(self) -> int:
        """Wait for the next frame and tell when it came.

        A frame that had to wait for the engine came at its deadline. One that was waited for came when the wait ended:
        how late the operating system wakes a process is no latency of the engine; `late_ns` keeps it.
        """
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = deadline_ns(now_ns, 1, self._rate)  # rested before the first frame as before all others
        due = newest_due(self._start_ns, now_ns, self._rate)
        if due >= self._next:
            self.dropped.append(due - self._next)
            self._next = due + 1
            return deadline_ns(self._start_ns, due, self._rate)
        deadline = deadline_ns(self._start_ns, self._next, self._rate)
        self.spun_ns += wait_until(deadline, self._clock, self._spin_ns)
        now_ns = self._clock.now_ns()
        self.dropped.append(0)
        self.late_ns.append(now_ns - deadline)
        self._next += 1
        return now_ns
