"""The front against brute force, and the choice on times made up for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.artifacts import ConfidenceInterval, TimeShare
from edgeseg.machine.advise.choice import choose, pareto_front

KINDS = ("fp32", "fp16", "mixed", "int8")
COARSE = st.integers(0, 6).map(float)  # so that ties come up


def beaten(point: tuple[float, float], others: list[tuple[float, float]]) -> bool:
    return any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in others)


@given(st.lists(st.tuples(COARSE, COARSE), max_size=12))
def test_the_front_is_what_no_other_beats(points: list[tuple[float, float]]) -> None:
    assert pareto_front(points) == [not beaten(point, points) for point in points]


def choice_of(times: dict[str, float], noise: float = 0.01) -> tuple[str, tuple[str, ...]]:
    """Choose among engines of such times; a ratio's interval is the noise around it."""

    def share(first: str, other: str) -> TimeShare:
        ratio = times[first] / times[other]
        around = ConfidenceInterval(low=ratio - noise, high=ratio + noise)
        quiet = "quicker" if ratio < 1 else "slower"
        return TimeShare(
            ratio=ratio,
            interval=around,
            saved_ms=0,
            saved_interval=around,
            outcome="within noise" if abs(ratio - 1) <= noise else quiet,
        )

    chosen = choose(list(times), share, times.__getitem__, KINDS.index, noise)
    return chosen.advised, chosen.doubted_by


@pytest.mark.parametrize(
    ("times", "advised"),
    [
        ({"fp32": 10, "fp16": 12, "int8": 5}, "int8"),
        ({"fp32": 10, "fp16": 12, "mixed": 6, "int8": 5}, "int8"),
        ({"fp32": 10, "mixed": 5.1, "int8": 5}, "mixed"),  # 2 % less does not pay for more rounding
        ({"fp32": 10, "fp16": 10.5, "int8": 9.8}, "fp32"),
        ({"fp32": 10, "fp16": 4, "int8": 9}, "fp16"),
        ({"int8": 7}, "int8"),
    ],
)
def test_the_plainest_of_the_quickest(times: dict[str, float], advised: str) -> None:
    assert choice_of(times) == (advised, ())


def test_noise_leaves_the_plainest_and_says_which_engine_it_may_hide() -> None:
    assert choice_of({"fp32": 10, "fp16": 14, "int8": 8}, noise=0.3) == ("fp32", ("int8",))
    # No quicker as measured, but noise of 10 % could hide 5 %.
    assert choice_of({"fp32": 10, "int8": 10.4}, noise=0.1) == ("fp32", ("int8",))
    # The noise is smaller than what counts: a tie is a tie.
    assert choice_of({"fp32": 10, "int8": 9.85}, noise=0.02) == ("fp32", ())


def test_a_gain_far_beyond_the_noise_is_no_doubt() -> None:
    assert choice_of({"fp32": 10, "int8": 4}, noise=0.2) == ("int8", ())
