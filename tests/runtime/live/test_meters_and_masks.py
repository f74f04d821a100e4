from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import Rate, RateCap, RecentShare, RollingPercentiles


@given(st.lists(st.floats(0, 1e4, width=32), max_size=50), st.integers(1, 8))
def test_percentiles_are_numpys_over_the_newest_values(values: list[float], window: int) -> None:
    rolling = RollingPercentiles(window)
    for value in values:
        rolling.add(value)
    kept = values[-window:]
    for percent in (50, 99):
        expected = float(np.percentile(np.float32(kept), percent)) if kept else None
        assert rolling.percentile(percent) == (None if expected is None else pytest.approx(expected))
    assert rolling.count == len(values)


def test_a_rate_is_of_the_newest_events_and_its_period_forgives_gaps() -> None:
    rate = Rate(window=6)
    assert rate.period_ms() is None
    assert rate.per_second() is None
    for at_ms in (0, 40, 80, 1080, 1120, 1160):
        rate.add(int(at_ms * 1e6))
    assert rate.period_ms() == pytest.approx(40)
    assert rate.per_second() == pytest.approx(5 / 1.16)


def test_a_share_forgets() -> None:
    share = RecentShare(window=4, least=2)
    share.add(True)
    assert share.share(0.7) == 0.7
    for answer in (True, True, False, False, False, True):
        share.add(answer)
    assert share.share(0.0) == 0.25


def _mask(index: int) -> LiveMask:
    return LiveMask(index, index * 1_000_000, np.zeros((2, 2), np.uint8), 0.0, 0.0, 1.0)


@given(st.permutations(list(range(8))))
def test_the_newest_mask_is_that_of_the_newest_frame_however_they_come(order: list[int]) -> None:
    board = MaskBoard()
    for count, index in enumerate(order):
        board.pin(_mask(index))
        newest = board.newest(now_ns=10_000_000, limit_ms=100)
        assert newest is not None
        assert newest.index == max(order[: count + 1])
    assert board.count == 8


def test_a_mask_is_taken_down_when_its_frame_is_too_old() -> None:
    board = MaskBoard()
    board.pin(_mask(5))
    assert board.newest(now_ns=105_000_000, limit_ms=100.0) is not None
    assert board.newest(now_ns=105_000_001, limit_ms=100.0) is None


def test_a_mask_of_a_later_frame_is_not_shown_on_an_earlier_one() -> None:
    board = MaskBoard()
    for index in (3, 5, 8):
        board.pin(_mask(index))
    found = board.newest(10_000_000, 100.0, not_after=7)
    assert found is not None
    assert found.index == 5
    assert board.newest(10_000_000, 100.0, not_after=2) is None


def test_masks_wait_for_their_own_frames_and_not_for_ever() -> None:
    board = MaskBoard(kept=3)
    for index in range(5):
        board.pin(_mask(index))
    assert board.of_frame(1) is None, "pushed out"
    found = board.of_frame(3)
    assert found is not None
    assert found.index == 3
    assert board.of_frame(3) is None, "taken"


def test_a_rate_is_capped_in_the_long_run_and_a_burst_is_let_through() -> None:
    cap = RateCap(60.0, burst=8)
    assert sum(cap.allows(round(index / 200 * 1e9)) for index in range(2000)) == pytest.approx(600 + 8, abs=1)
    steady = RateCap(66.0)
    jitter_s = np.random.default_rng(0).uniform(-0.015, 0.015, 600)
    times_s = np.maximum.accumulate(np.arange(600) / 60 + jitter_s)
    assert all(steady.allows(round(time_s * 1e9)) for time_s in times_s), "60 frames a second, however they come"
