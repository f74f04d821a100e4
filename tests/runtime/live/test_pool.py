"""Several processes as one engine: nothing is lost unsaid, and a death costs its own frame alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Lost, Segmented
from edgeseg.runtime.worker.worker_engine import WorkerEngine

READY_S = 60.0
Open = Callable[..., WorkerEngine]


def _all_ready(engine: WorkerEngine) -> WorkerEngine:
    until_s = time.monotonic() + READY_S
    while any(worker.state != "ready" for worker in engine._workers):
        assert time.monotonic() < until_s
        engine.poll(0.01)
        time.sleep(0.01)
    return engine


def test_frames_spread_over_the_active_processes_and_each_gets_its_own_result(open_workers: Open, script: Any) -> None:
    engine = _all_ready(open_workers(active=2, spares=1))
    assert engine.capacity == 2
    first = engine.submit(NetworkInput(script.frame_of(1, script.SLOW)))
    second = engine.submit(NetworkInput(script.frame_of(2, script.SLOW)))
    assert engine.submit(NetworkInput(script.frame_of(3))) is None, "the spare is not given frames"
    assert engine.under_way == 2
    results: dict[int, float] = {}
    while engine.under_way:
        for outcome in engine.poll(5.0):
            assert isinstance(outcome, Segmented)
            results[outcome.sequence] = float(outcome.probability[0, 0, 0])
    assert results == {first: 1 / 65536, second: 2 / 65536}


def test_the_spare_takes_over_at_once_and_the_dead_come_back(open_workers: Open, script: Any) -> None:
    engine = _all_ready(open_workers(active=1, spares=1))
    pids = set(engine.worker_pids)
    sequence = engine.submit(NetworkInput(script.frame_of(7, script.DIE)))
    (outcome,) = engine.poll(5.0)
    assert isinstance(outcome, Lost)
    assert (outcome.sequence, outcome.loss) == (sequence, "died")
    assert engine.is_ready, "the spare stands ready"
    assert engine.submit(NetworkInput(script.frame_of(8))) is not None
    (answer,) = engine.poll(5.0)
    assert isinstance(answer, Segmented)
    assert float(answer.probability[0, 0, 0]) == 8 / 65536
    _all_ready(engine)
    assert engine.restarts == 1
    assert len(set(engine.worker_pids) & pids) == 1


def test_lossless_frames_keep_their_order_through_deaths(open_workers: Open, script: Any) -> None:
    engine = _all_ready(open_workers(active=2, spares=0))
    frames: LosslessFrames[int] = LosslessFrames(engine)
    taken = []
    for number in range(60):
        frames.add(number, NetworkInput(script.frame_of(number)))
        if number % 20 == 10:
            os.kill(engine.worker_pids[0], signal.SIGKILL)
        while frames.is_full:
            taken.append(frames.take())
    while frames:
        taken.append(frames.take())
    assert [number for number, _ in taken] == list(range(60))
    assert [round(float(result.probability[0, 0, 0]) * 65536) for _, result in taken] == list(range(60))


def test_an_engine_that_cannot_be_opened_says_why(open_workers: Open, script: Any) -> None:
    engine = open_workers(factory=script.open_never)
    with pytest.raises(MissingComponentError, match="no such GPU"):
        engine.wait_ready(READY_S)
    assert engine.is_down
    assert engine.waitables() == []
