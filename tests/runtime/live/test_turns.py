"""Whose turn it is: order and fairness by a clock that the test sets."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.turns import FORGET_S, LONGEST_REST_S, Turns


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _turns(count: int, clock: Clock | None = None) -> Turns:
    turns = Turns(clock or Clock())
    assert [turns.add() for _ in range(count)] == list(range(count))
    return turns


def test_streams_that_always_wait_take_turns_in_order() -> None:
    turns = _turns(3)
    assert [turns.next([True] * 3) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert turns.next([False] * 3) is None


def test_one_that_comes_now_and_then_is_served_before_one_that_floods() -> None:
    turns, served = _turns(2), []
    for step in range(30):
        rare = step % 3 == 0
        served.append((rare, turns.next([True, rare])))
    assert all(number == 1 for rare, number in served[1:] if rare), "at once, but for the very first turn"
    assert Counter(number for _, number in served) == {0: 21, 1: 9}


@given(st.integers(1, 5).flatmap(lambda count: st.lists(st.lists(st.booleans(), min_size=count, max_size=count))))
def test_a_stream_that_goes_on_waiting_has_its_turn_within_one_round(pattern: list[list[bool]]) -> None:
    count = len(pattern[0]) if pattern else 1
    turns, waited = _turns(count), [0] * count
    for waiting in pattern:
        number = turns.next(waiting)
        assert (number is None) == (not any(waiting))
        for each in range(count):
            waited[each] = 0 if each == number or not waiting[each] else waited[each] + 1
        assert number is None or waiting[number]
        assert max(waited) < count


def test_a_stream_whose_frames_end_processes_rests_longer_and_longer_and_the_others_go_on() -> None:
    clock = Clock()
    turns = _turns(2, clock)
    rests = []
    for _ in range(8):
        turns.note_fatal(0)
        started_s = clock.now_s
        while turns.rests(0):
            assert turns.next([True, True]) == 1
            clock.now_s += 0.25
        rests.append(clock.now_s - started_s)
    assert rests == [0, 1, 2, 4, 8, 16, LONGEST_REST_S, LONGEST_REST_S], "one death alone is forgiven: it may be chance"
    clock.now_s += FORGET_S
    turns.note_fatal(0)
    assert not turns.rests(0)


def test_a_stream_that_is_alone_never_rests() -> None:
    turns = _turns(1)
    for _ in range(9):
        turns.note_fatal(0)
    assert turns.next([True]) == 0
