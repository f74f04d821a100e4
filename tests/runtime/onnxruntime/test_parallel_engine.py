"""Sessions side by side give what one gives; none idles while frames wait."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.failures import TransientError
from edgeseg.runtime.engine.frame_engine import FrameEngine, frame_engine
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Lost, Segmented
from edgeseg.runtime.engine.session import Session, preprocess
from edgeseg.runtime.onnxruntime.parallel_engine import ParallelEngine
from edgeseg.runtime.opener.loading import open_engine

FRAME = PackedFrame(np.zeros((40, 40, 3), np.uint8), "bgr")


@pytest.fixture
def alone(tiny_engine: Path) -> Session:
    return open_engine(tiny_engine, 1)


class Scripted:
    """A session that does as told."""

    def __init__(self, like: Session, answer: object) -> None:
        self.info = like.info
        self._answer = answer

    def infer(self, frames: object) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer(frames)  # type: ignore[operator]

    def close(self) -> None:
        pass


def test_each_frame_gets_what_one_session_gives_it_in_order(tiny_engine: Path, alone: Session) -> None:
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (int(rng.integers(20, 90)), 70, 3), np.uint8) for _ in range(40)]
    side_by_side = ParallelEngine(lambda: open_engine(tiny_engine, 1), sessions=3, waiting=2)
    assert isinstance(side_by_side, FrameEngine)
    engine = frame_engine(side_by_side)
    assert engine is side_by_side and engine.capacity == 5
    under_way: LosslessFrames[int] = LosslessFrames(engine)
    taken = []
    for index, frame in enumerate(frames):
        under_way.add(index, PackedFrame(frame, "bgr"))
        while under_way.is_full:
            taken.append(under_way.take())
    while under_way:
        taken.append(under_way.take())
    assert [index for index, _ in taken] == list(range(40))
    for index, segmented in taken:
        expected = alone.infer(preprocess(alone, PackedFrame(frames[index], "bgr")))[0]
        np.testing.assert_array_equal(segmented.probability, expected)
    engine.close()
    engine.close()


def test_a_frame_too_many_is_not_taken_and_nothing_comes_of_none(tiny_engine: Path) -> None:
    engine = ParallelEngine(lambda: open_engine(tiny_engine, 1), sessions=2)
    assert engine.poll(60) == []
    assert [engine.submit(FRAME), engine.submit(FRAME), engine.submit(FRAME)] == [1, 2, None]
    outcomes = []
    while len(outcomes) < 2:
        outcomes += engine.poll(60)
    assert {outcome.sequence for outcome in outcomes} == {1, 2}
    assert engine.submit(FRAME) == 3
    engine.close()


def test_a_frame_that_waits_starts_as_soon_as_any_session_is_free(alone: Session) -> None:
    """The first frame holds its session until the two after it are done: they need the other one, and no caller."""
    others_done = threading.Semaphore(0)
    first = threading.Event()

    def answer(frames: object) -> object:
        if not first.is_set():
            first.set()
            assert others_done.acquire(timeout=60) and others_done.acquire(timeout=60)
        else:
            others_done.release()
        return np.zeros((1, 1, 4, 4), np.float32)

    engine = ParallelEngine(lambda: Scripted(alone, answer), sessions=2, waiting=1)  # type: ignore[arg-type, return-value]
    assert engine.submit(FRAME) == 1
    assert first.wait(60)
    engine.submit(FRAME)
    engine.submit(FRAME)
    order: list[int] = []
    while len(order) < 3:
        order += [outcome.sequence for outcome in engine.poll(60)]
    assert sorted(order) == [1, 2, 3]
    engine.close()


def test_what_an_inference_raises_reaches_the_caller(alone: Session) -> None:
    fatal = ParallelEngine(lambda: Scripted(alone, EdgesegError("as told")), sessions=1)  # type: ignore[arg-type, return-value]
    fatal.submit(FRAME)
    with pytest.raises(EdgesegError, match="as told"):
        fatal.poll(60)
    fatal.close()
    passing = ParallelEngine(lambda: Scripted(alone, TransientError("once")), sessions=1)  # type: ignore[arg-type, return-value]
    sequence = passing.submit(FRAME)
    (lost,) = passing.poll(60)
    assert isinstance(lost, Lost) and (lost.sequence, lost.loss) == (sequence, "refused")
    passing.close()


def test_waiting_is_no_part_of_a_frame_s_time(alone: Session) -> None:
    gate = threading.Semaphore(0)

    def answer(frames: object) -> object:
        gate.acquire()
        return np.zeros((1, 1, 4, 4), np.float32)

    engine = ParallelEngine(lambda: Scripted(alone, answer), sessions=1, waiting=1)  # type: ignore[arg-type, return-value]
    engine.submit(FRAME)
    engine.submit(FRAME)
    threading.Event().wait(0.2)
    gate.release(2)
    outcomes: list[Segmented] = []
    while len(outcomes) < 2:
        outcomes += [outcome for outcome in engine.poll(60) if isinstance(outcome, Segmented)]
    waited, came_at_once = outcomes[0].infer_ms, outcomes[1].infer_ms
    assert waited >= 190
    assert came_at_once < waited
    engine.close()
