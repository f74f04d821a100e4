"""Windows of a picture that show no polyp, cut from pictures that do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.frames import Frame, Mask

DARK_LEVEL = 25
"""A pixel whose brightest channel is below this belongs to the black border, or shows nothing."""
SEARCH_STEPS = 200
"""Positions along the shorter side; pictures that are larger are searched in strides."""


@dataclass(frozen=True)
class WindowRule:
    """The rule that a window must keep; shares of lengths are of the picture's shorter side."""

    margin: float = 0.02
    """Distance from every polyp pixel; the border of a mask is not exact."""
    min_side: float = 0.4
    max_dark: float = 0.35
    """Share of the window's area that may be dark."""

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and 0 < self.min_side <= 1 and 0 <= self.max_dark <= 1):
            raise UsageError(
                "no window can be like that",
                found=f"margin {self.margin}, smallest side {self.min_side}, dark {self.max_dark}",
                expected="shares from 0 to 1, a side above 0",
            )


@dataclass(frozen=True)
class Window:
    """A square part of a picture, in pixels."""

    top: int
    left: int
    side: int

    def of(self, frame: Frame) -> Frame:
        """The window's pixels."""
        return frame[self.top : self.top + self.side, self.left : self.left + self.side]


def polyp_free_window(frame: Frame, mask: Mask, rule: WindowRule) -> Window | None:
    """The largest square window without a polyp; of several the brightest, then the topmost, then the leftmost.

    Args:
        frame: uint8 [H,W,3].
        mask: uint8 [H,W], 0 where there is no polyp.
        rule: What it must be like.

    Returns:
        None where there is no such window.
    """
    shorter = min(mask.shape)
    margin_px = round(rule.margin * shorter)
    kernel = np.ones((2 * margin_px + 1, 2 * margin_px + 1), np.uint8)
    near_polyp = _integral(np.asarray(cv2.dilate((mask > 0).astype(np.uint8), kernel), np.uint8))
    dark = _integral((frame.max(axis=2) < DARK_LEVEL).astype(np.uint8))
    for side in _sides(shorter, rule):
        stride = _stride(shorter)
        dark_px = _sums(dark, side, stride)
        allowed = (_sums(near_polyp, side, stride) == 0) & (dark_px <= rule.max_dark * side * side)
        if allowed.any():
            best = int(np.argmin(np.where(allowed, dark_px, side * side + 1)))
            row, column = divmod(best, dark_px.shape[1])
            return Window(row * stride, column * stride, side)
    return None


def _sides(shorter: int, rule: WindowRule) -> Iterator[int]:
    """Sides in pixels, largest first."""
    smallest = max(1, int(np.ceil(rule.min_side * shorter)))
    return iter(range(shorter, smallest - 1, -_stride(shorter)))


def _stride(shorter: int) -> int:
    return max(1, shorter // SEARCH_STEPS)


def _integral(marks: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.asarray(cv2.integral(marks), np.int32)


def _sums(integral: NDArray[np.int32], side: int, stride: int) -> NDArray[np.int32]:
    """The sums over all windows of this side whose corner lies on the stride's grid."""
    sums = integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side] + integral[:-side, :-side]
    return np.asarray(sums[::stride, ::stride], np.int32)
