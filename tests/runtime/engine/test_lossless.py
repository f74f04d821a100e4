"""Engines that lose frames as hypothesis makes up; what comes out must be each frame's own map, in order."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.frames import Frame
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.local_engine import LocalEngine, engine_of
from edgeseg.runtime.engine.lossless import ATTEMPTS, FrameLostError, LosslessFrames
from edgeseg.runtime.engine.outcomes import Lost, Outcome, Segmented
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

INFO = SessionInfo(ModelSpec(architecture="a", height=2, width=2), PreprocessSpec(), "scripted", "fp32", "0" * 64)


class FlakyEngine:
    """Loses everything under way at certain polls, and then finds itself down for some submissions."""

    info = INFO
    device_name = None
    restarts = 0

    def __init__(self, capacity: int, deaths: set[int], down_for: int = 2) -> None:
        self.capacity, self._deaths, self._down_for = capacity, deaths, down_for
        self._under_way: deque[tuple[int, int]] = deque()
        self._polls = self._sequence = self._down = 0
        self.frames_seen = 0

    def wait_ready(self, timeout_s: float) -> None:
        self._down = 0

    def pin(self, memory: Any) -> bool:
        return False

    def submit(self, frame: Any) -> int | None:
        if self._down:
            self._down -= 1
            return None
        assert len(self._under_way) < self.capacity
        self._sequence += 1
        self._under_way.append((self._sequence, int(frame.pixels[0, 0, 0])))
        return self._sequence

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        self._polls += bool(self._under_way)
        if self._under_way and self._polls in self._deaths:
            lost: list[Outcome] = [Lost(sequence, "died") for sequence, _ in self._under_way]
            self._under_way.clear()
            self._down = self._down_for
            self.restarts += 1
            return lost
        if not self._under_way:
            return []
        sequence, number = self._under_way.popleft()
        self.frames_seen += 1
        return [Segmented(sequence, np.full((1, 2, 2), number, np.float32), 1.0)]

    def close(self) -> None: ...


def frame_of(number: int) -> Frame:
    return np.full((2, 2, 3), number, np.uint8)


def run_all(engine: Engine, count: int) -> tuple[list[tuple[int, float]], int]:
    frames: LosslessFrames[int] = LosslessFrames(engine)
    results = []
    for number in range(count):
        frames.add(number, PackedFrame(frame_of(number), "bgr"))
        while frames.is_full:
            results.append(frames.take())
    while frames:
        results.append(frames.take())
    return [(number, float(outcome.probability[0, 0, 0])) for number, outcome in results], frames.retries


@settings(deadline=None)
@given(capacity=st.integers(1, 5), deaths=st.sets(st.integers(1, 60), max_size=6), down_for=st.integers(0, 3))
def test_every_frame_has_its_own_map_whatever_dies(capacity: int, deaths: set[int], down_for: int) -> None:
    spaced: set[int] = set()
    for death in sorted(deaths):  # each but after a whole round of results, so never thrice on one frame
        if death > max(spaced, default=-capacity) + capacity:
            spaced.add(death)
    engine = FlakyEngine(capacity, spaced, down_for)
    results, retries = run_all(engine, 30)
    assert results == [(number, float(number)) for number in range(30)]
    assert engine.frames_seen == 30, "a frame that had its map was inferred again"
    assert retries <= capacity * engine.restarts


def test_a_frame_that_ends_every_engine_is_given_up() -> None:
    engine = FlakyEngine(1, set(range(1, 100)))
    frames: LosslessFrames[int] = LosslessFrames(engine)
    frames.add(0, PackedFrame(frame_of(0), "bgr"))
    with pytest.raises(FrameLostError, match=f"{ATTEMPTS} times") as raised:
        frames.take()
    assert raised.value.exit_code == 4
    assert "died" in str(raised.value.found)


class ScriptedSession:
    """Raises what it is told, once each."""

    info = INFO

    def __init__(self, *errors: EdgesegError | None) -> None:
        self.errors = deque(errors)

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        error = self.errors.popleft() if self.errors else None
        if error is not None:
            raise error
        return np.full((1, 1, 2, 2), frames[0, 0, 0, 0], np.float32)

    def close(self) -> None: ...


def test_a_session_of_this_process_is_asked_again_after_a_transient_refusal() -> None:
    engine = engine_of(ScriptedSession(None, TransientError("busy"), TransientError("busy")))
    assert isinstance(engine, LocalEngine) and engine.capacity == 1
    assert run_all(engine, 4) == ([(number, float(number)) for number in range(4)], 2)


@pytest.mark.parametrize("error", [BadInputError("no"), ProcessLostError("gone"), EdgesegError("defect")])
def test_what_no_second_try_mends_is_raised_at_once(error: EdgesegError) -> None:
    with pytest.raises(type(error)):
        run_all(engine_of(ScriptedSession(None, error)), 3)


def test_the_same_transient_refusal_again_and_again_is_raised_as_it_is() -> None:
    with pytest.raises(TransientError, match="busy"):
        run_all(engine_of(ScriptedSession(*[TransientError("busy")] * ATTEMPTS)), 3)


def test_an_engine_is_taken_as_it_is() -> None:
    engine = FlakyEngine(2, set())
    assert engine_of(engine) is engine  # type: ignore[comparison-overlap,arg-type]
