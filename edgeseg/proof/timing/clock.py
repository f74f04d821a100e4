"""The clock that measurements run on; tests bring one of their own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time and waiting."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Give the processor away for about so long; may come back late."""
        ...


class MonotonicClock:
    """The system's monotonic clock."""

    def now_ns(self) -> int:
        """Read the clock, like `time.perf_counter_ns`."""
        return time.perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        """Wait, like `time.sleep`."""
        time.sleep(seconds)
