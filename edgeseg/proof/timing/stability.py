"""When a measurement may end: windows until their level stands still, bounded in time.

The idea is that of Triton's perf_analyzer (three consecutive windows that agree); rule and code are our own. A run that
never settles ends at the bound and says so, instead of giving a figure that looks like the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeseg.proof.timing.clock import Clock


@dataclass(frozen=True)
class StabilityRule:
    """When to stop."""

    window_samples: int = 50
    """A window has at least so many samples, so that three of them carry a 99th percentile."""
    window_s: float = 0.5
    """Shortest window: clocks and temperatures follow the load in tenths of seconds."""
    windows: int = 3
    """So many consecutive windows must agree; they are what is reported."""
    tolerance: float = 0.01
    """Largest difference between their levels, as a share of the smallest."""
    max_s: float = 10.0
    """The bound: nothing is started after it."""


@dataclass(frozen=True)
class Measured:
    """The samples of one measurement."""

    samples_ns: tuple[int, ...]
    """All of them, in order."""
    first_reported: int
    """Index of the first sample that counts; those before it are how the machine settled."""
    stable: bool
    windows: int

    @property
    def reported_ns(self) -> tuple[int, ...]:
        """The samples of the last windows."""
        return self.samples_ns[self.first_reported :]


def is_stable(levels: Sequence[float], windows: int = 3, tolerance: float = 0.01) -> bool:
    """Tell whether the last `windows` levels lie within `tolerance` of each other.

    Stricter than each against its predecessor: a slow drift of just under 1 % a window does not pass.

    Args:
        levels: One for each window, in order; not negative.
        windows: How many must agree.
        tolerance: Largest distance as a share of the smallest of them.
    """
    last = levels[-windows:]
    return len(last) == windows and max(last) - min(last) <= tolerance * min(last)


def measure_until_stable(
    sample: Callable[[], int],
    rule: StabilityRule,
    clock: Clock,
    level: Callable[[Sequence[int]], float] = statistics.median,
) -> Measured:
    """Take samples until the last windows agree or the time is over.

    Args:
        sample: Does the work once and gives its duration in nanoseconds.
        rule: When to stop.
        clock: Tells how long windows last.
        level: What must stand still: the median of durations; for throughput their mean.

    Returns:
        At least one sample.
    """
    samples: list[int] = []
    starts, levels = [0], list[float]()
    started_ns = window_ns = clock.now_ns()
    while True:
        samples.append(sample())
        now_ns = clock.now_ns()
        over = now_ns - started_ns >= rule.max_s * 1e9
        long_enough = now_ns - window_ns >= rule.window_s * 1e9 and len(samples) - starts[-1] >= rule.window_samples
        if long_enough:
            levels.append(float(level(samples[starts[-1] :])))
            if over or is_stable(levels, rule.windows, rule.tolerance):
                break
            starts.append(len(samples))
            window_ns = now_ns
        elif over:
            break
    stable = is_stable(levels, rule.windows, rule.tolerance)
    return Measured(tuple(samples), starts[-rule.windows :][0], stable, len(levels))
