"""Draws the mask and its words on a live picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2

from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.canvas import FONT
from edgeseg.runtime.video.overlay import OverlayMode, caption, draw
from edgeseg.runtime.video.picture import Picture

if TYPE_CHECKING:
    from edgeseg.runtime.live.presenter import PresenterOptions


MOST_LETTERS = 64
"""Most letters of a reason on the picture. A line is written as small as it must be to fit, and nothing is written
where it would be too small: a long list of complaints would take "NO OVERLAY" off the picture. Page and log have the
whole."""
WIDEST_PX = 1500
"""Widest reason at OpenCV's font scale 1; letters differ in width, and between OpenCV 4 and 5, too."""


def draw_live(picture: Picture, mask: LiveMask | None, lines: Sequence[str], mode: OverlayMode) -> Picture:
    """The picture with mask and lines; what the stream says of itself stays on it whatever is drawn of the mask."""
    if mask is None or mode == "off":
        return draw(picture, None, lines)
    return draw(picture, mask.mask, lines, mode, mask.probability if mode == "heat" else None)


def caption_lines(
    mask: LiveMask | None,
    change: StateChange,
    gate: str | None,
    options: PresenterOptions,
    mode: OverlayMode,
    now_ns: int,
    engine: str,
) -> tuple[str, ...]:
    """Give the words on the picture: what is marked, or plainly that nothing is and why.

    Args:
        mask: What is shown.
        change: The state.
        gate: Why nothing may be shown.
        options: What is shown, and when.
        mode: What is drawn.
        now_ns: The time now by the monotonic clock.
        engine: Backend and precision.
    """
    state = change.state if not change.reason else f"{change.state}: {shortened(change.reason)}"
    if options.sync_ms is not None:
        state += f", picture delayed {options.sync_ms:.0f} ms"
    if gate is not None:
        return f"no overlay: {shortened(gate)}", state
    if mode == "off":
        return "overlay off", state
    if mask is None:
        return "NO OVERLAY", state
    age_ms = (now_ns - mask.arrived_ns) / 1e6
    state += f", mask {age_ms:.0f} ms old" if options.sync_ms is None else ""
    return caption(options.structure, mask.area_fraction, mask.confidence, engine, mask.infer_ms, state)


def shortened(reason: str) -> str:
    """A reason as it fits on a picture."""
    if len(reason) <= MOST_LETTERS and _width_px(reason) <= WIDEST_PX:
        return reason
    kept = reason[: MOST_LETTERS - 3]
    while _width_px(kept) > WIDEST_PX:
        kept = kept[:-1]
    return kept.rstrip() + "..."


def _width_px(text: str) -> int:
    return cv2.getTextSize(text, FONT, 1.0, 1)[0][0]
