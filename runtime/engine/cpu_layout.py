"""Measures how many sessions, of how many threads each, segment most frames a second on this processor.

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
"""The time that each layout is measured for, after its first frames."""
MARGIN = 1.05
"""A layout that needs more memory must be faster by more than this factor."""


@dataclass(frozen=True)
class CpuLayout:
    """A number of sessions side by side, and the threads of each."""

    sessions: int
    threads: int


def candidates(cores: int) -> tuple[CpuLayout, ...]:
    """List the layouts worth trying, fewest sessions first; below four cores there is one."""
    if cores < 4:
        return (CpuLayout(cores, 1),)
    return (CpuLayout(cores // 2, 1), CpuLayout(cores // 2, 2), CpuLayout(cores, 1))


def fastest_engine(open_session: Callable[[int], Session], cores: int) -> LocalEngine:
    """Open the engine of the layout that segments most frames a second; as many frames wait as are inferred.

    Args:
        open_session: Opens one session with the number of threads that it is given.
        cores: The number of cores that may be used.
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
    """Measure the throughput with every session busy, after as many frames as the engine holds."""
    model = engine.info.model
    frame = NetworkInput(np.zeros((model.height, model.width, 3), np.uint8))
    _run(engine, frame, lambda done: done < engine.capacity)
    started_s = time.perf_counter()
    done = _run(engine, frame, lambda _: time.perf_counter() - started_s < seconds)
    return done / (time.perf_counter() - started_s)


def _run(engine: LocalEngine, frame: NetworkInput, more: Callable[[int], bool]) -> int:
    """Run frames while `more` says so, and until none is under way; count them."""
    under_way = done = 0
    while more(done) or under_way:
        while more(done) and engine.submit(frame) is not None:
            under_way += 1
        ready = len(engine.poll(60.0))
        under_way, done = under_way - ready, done + ready
    return done


def _engine(open_session: Callable[[int], Session], layout: CpuLayout) -> LocalEngine:
    return LocalEngine(lambda: open_session(layout.threads), layout.sessions, waiting=layout.sessions)
