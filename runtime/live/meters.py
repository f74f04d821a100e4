"""Figures of the recent past, in memory that does not grow."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

WINDOW = 1024
"""Values that percentiles are taken over: 41 s at 25 fps."""


class RollingPercentiles:
    """The newest values of one figure. One thread adds, any may ask."""

    def __init__(self, window: int = WINDOW) -> None:
        self._values = np.full(window, np.nan, np.float32)
        self._count = 0

    def add(self, value: float) -> None:
        """Note a value; it takes the place of the oldest."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    def clear(self) -> None:
        """Forget all values, for the thread that adds."""
        self._count = 0

    @property
    def count(self) -> int:
        """Values since the start, or since `clear`."""
        return self._count

    def percentile(self, percent: float) -> float | None:
        """Interpolated linearly; None where there is no value yet."""
        values = self._values[: min(self._count, len(self._values))]
        return float(np.percentile(values, percent)) if len(values) else None

    def summary(self) -> dict[str, float | None]:
        """``p50`` and ``p99``."""
        return {"p50": self.percentile(50), "p99": self.percentile(99)}


class RecentShare:
    """How many of the newest yes-or-no answers were yes.

    Args:
        window: Answers that count.
        least: Answers before a share is told.
    """

    def __init__(self, window: int = 50, least: int = 25) -> None:
        self._answers: deque[bool] = deque(maxlen=window)
        self._least = least

    def add(self, answer: bool) -> None:
        """Note an answer."""
        self._answers.append(answer)

    def share(self, too_few: float) -> float:
        """The share of yes, 0 to 1; `too_few` while there are fewer than `least` answers."""
        answers = list(self._answers)
        return sum(answers) / len(answers) if len(answers) >= self._least else too_few


class Rate:
    """Events a second over the newest ones."""

    def __init__(self, window: int = 50) -> None:
        self._times_ns: deque[int] = deque(maxlen=window)
        self._lock = threading.Lock()

    def add(self, now_ns: int) -> None:
        """Note an event, monotonic clock."""
        with self._lock:
            self._times_ns.append(now_ns)

    def period_ms(self) -> float | None:
        """The median distance of two events; None before the second. The median forgives gaps."""
        with self._lock:
            times_ns = list(self._times_ns)
        return float(np.median(np.diff(times_ns))) / 1e6 if len(times_ns) > 1 else None

    def per_second(self) -> float | None:
        """Events a second; None before the second."""
        with self._lock:
            times_ns = list(self._times_ns)
        if len(times_ns) < 2 or times_ns[-1] == times_ns[0]:
            return None
        return (len(times_ns) - 1) / ((times_ns[-1] - times_ns[0]) / 1e9)


class RateCap:
    """Lets through at most so many events a second, and a few at once after a pause: a token bucket.

    Args:
        per_s: Events a second in the long run.
        burst: Events at once.
    """

    def __init__(self, per_s: float, burst: int = 8) -> None:
        self._per_s, self._burst = per_s, burst
        self._left = float(burst)
        self._at_ns: int | None = None

    def allows(self, now_ns: int) -> bool:
        """Tell whether an event may pass now, monotonic clock; one that may is counted."""
        passed_s = 0.0 if self._at_ns is None else (now_ns - self._at_ns) / 1e9
        self._at_ns = now_ns
        self._left = min(float(self._burst), self._left + passed_s * self._per_s)
        passes = self._left >= 1.0
        self._left -= passes
        return passes
