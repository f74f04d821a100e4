"""Tests of what stands on the picture, whatever the stream has to say of itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.drawing import caption_lines, draw_live
from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.overlay import _letter_size
from edgeseg.runtime.video.picture import Picture

SMALLEST_READABLE = 0.28
"""The smallest of OpenCV's font scales that is legible: letters of 6 pixels."""


@given(st.integers(0, 2000), st.sampled_from("mie; "), st.booleans())
def test_a_long_reason_never_makes_the_caption_unreadable(length: int, letter: str, gated: bool) -> None:
    reason = letter * length
    change = StateChange("pass-through", reason, 0)
    gate = reason if gated else None
    for sync_ms in (None, 300.0):
        lines = caption_lines(None, change, gate, PresenterOptions(sync_ms=sync_ms), "contour", 0, "")
        size = _letter_size(lines, 480, 640)
        assert size is not None
        assert size.scale >= SMALLEST_READABLE


def test_a_picture_without_a_mask_says_so_under_every_complaint() -> None:
    complaints = "; ".join(f"overlay /var/lib/edgeseg/recordings/{number}.mp4 has failed" for number in range(9))
    lines = caption_lines(None, StateChange("pass-through", complaints, 0), None, PresenterOptions(), "contour", 0, "")
    assert lines[0] == "NO OVERLAY"
    picture = Picture.of_bgr(np.full((480, 640, 3), 90, np.uint8)).planar()
    assert (draw_live(picture, None, lines, "contour").planes()[0] > 200).any(), "white letters"


@pytest.mark.parametrize("sync_ms", [None, 300.0])
def test_the_ages_stay_behind_a_shortened_reason(sync_ms: float | None) -> None:
    mask = LiveMask(0, 0, np.zeros((4, 4), np.uint8), 0.0, 0.0, 1.0)
    options = PresenterOptions(sync_ms=sync_ms)
    lines = caption_lines(mask, StateChange("degraded", "x" * 500, 0), None, options, "contour", 48_000_000, "")
    assert lines[-1].endswith("mask 48 ms old" if sync_ms is None else "picture delayed 300 ms")
