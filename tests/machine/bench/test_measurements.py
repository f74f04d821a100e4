"""Latency and throughput on a made-up engine and a made-up clock: every figure is known beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import UsageError
from edgeseg.machine.bench.frame_latency import measure_back_to_back, measure_paced, over_budget_share
from edgeseg.machine.bench.plan import parse_counts, parse_rates, rule_within
from edgeseg.machine.bench.throughput import cpu_layouts, frames_per_second, measure_batch, measure_lanes
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError, StickyCudaError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.video.engine_input import network_input_of
from edgeseg.runtime.video.picture import Picture
from edgeseg.specs import ModelSpec, PreprocessSpec
from tests.proof.timing.fake_clock import FakeClock, TimedEngine

INFO = SessionInfo(ModelSpec(architecture="n", height=8, width=8), PreprocessSpec(), "made-up", "fp32", "0" * 64)
RULE = StabilityRule(window_samples=10, window_s=0.0, max_s=60.0)
PICTURE = Picture.of_bgr(np.zeros((4, 4, 3), np.uint8))
FRAMES: Iterator[Picture] = repeat(PICTURE)


def engine_taking(milliseconds: Callable[[int], float]) -> tuple[TimedEngine, FakeClock]:
    clock = FakeClock(look_ns=100)
    return TimedEngine(clock, INFO, milliseconds), clock


def test_back_to_back() -> None:
    engine, clock = engine_taking(lambda n: 30.0 if n < 15 else 10.0)
    series, stages = measure_back_to_back(engine, FRAMES, RULE, clock, [])
    assert (series.end_to_end.p50_ms, series.end_to_end.max_ms) == (10.0, 10.0)
    assert (series.samples, series.stable) == (30, True)
    assert stages["infer"].p50_ms == 5.0


def test_a_resting_processor_is_slower_at_a_rate_and_that_is_what_is_told() -> None:
    """Clocks down when it rested more than 5 ms since the last frame."""
    clock = FakeClock()
    last = [clock.ns]

    def taken(_: int) -> float:
        rested_ms = (clock.ns - last[0]) / 1e6
        duration = 19.0 if rested_ms > 5 else 7.0
        last[0] = clock.ns + round(duration * 1e6)
        return duration

    engine = TimedEngine(clock, INFO, taken)
    usual, _ = measure_back_to_back(engine, FRAMES, RULE, clock, [])
    paced = measure_paced(engine, FRAMES, Fraction(25), None, RULE, clock, [])
    assert usual.end_to_end.p50_ms == pytest.approx(7.0)
    assert paced.series.end_to_end.p50_ms == pytest.approx(19.0, abs=0.01)
    assert (paced.budget_ms, paced.over_budget_share, paced.dropped) == (40.0, 0.0, 0)
    tight = measure_paced(engine, FRAMES, Fraction(25), 15.0, RULE, clock, [])
    assert (tight.budget_ms, tight.over_budget_share) == (15.0, 1.0)


def test_an_engine_slower_than_the_rate() -> None:
    engine, clock = engine_taking(lambda n: 100.0)
    paced = measure_paced(engine, FRAMES, Fraction(25), None, RULE, clock, [])
    assert paced.over_budget_share == 1.0
    assert paced.dropped == pytest.approx(1.5 * paced.series.samples, abs=2)  # 2.5 frames come while one is worked on
    assert paced.series.end_to_end.max_ms == pytest.approx(120.0, abs=0.1)
    assert paced.at_work.p50_ms == paced.at_work.max_ms == 100.0  # the wait is the frame's, not the engine's


def test_every_tenth_frame_late() -> None:
    engine, clock = engine_taking(lambda n: 50.0 if n % 10 == 0 else 5.0)
    paced = measure_paced(engine, FRAMES, Fraction(25), None, RULE, clock, [])
    assert paced.over_budget_share == pytest.approx(0.1)
    assert paced.spin_share < 0.01
    assert paced.wake_late_p99_ms == pytest.approx(0.001, abs=0.01)


@given(st.lists(st.integers(1, 10**8), min_size=1), st.integers(0, 100), st.floats(0.001, 100))
def test_the_share_counts_every_frame_once(durations: list[int], dropped: int, budget_ms: float) -> None:
    share = over_budget_share(durations, dropped, budget_ms)
    in_time = sum(duration <= budget_ms * 1e6 for duration in durations)
    assert share * (len(durations) + dropped) + in_time == pytest.approx(len(durations) + dropped)


def inputs(info: SessionInfo) -> Iterator[EngineInput]:
    return repeat(network_input_of(PICTURE, info))


def test_lanes() -> None:
    engine, clock = engine_taking(lambda n: 4.0)
    opened: Callable[[], Any] = lambda: contextlib.closing(engine)  # noqa: E731
    point = measure_lanes(opened, 3, 2, inputs, RULE, clock, [])
    assert point.frames_per_second == pytest.approx(250, rel=0.01)
    assert point.series.end_to_end.p50_ms == pytest.approx(12.0, rel=0.01)  # two are before it
    assert (point.lanes, point.threads, point.series.stable, engine.closed) == (3, 2, True, True)


def test_lanes_that_do_not_fit_the_gpus_memory_are_skipped_with_the_reason() -> None:
    @contextlib.contextmanager
    def no_room() -> Iterator[Any]:
        raise DeviceMemoryError("the GPU has no memory left", found="CUDA error 2")
        yield

    point = measure_lanes(no_room, 4, None, inputs, RULE, FakeClock(), [])
    assert point.frames_per_second is None
    assert point.skipped == "the GPU has no memory left (CUDA error 2)"


def test_a_lost_gpu_is_not_skipped_over() -> None:
    @contextlib.contextmanager
    def lost() -> Iterator[Any]:
        raise StickyCudaError("the GPU failed for good")
        yield

    with pytest.raises(StickyCudaError):
        measure_lanes(lost, 1, None, inputs, RULE, FakeClock(), [])


def test_batches() -> None:
    engine, clock = engine_taking(lambda n: 2.0)
    point = measure_batch(engine, 4, RULE, clock, [], threads=2)
    assert point.frames_per_second == pytest.approx(500, rel=0.01)
    assert point.series.end_to_end.p50_ms == pytest.approx(8.0, rel=0.01)


def test_layouts_share_the_cores() -> None:
    layouts = cpu_layouts((1, 2, 3, 4), 3)
    assert [(sessions, threads) for sessions, threads, _ in layouts] == [(1, 3), (2, 1), (3, 1), (4, 1)]
    assert [refusal is None for _, _, refusal in layouts] == [True, True, True, False]
    assert frames_per_second([10**9, 10**9], 8) == 8


def test_options() -> None:
    assert parse_rates("25, 29.97,30000/1001") == (Fraction(25), Fraction("29.97"), Fraction(30000, 1001))
    assert parse_rates("none") == () == parse_counts("none", "--lanes", 4)
    assert parse_counts("1,4,1", "--lanes", 4) == (1, 4)
    assert rule_within(0.4).window_s == 0.05 and rule_within(60).window_s == 0.5
    for text in ("", "0", "-25", "25,,30", "1/0", "1e9"):
        with pytest.raises(UsageError):
            parse_rates(text)
    for text in ("", "0", "5", "1.5", "x"):
        with pytest.raises(UsageError):
            parse_counts(text, "--lanes", 4)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError):
            rule_within(seconds)
