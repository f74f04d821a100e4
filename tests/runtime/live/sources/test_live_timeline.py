"""Timestamps grow whatever a stream says, keep its distances while it is sane, and follow the clock where it is not."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.sources.contract import LIVE_TIME_BASE
from edgeseg.runtime.live.sources.live_timeline import TOLERANCE_S, LiveTimeline

SECOND_NS = 10**9
times = st.one_of(st.none(), st.fractions(-(10**6), 10**6, max_denominator=90_000))
arrivals = st.integers(0, 30 * SECOND_NS)
steps = st.tuples(times, arrivals, st.booleans())


def placed(entries: list[tuple[Fraction | None, int]]) -> list[Fraction]:
    timeline = LiveTimeline()
    return [timeline.place(time_s, arrived_ns) * LIVE_TIME_BASE for time_s, arrived_ns in entries]


@given(st.lists(steps, min_size=1))
def test_always_growing_and_never_far_behind_the_clock(entries: list[tuple[Fraction | None, int, bool]]) -> None:
    timeline, last, now_ns = LiveTimeline(), -1, 0
    for time_s, later_ns, reconnects in entries:
        now_ns += later_ns
        if reconnects:
            timeline.reconnect()
        ticks = timeline.place(time_s, now_ns)
        clock_s = Fraction(now_ns - entries[0][1], SECOND_NS)
        assert ticks > last
        assert ticks * LIVE_TIME_BASE > clock_s - TOLERANCE_S - Fraction(1, 1000)
        last = ticks


@given(st.integers(0, 10**9), st.lists(st.tuples(st.integers(1, 90_000), st.integers(0, 400)), min_size=1, max_size=50))
def test_a_sane_stream_keeps_its_own_distances(start: int, frames: list[tuple[int, int]]) -> None:
    """However unevenly the network delivers it: up to 0.4 s late."""
    ticks, entries = start, []
    for distance, late_ms in frames:
        ticks += distance
        arrived_ns = (ticks - start) * SECOND_NS // 90_000 + late_ms * 10**6
        entries.append((ticks * LIVE_TIME_BASE, arrived_ns))
    result = placed(entries)
    assert [time - result[0] for time in result] == [time - entries[0][0] for time, _ in entries]


def test_a_jump_goes_on_from_the_clock() -> None:
    entries = [(Fraction(0), 0), (Fraction(1, 25), SECOND_NS // 25), (Fraction(5000), 2 * SECOND_NS // 25)]
    assert placed(entries) == [0, Fraction(1, 25), Fraction(2, 25)]


def test_a_stream_that_starts_anew_goes_on_a_step_later() -> None:
    early = [(Fraction(index, 25), 0) for index in range(50)]
    anew = [(Fraction(index, 25), 0) for index in range(5)]
    assert placed(early + anew) == [Fraction(index, 25) for index in range(55)]


def test_a_frame_without_a_time_stands_where_it_came() -> None:
    assert placed([(None, 7), (None, 7 + SECOND_NS)]) == [0, 1]


def test_a_new_connection_leaves_the_gap_that_there_was() -> None:
    timeline = LiveTimeline()
    timeline.place(Fraction(500), 0)
    timeline.reconnect()
    assert timeline.place(Fraction(3), 8 * SECOND_NS) * LIVE_TIME_BASE == 8
    assert timeline.place(Fraction(4), 9 * SECOND_NS) * LIVE_TIME_BASE == 9


def test_a_decoder_that_gives_a_frame_out_of_order() -> None:
    result = placed([(Fraction(2, 25), 0), (Fraction(1, 25), 0), (Fraction(3, 25), 0)])
    assert result == [0, LIVE_TIME_BASE, pytest.approx(1 / 25)]
