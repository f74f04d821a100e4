"""Sessions side by side give what one gives, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.runtime.backends.parallel_sessions import ParallelSessions
from edgeseg.runtime.frame_engine import InProcessEngine, frame_engine
from edgeseg.runtime.frame_session import FrameSession
from edgeseg.runtime.loading import open_engine
from edgeseg.runtime.lossless import LosslessFrames
from edgeseg.runtime.session import Session, preprocess


@pytest.fixture
def alone(tiny_engine: Path) -> Session:
    return open_engine(tiny_engine, 1)


def test_each_frame_gets_what_one_session_gives_it_in_order(tiny_engine: Path, alone: Session) -> None:
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (int(rng.integers(20, 90)), 70, 3), np.uint8) for _ in range(40)]
    side_by_side = ParallelSessions(lambda: open_engine(tiny_engine, 1), lanes=3)
    assert isinstance(side_by_side, FrameSession)
    engine = frame_engine(side_by_side)
    assert isinstance(engine, InProcessEngine)
    assert engine.capacity == 3
    under_way: LosslessFrames[int] = LosslessFrames(engine)
    taken = []
    for index, frame in enumerate(frames):
        under_way.add(index, frame)
        while under_way.is_full:
            taken.append(under_way.take())
    while under_way:
        taken.append(under_way.take())
    assert [index for index, _ in taken] == list(range(40))
    for index, segmented in taken:
        expected = alone.infer(preprocess(alone, frames[index], "bgr"))[0]
        np.testing.assert_array_equal(segmented.probability, expected)
    engine.close()
    engine.close()


def test_one_frame_too_many_and_a_result_of_nothing_are_refused(tiny_engine: Path) -> None:
    sessions = ParallelSessions(lambda: open_engine(tiny_engine, 1), lanes=2)
    with pytest.raises(EdgesegError, match="no frame under way"):
        sessions.result()
    frame = np.zeros((40, 40, 3), np.uint8)
    sessions.submit(frame)
    sessions.submit(frame)
    with pytest.raises(EdgesegError, match="every lane"):
        sessions.submit(frame)
    sessions.close()


def test_an_inference_that_fails_is_told_by_its_own_result(alone: Session) -> None:
    class Failing:
        info = alone.info

        def infer(self, frames: object) -> object:
            raise EdgesegError("as told")

        def close(self) -> None:
            pass

    sessions = ParallelSessions(Failing, lanes=1)  # type: ignore[arg-type]
    sessions.submit(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(EdgesegError, match="as told"):
        sessions.result()
    sessions.close()
