"""Drawing on planes: luma at full size, chroma at half, each in the picture's own matrix and range.

Colours are named in RGB and become (Y, U, V) here. Every call is bounded by what it touches, never by the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.runtime.video.picture import Picture, bgr_from_yuv

Colour = tuple[int, int, int]
"""A colour as R, G, B in 0..255."""
Outline = NDArray[np.float32]
"""The corners x, y of a closed line in pixels of the picture, centres at whole numbers: float32 [N,2]."""
WHITE: Colour = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FRACTION_BITS = 4


@lru_cache(maxsize=1024)
def yuv_of(colour: Colour, matrix: Matrix, full_range: bool) -> Colour:
    """Convert a colour to Y, U, V in 0..255."""
    affine = bgr_from_yuv(matrix, full_range).astype(np.float64)
    yuv = np.linalg.solve(affine[:, :3], np.array(colour[::-1]) - affine[:, 3])
    y, u, v = (int(value) for value in np.clip(np.rint(yuv), 0, 255))
    return y, u, v


class Canvas:
    """Draws into a picture of planes, which must belong to the caller (`Picture.copy`)."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._luma, *self._chroma = picture.planes()

    def _yuv(self, colour: Colour) -> Colour:
        return yuv_of(colour, self._picture.matrix, self._picture.full_range)

    def darken(self, outlines: Sequence[Outline], colour: Colour, width_px: int) -> None:
        """Draw closed lines in luma alone: dark pixels show no colour."""
        full = [_fixed_point(outline) for outline in outlines]
        cv2.polylines(self._luma, full, True, self._yuv(colour)[0], width_px, cv2.LINE_8, FRACTION_BITS)

    def lines(self, outlines: Sequence[Outline], colour: Colour, width_px: int) -> None:
        """Draw closed lines; their soft edges are in luma alone, which is where an eye sees them."""
        y, *chroma = self._yuv(colour)
        full = [_fixed_point(outline) for outline in outlines]
        half = [_fixed_point(outline / 2 - 0.25) for outline in outlines]
        cv2.polylines(self._luma, full, True, y, width_px, cv2.LINE_AA, FRACTION_BITS)
        for plane, value in zip(self._chroma, chroma, strict=True):
            cv2.polylines(plane, half, True, value, max(1, round(width_px / 2)), cv2.LINE_8, FRACTION_BITS)

    def tint(self, mask: Mask, colour: Colour, opacity: float) -> None:
        """Mix a colour into the marked pixels; `mask` is uint8 [H,W] at the picture's size."""
        x, y, width, height = cv2.boundingRect(mask)
        x, y, width, height = x - x % 2, y - y % 2, width + x % 2, height + y % 2
        marked = mask[y : y + height, x : x + width]
        small: Any = cv2.resize(marked, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_NEAREST)
        values = self._yuv(colour)
        _mix(self._luma[y : y + height, x : x + width], marked, values[0], opacity)
        for plane, value in zip(self._chroma, values[1:], strict=True):
            _mix(plane[y // 2 :, x // 2 :][: small.shape[0], : small.shape[1]], small, value, opacity)

    def blend(self, level: NDArray[np.uint8], colours: Sequence[Colour], opacity: NDArray[np.uint8]) -> None:
        """Mix a small map into the picture, scaled to its size.

        Args:
            level: The map of the whole picture, uint8 [h,w].
            colours: One colour for each of the 256 levels.
            opacity: One for each level, uint8 [256]; where it is 0 the picture stays.
        """
        solid = cv2.LUT(level, opacity)
        x, y, width, height = cv2.boundingRect(solid)
        if not width:
            return
        yuv = np.array([self._yuv(colour) for colour in colours], np.float32)
        weighted = np.rint(yuv * (opacity[:, None] / np.float32(255))).astype(np.uint8)
        part = level[y : y + height, x : x + width]
        through = 255 - opacity
        across, down = self._picture.width / level.shape[1] / 2, self._picture.height / level.shape[0] / 2
        left, top = int(x * across), int(y * down)
        right, bottom = -(-(x + width) * across // 1), -(-(y + height) * down // 1)
        for plane, values, scale in zip((self._luma, *self._chroma), weighted.T, (2, 1, 1), strict=True):
            area = plane[top * scale : int(bottom) * scale, left * scale : int(right) * scale]
            size = (area.shape[1], area.shape[0])
            kept: Any = cv2.resize(cv2.LUT(part, through), size, interpolation=cv2.INTER_LINEAR)
            added: Any = cv2.resize(cv2.LUT(part, np.ascontiguousarray(values)), size, interpolation=cv2.INTER_LINEAR)
            cv2.add(cv2.multiply(area, kept, scale=1 / 255), added, dst=area)

    def shade(self, top: int, left: int, height: int, width: int, brightness: float) -> None:
        """Darken a box and remove its colour, so that letters on it stand out."""
        box = self._luma[top : top + height, left : left + width]
        np.copyto(box, cv2.convertScaleAbs(box, alpha=brightness))
        for plane in self._chroma:
            plane[top // 2 : -(-(top + height) // 2), left // 2 : -(-(left + width) // 2)] = 128

    def write(self, text: str, left: int, baseline: int, scale: float, stroke: int) -> None:
        """Write in white, in luma alone: that is enough on a shaded box."""
        white = self._yuv(WHITE)[0]
        cv2.putText(self._luma, text, (left, baseline), FONT, scale, white, stroke, cv2.LINE_AA)

    def close(self) -> None:
        """Make the padding of odd sizes a copy of the last row and column again."""
        height, width = self._picture.height, self._picture.width
        if width % 2:
            self._luma[:, width] = self._luma[:, width - 1]
        if height % 2:
            self._luma[height] = self._luma[height - 1]


def outlines_of(mask: Mask) -> list[Outline]:
    """Find the borders of the marked regions, holes included.

    From SD on they are found at half the size, from 3K on at a quarter: a mask comes from a much smaller map,
    so its border has no finer detail, and a region of one pixel still counts.
    """
    height, width = mask.shape
    side = min(height, width)
    step = 1 if side < SD_PX else 2 if side < LARGE_PX else 4
    small: Any = mask
    if step > 1:
        marked: Any = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY)[1]
        small = cv2.resize(marked, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    found, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if step > 1:  # stairs become slopes: half the corners, and half the time to draw them
        found = [cv2.approxPolyDP(corners, 0.5, True) for corners in found]
    scale = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    return [(corners[:, 0].astype(np.float32) + 0.5) * scale - 0.5 for corners in found]


SD_PX, LARGE_PX = 480, 1600


def _fixed_point(outline: NDArray[Any]) -> NDArray[np.int32]:
    return np.asarray(np.rint(outline * (1 << FRACTION_BITS)), np.int32)


def _mix(plane: NDArray[np.uint8], mask: Any, value: int, opacity: float) -> None:
    if plane.size:
        mixed = cv2.convertScaleAbs(plane, alpha=1 - opacity, beta=opacity * value)
        cv2.copyTo(mixed, mask, plane)
