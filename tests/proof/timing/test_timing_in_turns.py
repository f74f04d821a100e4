"""Engines whose times are set by the test, on a clock that only they move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgeseg.proof.timing.timing_in_turns import (
    BLOCK_ROUNDS,
    LEAST_ROUNDS,
    Rounds,
    reach,
    time_in_turns,
)
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.runtime.video.picture import Picture
from edgeseg.specs import ModelSpec, PreprocessSpec

SIDE = 4
MS = 1_000_000
PICTURES = [Picture.of_bgr(np.zeros((SIDE, SIDE, 3), np.uint8)).planar()]


class SetClock:
    """Stands still but for what engines add."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


class Timed:
    """Takes so many milliseconds a frame."""

    info = SessionInfo(
        ModelSpec(architecture="timed", height=SIDE, width=SIDE), PreprocessSpec(), "onnxruntime", "fp32", "0"
    )

    def __init__(self, clock: SetClock, ms: Iterator[float]) -> None:
        self.clock, self.ms, self.frames = clock, ms, 0

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        self.frames += 1
        self.clock.ns += round(next(self.ms) * MS)
        return np.zeros((1, 1, SIDE, SIDE), np.float32)

    def close(self) -> None:
        pass


def forever(ms: float, disturbed: float = 0.0, share: float = 0.0, seed: int = 0) -> Iterator[float]:
    generator = np.random.default_rng(seed)
    while True:
        yield ms + (disturbed if generator.random() < share else 0)


def engines_of(clock: SetClock, *times: Iterator[float]) -> list[Engine]:
    return [engine_of(Timed(clock, ms)) for ms in times]


def test_quiet_engines_settle_and_ratios_are_theirs() -> None:
    clock = SetClock()
    rounds = time_in_turns(engines_of(clock, forever(10), forever(5), forever(10)), PICTURES, 60, clock)
    assert rounds.stable and rounds.undisturbed_ms(1) == 5
    share = rounds.share(1, 0)
    assert (share.ratio, share.saved_ms, share.outcome) == (0.5, 5, "quicker")
    assert rounds.share(0, 1).outcome == "slower"
    assert (rounds.share(2, 0).outcome, reach(rounds.share(2, 0))) == ("within noise", 0)


def test_what_disturbs_most_frames_moves_no_ratio() -> None:
    clock = SetClock()
    times = forever(10, 40, 0.6, 1), forever(8, 40, 0.6, 2), forever(10, 40, 0.6, 3)
    rounds = time_in_turns(engines_of(clock, *times), PICTURES, 20, clock)
    assert rounds.share(1, 0).ratio == pytest.approx(0.8)
    assert reach(rounds.share(2, 0)) < 0.05
    assert rounds.percentiles(0).p90_ms == 50  # as measured


def test_a_difference_no_larger_than_the_noise_is_none() -> None:
    times = np.array([[10 * MS, 9 * MS]] * 20)
    assert Rounds(times, True, None).share(1, 0).outcome == "quicker"
    assert Rounds(times, True, None).share(1, 0, noise=0.11).outcome == "within noise"


def test_slow_engines_get_their_rounds_whatever_the_time_allows() -> None:
    clock = SetClock()
    rounds = time_in_turns(engines_of(clock, forever(3000), forever(1000)), PICTURES, 1, clock)
    assert len(rounds.times_ns) == LEAST_ROUNDS
    assert rounds.share(1, 0).ratio == pytest.approx(1 / 3)


def test_every_turn_begins_with_a_frame_that_does_not_count() -> None:
    clock = SetClock()

    def first_is_slow() -> Iterator[float]:
        while True:
            yield from (50, 10)

    sessions = [Timed(clock, first_is_slow()), Timed(clock, forever(10))]
    sessions[0].infer(np.zeros((1, SIDE, SIDE, 3), np.uint8))  # five frames of warm-up shift the pattern
    rounds = time_in_turns([engine_of(session) for session in sessions], PICTURES, 5, clock)
    assert rounds.share(0, 1).ratio == 1


def test_the_last_block_takes_what_is_left_over() -> None:
    times = np.arange(1, BLOCK_ROUNDS * 2 + 4)[:, np.newaxis] * MS
    assert Rounds(times, True, None).quickest_ms[:, 0].tolist() == [1, BLOCK_ROUNDS + 1]
    assert Rounds(times[:3], True, None).quickest_ms[:, 0].tolist() == [1]
