"""Finds the endoscope's picture inside the video frame: a circle, an octagon, a rounded rectangle on black."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.small import SmallPicture
from edgeseg.specs import Crop

Outline = NDArray[np.float32]
"""float32 [n,2]: corners (x, y) of a convex outline as fractions of the frame's width and height."""
WHOLE: Outline = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


@dataclass(frozen=True)
class RegionSettings:
    """When an outline is believed. Lengths are of pictures 160 pixels wide."""

    lit_level: int = 24
    """The border is black (16 in limited range is 0 here) but for noise and ringing of the codec."""
    strokes_px: int = 7
    """Lit things thinner than this are text and lines of the border."""
    min_share: float = 0.12
    """Smallest share of the frame: smaller than the smallest picture-in-picture that anyone would segment."""
    min_solidity: float = 0.93
    """Lit area over its convex hull: every shape of scope is convex. What fills less is not seen whole yet."""
    window_frames: int = 50
    """Light is collected over one to two windows: a dark lumen at the rim moves away within 2 s."""
    first_frames: int = 8
    """Lit frames before the first opinion."""
    same_iou: float = 0.985
    """Two outlines closer than that are the same: a pixel on one side is 0.99, a cut corner that was dark at first
    0.97."""
    agree_checks: int = 3
    """Checks in a row that must say the same before an outline is taken."""
    check_every: int = 10
    """Frames from one check to the next while an outline is held; while none is, every second frame is checked."""


@dataclass(frozen=True, eq=False)
class VisibleRegion:
    """The part of a frame that the scope fills."""

    height: int
    """Height of the frame, in pixels."""
    width: int
    outline: Outline
    found: bool
    """False while the whole frame is taken for want of a better answer."""

    @property
    def crop(self) -> Crop:
        """The smallest window that holds the outline."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        left, top = max(0, math.floor(low[0] * self.width)), max(0, math.floor(low[1] * self.height))
        right, bottom = (
            min(self.width, math.ceil(high[0] * self.width)),
            min(self.height, math.ceil(high[1] * self.height)),
        )
        return Crop(top=top, left=left, height=bottom - top, width=right - left)

    def mask(self, height: int, width: int) -> Mask:
        """The region at any size: uint8 [height,width], 255 inside."""
        return _filled(self.outline, height, width)


def lit_outline(brightest: Mask, settings: RegionSettings) -> Outline | None:
    """The convex outline of the largest lit thing; None where there is none that a scope could have made.

    Args:
        brightest: Luma uint8 [h,160], each pixel at its brightest over some frames.
        settings: What counts.
    """
    rows, columns = brightest.shape
    lit: Any = cv2.inRange(brightest, settings.lit_level, 255)
    # The frame's edge is no edge of the region: outside counts as lit for erosion and as dark for dilation.
    kernel = np.ones((settings.strokes_px, settings.strokes_px), np.uint8)
    opened = cv2.dilate(cv2.erode(lit, kernel), kernel)
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(largest)
    outline: Any = (hull[:, 0, :].astype(np.float32) + 0.5) / np.array([columns, rows], np.float32)
    # Corners are centres of pixels; the region goes half a pixel further, away from its middle.
    middle = outline.mean(axis=0)
    outline += np.sign(outline - middle) * np.array([0.5 / columns, 0.5 / rows], np.float32)
    outline = np.clip(outline, 0, 1)
    filled = cv2.countNonZero(_filled(outline, rows, columns))
    if filled < settings.min_share * rows * columns or cv2.contourArea(largest) < settings.min_solidity * _area(hull):
        return None
    return np.asarray(outline, dtype=np.float32)


@dataclass
class RegionFinder:
    """Finds the region over some frames and holds it.

    A new outline is taken only when several checks in a row agree on it, so single frames (black, dark at one side, a
    flash) move nothing. A frame of another size starts anew at once.
    """

    settings: RegionSettings = field(default_factory=RegionSettings)

    def __post_init__(self) -> None:
        self._region: VisibleRegion | None = None
        self._size = (0, 0)
        self._restart()

    def update(self, small: SmallPicture) -> VisibleRegion:
        """Take one frame in and give the region that holds now."""
        if self._region is None or (small.height, small.width) != self._size:
            self._size = (small.height, small.width)
            self._region = VisibleRegion(small.height, small.width, WHOLE, found=False)
            self._restart()
        self._collect(small.luma)
        every = self.settings.check_every if self._region.found else 2
        if self._lit_frames >= self.settings.first_frames and self._lit_frames % every == 0:
            self._check(small)
        return self._region

    def _restart(self) -> None:
        self._now: Any = None
        self._before: Any = None
        self._lit_frames = self._agreed = 0
        self._candidate: Outline | None = None

    def _collect(self, luma: Mask) -> None:
        if luma.max() < 2 * self.settings.lit_level:
            return
        if self._now is None or self._lit_frames % self.settings.window_frames == 0:
            self._before, self._now = self._now, luma.copy()
        else:
            cv2.max(self._now, luma, dst=self._now)
        self._lit_frames += 1

    def _check(self, small: SmallPicture) -> None:
        assert self._region is not None  # set by `update`
        brightest = self._now if self._before is None else cv2.max(self._now, self._before)
        outline = lit_outline(brightest, self.settings)
        if outline is None or (self._same(outline, self._region.outline, small) and self._region.found):
            self._candidate, self._agreed = None, 0
            return
        agrees = self._candidate is not None and self._same(outline, self._candidate, small)
        self._agreed = self._agreed + 1 if agrees else 1
        self._candidate = outline
        if self._agreed >= self.settings.agree_checks:
            self._region = VisibleRegion(small.height, small.width, outline, found=True)
            self._candidate, self._agreed = None, 0

    def _same(self, first: Outline, second: Outline, small: SmallPicture) -> bool:
        rows, columns = small.luma.shape
        a, b = _filled(first, rows, columns), _filled(second, rows, columns)
        union = cv2.countNonZero(cv2.bitwise_or(a, b))
        return union == 0 or cv2.countNonZero(cv2.bitwise_and(a, b)) >= self.settings.same_iou * union


_SUBPIXEL_BITS = 4


def _filled(outline: Outline, height: int, width: int) -> Mask:
    """Pixels whose centres lie inside."""
    corners = (outline * np.array([width, height], np.float32) - 0.5) * (1 << _SUBPIXEL_BITS)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return mask


def _area(hull: Any) -> float:
    return max(float(cv2.contourArea(hull)), 1.0)
