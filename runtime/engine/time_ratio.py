"""Compares two graphs' speed on this processor: one inference of each in turn, so noise hits both."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from edgeseg.runtime.engine.session import FrameBatch, Session

WARM_UP = 3
MIN_PAIRS, MAX_PAIRS = 9, 200
BUDGET_S = 1.5


@dataclass(frozen=True)
class TimeRatio:
    """The times of one inference of each graph, on all usable cores."""

    ratio: float
    """The first graph's time over the second's: the median over pairs of neighbours."""
    first_ms: float
    """The first graph's median time."""
    second_ms: float
    """The second graph's median time."""


def time_ratio(first: Session, second: Session, budget_s: float = BUDGET_S) -> TimeRatio:
    """Alternate two sessions of one network for about `budget_s`, at least nine times each."""
    model = first.info.model
    frame = np.zeros((1, model.height, model.width, 3), np.uint8)
    for session in (first, second) * WARM_UP:
        session.infer(frame)
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + budget_s
    while len(pairs) < MIN_PAIRS or (time.perf_counter() < end and len(pairs) < MAX_PAIRS):
        # Whoever comes second finds caches and clocks as the other left them, so they take turns at that, too.
        order = (first, second) if len(pairs) % 2 == 0 else (second, first)
        seconds = {id(session): _seconds(session, frame) for session in order}
        pairs.append((seconds[id(first)], seconds[id(second)]))
    return TimeRatio(
        statistics.median(one / other for one, other in pairs),
        1e3 * statistics.median(one for one, _ in pairs),
        1e3 * statistics.median(other for _, other in pairs),
    )


def _seconds(session: Session, frame: FrameBatch) -> float:
    started = time.perf_counter()
    session.infer(frame)
    return time.perf_counter() - started
