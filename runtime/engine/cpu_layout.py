"""How many sessions of how many threads segment most frames a second on this processor: measured, not guessed.

One one-thread session a core is best where cores are alike and memory keeps up; with two hardware threads a core,
with slow cores beside fast ones, or with a large network, fewer sessions can be faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.engine.local_engine import LocalEngine
from edgeseg.runtime.engine.session import Session

MEASURE_S = 0.3
"""A layout, after its first frames."""
MARGIN = 1.05
"""A layout that needs less memory is left for one that is faster by more than this."""


@dataclass(frozen=True)
class CpuLayout:
    """Sessions side by side, and the threads of each."""

    sessions: int
    threads: int


def candidates(cores: int) -> tuple[CpuLayout, ...]:
    """What is worth a try, the fewest sessions first; two cores leave one choice, which was measured once for all."""
    if cores < 4:
        return (CpuLayout(cores, 1),)
    return (CpuLayout(cores // 2, 1), CpuLayout(cores // 2, 2), CpuLayout(cores, 1))


def fastest_engine(open_session: Callable[[int], Session], cores: int) -> LocalEngine:
    """The engine of the layout that segments most frames a second; as many frames wait as are inferred.

    Args:
        open_session: Opens one session of so many threads.
        cores: That may be used.
    """
    first, *others = candidates(cores)
    best = _engine(open_session, first)
    best_fps = frames_per_second(best) if others else 0.0
    for layout in others:
        engine = _engine(open_session, layout)
        fps = frames_per_second(engine)
        if fps > MARGIN * best_fps:
            best, engine, best_fps = engine, best, fps
        engine.close()
    return best


def frames_per_second(engine: LocalEngine, seconds: float = MEASURE_S) -> float:
    """Throughput with every session busy; as many frames as it can hold go before the clock starts."""
    model = engine.info.model
    frame = NetworkInput(np.zeros((model.height, model.width, 3), np.uint8))
    _run(engine, frame, lambda done: done < engine.capacity)
    started_s = time.perf_counter()
    done = _run(engine, frame, lambda _: time.perf_counter() - started_s < seconds)
    return done / (time.perf_counter() - started_s)


def _run(engine: LocalEngine, frame: NetworkInput, more: Callable[[int], bool]) -> int:
    """Frames until it is enough and none is under way."""
    under_way = done = 0
    while more(done) or under_way:
        while more(done) and engine.submit(frame) is not None:
            under_way += 1
        ready = len(engine.poll(60.0))
        under_way, done = under_way - ready, done + ready
    return done


def _engine(open_session: Callable[[int], Session], layout: CpuLayout) -> LocalEngine:
    return LocalEngine(lambda: open_session(layout.threads), layout.sessions, waiting=layout.sessions)
