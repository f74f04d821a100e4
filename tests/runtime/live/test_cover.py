"""Covers: what is on them, and that nothing of a picture is."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.cover import cover_of, cover_picture, cover_words
from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

WORDS = ("NO PICTURE", "since 12:00:00 (12 s)")
STATE = "state: degraded, no frame from the source for 12.1 s"


def noise(height: int, width: int, full_range: bool = False) -> Picture:
    rows, columns = height + height % 2, width + width % 2
    planes = np.random.default_rng(0).integers(0, 256, (rows * 3 // 2, columns), np.uint8)
    return Picture.of_i420(height, width, planes, "bt709", full_range)


@given(st.integers(2, 90), st.integers(2, 120), st.booleans())
def test_a_cover_has_the_streams_size_and_nothing_of_the_picture(height: int, width: int, full_range: bool) -> None:
    like = noise(height, width, full_range)
    cover = cover_picture(like, WORDS, STATE)
    assert (cover.height, cover.width, cover.matrix, cover.full_range) == (height, width, "bt709", full_range)
    luma, *chroma = cover.planes()
    assert luma.shape == like.planes()[0].shape
    assert all((plane == 128).all() for plane in chroma)
    darker = noise(height, width, full_range)
    darker.planes()[0][:] = 90
    assert np.array_equal(cover_picture(darker, WORDS, STATE).planes()[0], luma)


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (576, 720), (480, 480), (1280, 720)])
def test_its_words_are_large_in_the_middle_and_inside_the_picture(height: int, width: int) -> None:
    for what in (WORDS, ("NOT SHOWN: out of the body", WORDS[1])):
        luma = cover_picture(noise(height, width), what, "state: live").planes()[0]
        assert luma[0, 0] == 16
        assert luma.max() == 235
        rows, columns = np.flatnonzero((luma > 100).any(axis=1)), np.flatnonzero((luma > 100).any(axis=0))
        assert columns[-1] - columns[0] > 0.6 * width, "they can be read from afar"
        assert columns[0] > 0.02 * width and columns[-1] < 0.98 * width
        assert rows[0] > 0.1 * height and rows[-1] < 0.9 * height
        assert abs(columns[0] + columns[-1] - width) < 0.1 * width


def test_words_give_the_reason_the_machines_own_time_and_seconds_that_count_on() -> None:
    noon_s = time.mktime((2026, 1, 31, 12, 5, 9, 0, 0, -1))
    assert cover_words(None, noon_s, 12.3) == ("NO PICTURE", "since 12:05:09 (12 s)")
    assert cover_words("out of the body", noon_s, 0.0) == ("NOT SHOWN: out of the body", "since 12:05:09 (0 s)")
    assert cover_words(None, noon_s, 13.4) != cover_words(None, noon_s, 12.3)


def test_a_cover_goes_on_in_the_streams_time_without_mask_or_picture() -> None:
    picture, now_ns = noise(48, 64), time.monotonic_ns()
    shown_ns = now_ns - 2_500_000_000
    frame = SourceFrame(7, shown_ns, shown_ns, 90_000, Fraction(1, 90_000), picture, damaged=True)
    mask = LiveMask(7, shown_ns, np.full((48, 64), 255, np.uint8), 1.0, 0.9, 3.0)
    hidden = Presented(frame, shown_ns, picture, mask, "live", "", "black", recordable=False)
    cover = cover_of(hidden, None, shown_ns, now_ns, StateChange("degraded", "no frame from the source", 0))
    assert (cover.frame.pts, cover.frame.time_base) == (90_000 + 225_000, Fraction(1, 90_000))
    assert (cover.presented_ns, cover.mask, cover.gate, cover.state) == (now_ns, None, None, "degraded")
    assert cover.recordable and not cover.frame.damaged
    for shown in (cover.frame.picture, cover.overlay):
        assert (shown.planes()[0][0] == 16).all(), "black where no word is"
