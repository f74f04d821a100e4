"""One stream's segmenter with an engine of this process, which answers as it is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.segmenter import Segmenter
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec

SIZE = 8


def _full(value: float) -> Probability:
    return np.full((1, SIZE, SIZE), value, np.float32)


@dataclass
class ObedientEngine:
    """Answers at the next poll, or takes nothing."""

    answer: Callable[[int], Probability] = lambda number: _full(0.9)
    takes: Callable[[int], bool] = lambda number: True
    crop: Crop | None = None
    capacity: int = 1
    frame_bytes: int = 1 << 30
    is_ready: bool = True
    is_down: bool = False
    failure: None = None
    restarts: int = 0
    asked: int = 0
    _waiting: list[Outcome] = field(default_factory=list)

    @property
    def info(self) -> SessionInfo:
        model = ModelSpec(architecture="obedient", height=SIZE, width=SIZE)
        return SessionInfo(model, PreprocessSpec(crop=self.crop), "obedient", "fp32", "0" * 64)

    def waitables(self) -> list[Any]:
        return []

    def submit(self, frame: Any) -> int | None:
        self.asked += 1
        if not self.takes(self.asked):
            return None
        self._waiting.append(Segmented(self.asked, self.answer(self.asked), 1.0))
        return self.asked

    def poll(self) -> list[Outcome]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def close(self) -> None:
        pass


@dataclass
class Bench:
    """A segmenter that is handed one frame after the other."""

    engine: ObedientEngine
    refine: Any = None

    def __post_init__(self) -> None:
        self.frames: NewestSlot[SourceFrame] = NewestSlot(1)
        self.board = MaskBoard()
        self.segmenter = Segmenter(self.frames, self.board, self.refine)
        self.shared = SharedEngine(self.engine)  # type: ignore[arg-type]
        self.shared.add(self.segmenter)

    def feed(self, *sizes: tuple[int, int]) -> None:
        for index, (height, width) in enumerate(sizes):
            before = self._done
            self.frames.put(_frame(index, height, width))
            until_s = time.monotonic() + 10.0
            while self._done == before and time.monotonic() < until_s:
                time.sleep(0.002)
            assert self._done == before + 1, f"frame {index} is not accounted for"

    @property
    def _done(self) -> int:
        return self.segmenter.inferences + self.segmenter.lost

    def __enter__(self) -> Bench:
        self.shared.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shared.stop(30.0)
        assert not self.shared.is_alive


def _frame(index: int, height: int = 48, width: int = 64) -> SourceFrame:
    now_ns = time.monotonic_ns()
    picture = Picture.of_bgr(np.full((height, width, 3), 90, np.uint8)).planar()
    return SourceFrame(index, now_ns, now_ns, index, Fraction(1, 25), picture)


@pytest.mark.parametrize("crop", [Crop(top=8, left=8, height=64, width=64), Crop(top=4, left=4, height=40, width=56)])
def test_a_frame_that_the_crop_does_not_lie_inside_is_lost_and_the_next_is_segmented(crop: Crop) -> None:
    with Bench(ObedientEngine(crop=crop)) as bench:
        bench.feed((96, 96), (32, 32), (40, 48), (96, 96))
        assert (bench.segmenter.inferences, bench.segmenter.lost) == (2, 2)
        assert bench.shared.engine_state == "ready"
        assert bench.board.of_frame(3) is not None
        assert bench.board.of_frame(1) is None


def test_an_answer_that_is_not_a_number_is_no_empty_mask() -> None:
    def answer(number: int) -> Probability:
        probability = _full(0.1)
        probability[0, 3, 3] = {1: np.nan, 2: np.inf}.get(number, 0.1)
        return probability

    with Bench(ObedientEngine(answer)) as bench:
        bench.feed((48, 64), (48, 64))
        assert bench.board.newest(0, 1e9) is None
        assert "not a number" in bench.segmenter.fault
        bench.feed((48, 64))
        assert bench.board.newest(0, 1e9) is not None
        assert not bench.segmenter.fault


def test_what_fails_on_one_frame_takes_no_mask_from_the_next() -> None:
    class FailsOnce:
        calls = 0

        def probability(self, frame: SourceFrame, probability: Probability) -> Probability:
            return probability

        def mask(self, mask: Mask) -> Mask:
            self.calls += 1
            if self.calls == 1:
                raise ValueError("as told")
            return mask

    with Bench(ObedientEngine(), FailsOnce()) as bench:
        bench.feed((48, 64), (48, 64))
        assert (bench.board.count, bench.segmenter.lost) == (1, 1)


def test_a_frame_that_no_process_takes_is_counted() -> None:
    with Bench(ObedientEngine(takes=lambda number: number != 2)) as bench:
        bench.feed(*[(48, 64)] * 3)
        assert (bench.segmenter.inferences, bench.segmenter.lost) == (2, 1)


def test_the_log_does_not_grow_with_every_lost_frame(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), Bench(ObedientEngine(lambda number: _full(np.nan))) as bench:
        bench.feed(*[(48, 64)] * 30)
        assert bench.segmenter.lost == 30
    assert len([record for record in caplog.records if "lost" in record.message]) <= 5


@dataclass
class SlowEngine(ObedientEngine):
    """Takes a time for each answer that is longer than a frame period."""

    took_s: float = 0.06
    _due_s: float = 0.0

    def submit(self, frame: Any) -> int | None:
        self._due_s = time.monotonic() + self.took_s
        return super().submit(frame)

    def poll(self) -> list[Outcome]:
        if time.monotonic() < self._due_s:
            return []
        return [replace(outcome, infer_ms=1e3 * self.took_s) for outcome in super().poll()]  # type: ignore[call-arg]


def test_an_engine_that_is_too_slow_for_all_frames_is_in_time_for_some_in_synchronous_mode() -> None:
    useful_ms, in_time = 300.0, []

    class Noting(MaskBoard):
        def pin(self, mask: LiveMask) -> None:
            if time.monotonic_ns() - mask.arrived_ns <= useful_ms * 1e6:
                in_time.append(mask.index)

    frames: NewestSlot[SourceFrame] = NewestSlot(64)
    segmenter = Segmenter(frames, Noting(), useful_ms=useful_ms)
    shared = SharedEngine(SlowEngine())  # type: ignore[arg-type]
    shared.add(segmenter)
    shared.start()
    for index in range(150):
        frames.put(_frame(index))
        time.sleep(0.02)
    shared.stop(30.0)
    assert [index for index in in_time if index >= 75], "also once frames have piled up"
    assert segmenter.passed_over > 0


def test_streams_that_always_wait_share_an_engine_that_is_too_slow_for_either() -> None:
    shared, streams = SharedEngine(SlowEngine(took_s=0.03)), []  # type: ignore[arg-type]
    for _ in range(3):
        streams.append(Segmenter(NewestSlot(1), MaskBoard()))
        shared.add(streams[-1])
    for index in range(1000):
        for segmenter in streams:
            segmenter.frames.put(_frame(index))
        if index == 0:
            shared.start()
        if streams[0].inferences >= 8:
            break
        time.sleep(0.005)
    shared.stop(30.0)
    counts = [segmenter.inferences for segmenter in streams]
    assert min(counts) >= 7 and max(counts) - min(counts) <= 1


def test_what_computes_beside_is_told_when_the_engine_has_nothing_to_do() -> None:
    engine = SlowEngine(took_s=0.05)
    shared, segmenter = SharedEngine(engine), Segmenter(NewestSlot(1), MaskBoard())  # type: ignore[arg-type]
    told: list[tuple[bool, bool]] = []

    class Beside:
        def waitables(self) -> list[Any]:
            return []

        def see(self, *_: object) -> None:
            pass

        def step(self, is_idle: bool) -> None:
            told.append((is_idle, bool(engine._waiting) or len(segmenter.frames) > 0))

        def close(self) -> None:
            told.append((False, False))

    shared.add(segmenter)
    shared.beside = Beside()
    segmenter.frames.put(_frame(0))
    shared.start()
    until_s = time.monotonic() + 10.0
    while segmenter.inferences == 0 and time.monotonic() < until_s:
        time.sleep(0.005)
    time.sleep(0.15)
    shared.stop(30.0)
    busy = [is_idle for is_idle, has_work in told[:-1] if has_work]
    assert busy and not any(busy), "not while a frame is under way"
    assert any(is_idle for is_idle, _ in told), "but after it"
