from __future__ import annotations

from itertools import count

import pytest

from benchmarks.gpu import alternation
from benchmarks.gpu.alternation import alternated
from edgeseg.proof.timing.stability import StabilityRule


def rule(samples: int, max_s: float = 1000.0) -> StabilityRule:
    return StabilityRule(window_samples=samples, window_s=0.0, max_s=max_s)


def test_it_stops_when_all_are_stable_and_keeps_the_last_windows() -> None:
    falling = count(8, -1)
    found = alternated({"flat": lambda: 2.0, "falling": lambda: float(max(next(falling), 3))}, rule(1))
    assert found["flat"].samples == found["falling"].samples == 8  # 8 7 6 5 4 3 3 3
    assert found["falling"].p50 == found["falling"].least == 3.0 and found["falling"].stable


def test_what_never_settles_is_given_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()  # each look at the clock is a second later
    monkeypatch.setattr(alternation.time, "monotonic", lambda: float(next(seconds)))
    rising = count(1)
    found = alternated({"rising": lambda: float(next(rising))}, rule(2, max_s=12.0))
    assert not found["rising"].stable
    assert found["rising"].samples == 8  # four windows of two samples, three looks at the clock in each
    assert found["rising"].p50 == 5.5  # of 3 to 8


def test_they_take_turns() -> None:
    order: list[str] = []

    def sampler(name: str) -> float:
        order.append(name)
        return 1.0

    alternated({"a": lambda: sampler("a"), "b": lambda: sampler("b")}, rule(2))
    assert "".join(order) == "aabb" * 3


def test_a_window_lasts_at_least_its_time() -> None:
    found = alternated({"fast": lambda: 1.0}, StabilityRule(window_samples=1, window_s=0.01, max_s=1000.0))
    assert found["fast"].samples > 3
