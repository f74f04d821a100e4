import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.runtime.engine import time_ratio as timing
from edgeseg.runtime.engine.time_ratio import BUDGET_S, MIN_PAIRS, WARM_UP, time_ratio

INFO = SimpleNamespace(model=SimpleNamespace(height=4, width=6))


@dataclass
class Clock:
    now_s: float = 0.0

    def perf_counter(self) -> float:
        return self.now_s


@dataclass
class Session:
    """Takes so many seconds for each inference of a list, the last one from there on."""

    clock: Clock
    seconds: list[float]
    info: Any = field(default_factory=lambda: INFO)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def infer(self, frames: Any) -> None:
        self.clock.now_s += self.seconds[min(len(self.shapes), len(self.seconds) - 1)]
        self.shapes.append(frames.shape)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_the_ratio_of_two_steady_sessions(clock: Clock) -> None:
    first, second = Session(clock, [0.5] * WARM_UP + [0.03]), Session(clock, [0.9] * WARM_UP + [0.06])
    measured = time_ratio(first, second)
    assert measured.ratio == pytest.approx(0.5)
    assert (measured.first_ms, measured.second_ms) == (pytest.approx(30), pytest.approx(60))
    assert set(first.shapes) == {(1, 4, 6, 3)}
    assert len(first.shapes) == len(second.shapes) == WARM_UP + math.ceil(BUDGET_S / 0.09)


def test_a_slow_network_is_measured_a_few_times_all_the_same(clock: Clock) -> None:
    first, second = Session(clock, [3.0]), Session(clock, [2.0])
    assert time_ratio(first, second).ratio == pytest.approx(1.5)
    assert len(first.shapes) == len(second.shapes) == WARM_UP + MIN_PAIRS


def test_a_disturbance_of_a_third_of_the_pairs_does_not_count(clock: Clock) -> None:
    disturbed = [0.1] * WARM_UP + [0.1, 0.1, 1.0] * 3
    assert time_ratio(Session(clock, disturbed), Session(clock, [0.1])).ratio == pytest.approx(1.0)
