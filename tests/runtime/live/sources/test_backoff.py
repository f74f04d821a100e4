"""Pauses grow, stay within their bounds, and differ from box to box."""

import random

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.sources.backoff import Backoff


@given(first_s=st.floats(0.01, 5), longest_s=st.floats(5, 60), seed=st.integers(0), failures=st.integers(1, 200))
def test_every_pause_is_within_its_bounds(first_s: float, longest_s: float, seed: int, failures: int) -> None:
    backoff = Backoff(first_s, longest_s, random.Random(seed))
    for failure in range(failures):
        pause_s = backoff.next_pause_s()
        nominal_s = min(longest_s, first_s * 2.0**failure) if failure < 60 else longest_s
        assert nominal_s / 2 <= pause_s <= nominal_s


def test_two_boxes_do_not_come_back_in_step() -> None:
    one, other = (Backoff(1, 10, random.Random(seed)) for seed in (1, 2))
    assert [one.next_pause_s() for _ in range(3)] != [other.next_pause_s() for _ in range(3)]


def test_a_good_connection_makes_the_next_pause_short() -> None:
    backoff = Backoff(1, 100, random.Random(0))
    for _ in range(6):
        backoff.next_pause_s()
    backoff.reset()
    assert backoff.next_pause_s() <= 1
