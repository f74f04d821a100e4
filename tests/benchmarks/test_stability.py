from __future__ import annotations

from itertools import count

import pytest

from benchmarks.gpu.stability import Windows, alternated, is_stable


@pytest.mark.parametrize(
    ("medians", "stable"),
    [
        ([], False),
        ([1.0, 1.0], False),
        ([9.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.005, 1.009], True),
        ([1.0, 1.005, 1.011], False),
        ([1.0, 1.0, 1.0, 1.2], False),
    ],
)
def test_three_windows_within_one_percent(medians: list[float], stable: bool) -> None:
    assert is_stable(medians) is stable


def test_it_stops_when_all_are_stable_and_keeps_the_last_windows() -> None:
    falling = count(8, -1)
    samplers = {"flat": lambda: 2.0, "falling": lambda: float(max(next(falling), 3))}
    found = alternated(samplers, Windows(samples=1, most=40))
    assert found["flat"].samples == found["falling"].samples == 8  # 8 7 6 5 4 3 3 3
    assert found["falling"].p50 == found["falling"].least == 3.0 and found["falling"].stable


def test_what_never_settles_is_given_as_such() -> None:
    rising = count(1)
    found = alternated({"rising": lambda: float(next(rising))}, Windows(samples=2, most=4))
    assert found["rising"].samples == 8 and not found["rising"].stable
    assert found["rising"].p50 == 5.5  # of 3 to 8
