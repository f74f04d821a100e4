"""Draws what viewers of a sent stream see in place of a picture that does not come, or that they may not see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from edgeseg.runtime.live.drawing import shortened
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.canvas import FONT, Canvas
from edgeseg.runtime.video.picture import Picture

WORDS_WIDTH, STATE_WIDTH = 0.86, 0.7
"""Parts of the picture's width that the longest of the large words, and the state, may take."""
WORDS_HEIGHT, STATE_HEIGHT = 1 / 6, 1 / 16
"""Parts of the picture's height that one line takes at most."""
UNIT_HEIGHT_PX = 34
"""A line of the font at scale 1."""
NEUTRAL = 128
"""Chroma without colour."""


def cover_of(newest: Presented, gate: str | None, since_ns: int, now_ns: int, change: StateChange) -> Presented:
    """A cover as a frame of the same stream: its size, matrix and range, its time where the clock is now.

    Args:
        newest: What was last shown, to whomever.
        gate: Why pictures are not shown; None where none come.
        since_ns: When that began. Times are of `time.monotonic_ns`.
        now_ns: Now.
        change: The stream's state.
    """
    passed_s = (now_ns - newest.presented_ns) / 1e9
    words = cover_words(gate, time.time() - (time.monotonic_ns() - since_ns) / 1e9, (now_ns - since_ns) / 1e9)
    state = f"state: {change.state}" + (f", {shortened(change.reason)}" if change.reason else "")
    picture = cover_picture(newest.overlay, words, state)
    frame = replace(
        newest.frame,
        arrived_ns=now_ns,
        decoded_ns=now_ns,
        pts=newest.frame.pts + round(passed_s / newest.frame.time_base),
        picture=picture,
        damaged=False,
    )
    return Presented(frame, now_ns, picture, None, change.state, change.reason, gate, alarms=newest.alarms)


def cover_words(gate: str | None, since_1970_s: float, for_s: float) -> tuple[str, str]:
    """Give the large words. The seconds count on, so that a cover does not look like a frozen picture itself.

    Args:
        gate: Why pictures are not shown; None where none come.
        since_1970_s: When that began, of `time.time`; written in the machine's own time zone.
        for_s: How long ago that is.
    """
    since = time.strftime("%H:%M:%S", time.localtime(since_1970_s))
    what = "NO PICTURE" if gate is None else f"NOT SHOWN: {gate}"
    return what, f"since {since} ({for_s:.0f} s)"


def cover_picture(like: Picture, words: Sequence[str], state: str) -> Picture:
    """Black, with words.

    Args:
        like: Gives size, matrix and range; nothing else of it is in the cover.
        words: Large, one below the other.
        state: Small, below them.

    Returns:
        A picture of planes.
    """
    rows, columns = like.height + like.height % 2, like.width + like.width % 2
    planes = np.full((rows * 3 // 2, columns), NEUTRAL, np.uint8)
    planes[:rows] = 0 if like.full_range else 16
    picture = Picture.of_i420(like.height, like.width, planes, like.matrix, like.full_range)
    large = _letter_scale(words, WORDS_WIDTH * like.width, WORDS_HEIGHT * like.height)
    small = _letter_scale([state], STATE_WIDTH * like.width, STATE_HEIGHT * like.height)
    lines = [*((word, large) for word in words), (state, min(large, small))]
    canvas = Canvas(picture)
    baseline = (like.height - sum(UNIT_HEIGHT_PX * 1.5 * scale for _, scale in lines)) / 2
    for text, scale in lines:
        baseline += UNIT_HEIGHT_PX * 1.5 * scale
        stroke = _stroke_px(scale)
        left = (like.width - cv2.getTextSize(text, FONT, scale, stroke)[0][0]) // 2
        canvas.write(text, max(0, left), round(baseline - UNIT_HEIGHT_PX * 0.5 * scale), scale, stroke)
    return picture


def _letter_scale(lines: Sequence[str], width_px: float, height_px: float) -> float:
    widest = max(cv2.getTextSize(line, FONT, 1.0, 2)[0][0] for line in lines)
    return min(width_px / widest, height_px / UNIT_HEIGHT_PX)


def _stroke_px(scale: float) -> int:
    return max(1, round(2 * scale))
