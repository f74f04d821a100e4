"""A worker in a process of its own behaves like one of this process, whatever happens to the process."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.frames import Frame
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import TransientError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.lossless import FrameLostError
from edgeseg.runtime.engine.one_frame import probability_of, segment
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.video_files import open_source
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.runtime.worker.worker_engine import WorkerEngine, WorkerOptions

SMALL = WorkerOptions(
    supervisor=SupervisorOptions(frame_bytes=32 * 32 * 3, answer_deadline_s=2.0, restarts=RestartLimit(3, 600.0))
)
Open = Callable[..., WorkerEngine]


@pytest.fixture
def opened(script: Any) -> Iterator[Open]:
    workers = []

    def start(options: WorkerOptions = SMALL, factory: Any = script.open_scripted) -> WorkerEngine:
        workers.append(WorkerEngine(factory, script.info(), options))
        workers[-1].wait_ready(60.0)
        return workers[-1]

    yield start
    for worker in workers:
        pids = worker.worker_pids
        worker.close()
        worker.close()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _open_tiny(engine: Path, frame_bytes: int) -> Engine:
    return open_engine(engine, Use(1))


def _strike(worker: WorkerEngine) -> None:
    os.kill(worker.worker_pids[0], signal.SIGKILL)


def test_masks_are_those_of_the_same_engine_in_this_process(tiny_engine: Path, numbered: Any) -> None:
    engine = open_engine(tiny_engine, Use(1))
    worker = WorkerEngine(functools.partial(_open_tiny, tiny_engine), engine.info, SMALL)
    frames = [numbered.draw(number, 40 + number, 90) for number in (3, 200, 77)]  # larger than was set aside
    for frame in frames:
        np.testing.assert_array_equal(segment(worker, frame), segment(engine, frame))
        given = PackedFrame(frame, "bgr")
        np.testing.assert_array_equal(probability_of(worker, given), probability_of(engine, given))
    worker.close()


def test_a_frame_larger_than_its_room_is_refused_where_the_engine_does_not_grow(script: Any, opened: Open) -> None:
    worker = opened(replace(SMALL, grows=False))
    with pytest.raises(BadInputError, match="larger"):
        worker.submit(PackedFrame(script.frame_of(1, height=200, width=300), "rgb"))
    assert worker.restarts == 0


def test_a_killed_process_costs_no_frame(script: Any, opened: Open) -> None:
    worker = opened()
    for number in range(30):
        if number in (7, 20):
            _strike(worker)
        assert float(probability_of(worker, PackedFrame(script.frame_of(number), "rgb"))[0, 0, 0]) == number / 65536
    assert worker.restarts == 2


def test_a_larger_frame_gets_a_process_with_room_and_restarts_are_still_counted(script: Any, opened: Open) -> None:
    worker = opened()
    _strike(worker)
    assert (
        float(probability_of(worker, PackedFrame(script.frame_of(5, height=32, width=32), "rgb"))[0, 0, 0]) == 5 / 65536
    )
    pid = worker.worker_pids
    large = script.frame_of(6, height=200, width=300)
    assert float(probability_of(worker, PackedFrame(large, "rgb"))[0, 0, 0]) == 6 / 65536
    assert worker.worker_pids != pid
    pid = worker.worker_pids
    assert float(probability_of(worker, PackedFrame(large, "rgb"))[0, 0, 0]) == 6 / 65536
    assert worker.worker_pids == pid
    assert worker.restarts == 1, "room is no restart, and no restart is forgotten for it"


def test_a_process_that_cannot_open_the_engine_says_its_own_error(script: Any, opened: Open) -> None:
    with pytest.raises(MissingComponentError, match="no such GPU"):
        opened(factory=script.open_never)


def test_a_frame_that_kills_every_process_is_an_error_and_no_endless_loop(script: Any, opened: Open) -> None:
    worker = opened(WorkerOptions(supervisor=SupervisorOptions(frame_bytes=3072, restarts=RestartLimit(9, 600.0))))
    with pytest.raises(FrameLostError, match="3 times"):
        probability_of(worker, PackedFrame(script.frame_of(1, script.DIE), "rgb"))
    assert worker.restarts <= 3


def test_a_frame_that_is_refused_each_time_says_why(script: Any, opened: Open) -> None:
    worker = opened()
    with pytest.raises(TransientError, match="refused as told"):
        probability_of(worker, PackedFrame(script.frame_of(1, script.REFUSE), "rgb"))
    assert worker.restarts == 0


class KeepingSink:
    """Keeps masks; strikes the engine's process when it is given certain frames."""

    def __init__(self, strikes: dict[int, Callable[[], None]]) -> None:
        self.masks: list[Frame] = []
        self._strikes = strikes

    def write(self, frame: Any, mask: Frame) -> None:
        self._strikes.get(frame.index, lambda: None)()
        self.masks.append(mask)


def test_a_stream_loses_no_frame_when_the_process_is_killed_in_its_midst(
    tiny_engine: Path, numbered_clip: Path, numbered: Any
) -> None:
    engine = open_engine(tiny_engine, Use(1))
    worker = WorkerEngine(functools.partial(_open_tiny, tiny_engine), engine.info)
    sink = KeepingSink({10: lambda: _strike(worker), 25: lambda: _strike(worker)})
    with open_source(numbered_clip) as source:
        result = run_stream(worker, source, Sinks(masks=(sink,)))
    worker.close()
    assert [numbered.read(mask) for mask in sink.masks] == list(range(40))
    assert result.latency.restarts == 2
    assert result.latency.frames == result.latency.inferences == 40
    assert result.latency.drops == 0
    assert result.latency.pre is not None and result.latency.infer is not None
