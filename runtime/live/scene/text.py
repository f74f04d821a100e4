"""Text and icons burnt into the picture: edges that stay where they are while the scene moves on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask
from edgeseg.runtime.live.scene.region import VisibleRegion
from edgeseg.runtime.live.scene.small import SmallPicture

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextSettings:
    """Limits of burnt-in text. Lengths are of pictures 320 pixels wide, levels of full-range luma."""

    moved_level: float = 6
    """Mean change since the last sample: less is the same view, in which everything would look burnt in."""
    samples: int = 24
    """Different views before the first opinion (20 s and more); the mean forgets with this constant. At half of that
    glitter on bubbles was still taken for text."""
    min_gradient: float = 48
    """Smallest mean Sobel gradient. Text is made to be read: it stands out by 100 levels and more."""
    constancy: float = 0.85
    """Length of the mean gradient over the mean length: 1 for what never changes, 0 for what comes from everywhere."""
    min_luma: float = 90
    """Mean luma at its brightest: text is bright. Dirt on the lens is dark and stays, but hides nothing."""
    reach_px: int = 7
    """Distance from stroke to stroke and a little beyond."""
    rim_px: int = 11
    """Twice as far as text may reach over the border of the region, whose own edge never moves."""
    max_share: float = 0.1
    """Largest share of the frame: more is a scene that repeats itself, not text; then nothing is masked."""
    min_area_px: int = 150
    """Smallest area of one connected piece, `reach_px` included: a single letter of a readable size is larger."""
    sample_every: int = 20
    """Frames from one look to the next: in less than a second much of a slow scene stays where it was."""


@dataclass
class StaticText:
    """Collects gradients over views that differ.

    Static edges survive the mean of gradients over many pictures, moving ones cancel out: the estimate of Dekel et al.,
    On the Effectiveness of Visible Watermarks, CVPR 2017, section 3.1, with a running mean for their median.
    """

    settings: TextSettings = field(default_factory=TextSettings)

    def __post_init__(self) -> None:
        self._last: Mask | None = None
        self._count = self._looks = 0
        self._mask: Mask | None = None

    def update(self, small: SmallPicture, region: VisibleRegion) -> Mask:
        """Take one frame in and give the text that is known inside the region: uint8 [h,320], 255 on text."""
        detail = small.detail
        if self._last is None or self._last.shape != detail.shape:
            self.__post_init__()
            self._mask = np.zeros(detail.shape, np.uint8)
            self._take(detail)
        self._looks += 1
        if self._looks % self.settings.sample_every == 0 and self._has_moved(detail):
            self._take(detail)
            if self._count >= self.settings.samples:
                inner = _inner(region, detail.shape, self.settings.rim_px)
                self._mask = burnt_in((self._across, self._down, self._length, self._luma), inner, self.settings)
        assert self._mask is not None
        return self._mask

    def _has_moved(self, detail: Mask) -> bool:
        assert self._last is not None  # set by `update`
        return float(cv2.mean(cv2.absdiff(detail, self._last))[0]) >= self.settings.moved_level

    def _take(self, detail: Mask) -> None:
        self._last = detail
        across, down = (_sobel(detail, *order) for order in ((1, 0), (0, 1)))
        length, luma = np.asarray(cv2.magnitude(across, down), np.float32), detail.astype(np.float32)
        if self._count == 0:
            self._across, self._down, self._length, self._luma = across, down, length, luma
        else:
            weight = 1 / min(self._count + 1, self.settings.samples)  # a plain mean first, then a running one
            for mean, value in (
                (self._across, across),
                (self._down, down),
                (self._length, length),
                (self._luma, luma),
            ):
                cv2.accumulateWeighted(value, mean, weight)
        self._count += 1


def burnt_in(means: tuple[Floats, Floats, Floats, Floats], inner: Mask, settings: TextSettings) -> Mask:
    """Mark where edges are strong, constant and bright: uint8 [h,w], 255 there and a little around it.

    Args:
        means: Over different views, float32 [h,w] each: horizontal gradient, vertical gradient, length of the gradient,
            luma.
        inner: uint8 [h,w], 255 where an edge cannot be the region's own.
        settings: What counts.
    """
    across, down, length, luma = means
    mean = cv2.magnitude(across, down)
    edges = (mean >= settings.min_gradient) & (mean >= settings.constancy * length)
    brightest: Any = cv2.dilate(luma, np.ones((3, 3), np.uint8))
    edges &= (brightest >= settings.min_luma) & (inner > 0)
    near = np.ones((settings.reach_px, settings.reach_px), np.uint8)
    mask: Any = cv2.dilate(edges.astype(np.uint8) * np.uint8(255), near)
    mask = _large_pieces(mask, settings.min_area_px)
    return np.zeros_like(mask) if cv2.countNonZero(mask) > settings.max_share * mask.size else mask


def _large_pieces(mask: Mask, min_area_px: int) -> Mask:
    _, labels, rows, _ = cv2.connectedComponentsWithStats(mask)
    keep = rows[:, cv2.CC_STAT_AREA] >= min_area_px
    keep[0] = False
    return np.asarray(keep[labels] * np.uint8(255), dtype=np.uint8)


def _sobel(detail: Mask, dx: int, dy: int) -> NDArray[np.float32]:
    return np.asarray(cv2.Sobel(detail, cv2.CV_32F, dx, dy), dtype=np.float32)


def _inner(region: VisibleRegion, shape: tuple[int, ...], rim_px: int) -> Mask:
    """The region without its rim; the frame's own edge is no rim."""
    inner: Any = cv2.erode(
        region.mask(shape[0], shape[1]),
        np.ones((rim_px, rim_px), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=255,
    )
    return inner  # type: ignore[no-any-return]
