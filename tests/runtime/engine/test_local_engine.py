"""Sessions side by side give what one gives; none idles while frames wait."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.local_engine import LocalEngine, engine_of
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Lost, Segmented
from edgeseg.runtime.engine.session import Session, preprocess
from edgeseg.runtime.opener.engine_from_file import open_here

FRAME = PackedFrame(np.zeros((40, 40, 3), np.uint8), "bgr")


def opened(engine: Path) -> Session:
    return cast("Session", open_here(engine, SessionLayout(threads=1)))


@pytest.fixture
def alone(tiny_engine: Path) -> Session:
    return opened(tiny_engine)


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
    side_by_side = LocalEngine(lambda: opened(tiny_engine), sessions=3, waiting=2)
    assert isinstance(side_by_side, Engine)
    engine = engine_of(side_by_side)
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
        expected = alone.infer(preprocess(alone.info, PackedFrame(frames[index], "bgr")))[0]
        np.testing.assert_array_equal(segmented.probability, expected)
    engine.close()
    engine.close()


def test_a_frame_too_many_is_not_taken_and_nothing_comes_of_none(tiny_engine: Path) -> None:
    engine = LocalEngine(lambda: opened(tiny_engine), sessions=2)
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

    engine = LocalEngine(lambda: Scripted(alone, answer), sessions=2, waiting=1)  # type: ignore[arg-type, return-value]
    assert engine.submit(FRAME) == 1
    assert first.wait(60)
    engine.submit(FRAME)
    engine.submit(FRAME)
    order: list[int] = []
    while len(order) < 3:
        order += [outcome.sequence for outcome in engine.poll(60)]
    assert sorted(order) == [1, 2, 3]
    engine.close()


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("error", [EdgesegError("as told"), TransientError("once")], ids=["for good", "once"])
def test_an_error_of_one_frame_is_its_outcome(alone: Session, sessions: int, error: EdgesegError) -> None:
    engine = LocalEngine(lambda: Scripted(alone, error), sessions)  # type: ignore[arg-type, return-value]
    sequence = engine.submit(FRAME)
    (lost,) = engine.poll(60)
    assert isinstance(lost, Lost)
    assert (lost.sequence, lost.loss, lost.error) == (sequence, "refused", error)
    engine.close()


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("error", [ProcessLostError("gone"), RuntimeError("a defect")], ids=["the process", "a defect"])
def test_what_is_not_one_frames_alone_is_raised(alone: Session, sessions: int, error: Exception) -> None:
    engine = LocalEngine(lambda: Scripted(alone, error), sessions)  # type: ignore[arg-type, return-value]
    engine.submit(FRAME)
    with pytest.raises(type(error), match=str(error)):
        engine.poll(60)
    engine.close()


def test_a_single_session_stays_on_the_callers_thread(alone: Session) -> None:
    threads: list[int] = []

    def answer(frames: object) -> object:
        threads.append(threading.get_ident())
        return np.zeros((1, 1, 4, 4), np.float32)

    engine = LocalEngine(lambda: Scripted(alone, answer))  # type: ignore[arg-type, return-value]
    engine.submit(FRAME)
    assert engine.submit(FRAME) is None and not threads
    assert len(engine.poll()) == 1 and threads == [threading.get_ident()]
    engine.close()


def test_waiting_is_no_part_of_a_frame_s_time(alone: Session) -> None:
    gate = threading.Semaphore(0)

    def answer(frames: object) -> object:
        gate.acquire()
        return np.zeros((1, 1, 4, 4), np.float32)

    engine = LocalEngine(lambda: Scripted(alone, answer), sessions=2, waiting=2)  # type: ignore[arg-type, return-value]
    for _ in range(4):
        engine.submit(FRAME)
    threading.Event().wait(0.2)
    gate.release(4)
    outcomes: list[Segmented] = []
    while len(outcomes) < 4:
        outcomes += [outcome for outcome in engine.poll(60) if isinstance(outcome, Segmented)]
    times_ms = sorted(outcome.infer_ms for outcome in outcomes)
    assert times_ms[2] >= 190, "two found the gate closed"
    assert times_ms[1] < 190, "the others waited for a session, which is not inference"
    engine.close()
