"""Marks over time: which region of a frame continues which of the frames before, and the tracks that come of it.

A region is a connected part of a mask, corners included. It continues an earlier one if it touches it or comes within
reach of it, for tissue moves between two frames; a short gap is bridged. Regions that split or join are one track.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Mask

REACH = 0.05
"""Distance that a mark may move between two frames, as a share of the picture's longer side."""
FORGET_FRAMES = 5
"""A mark that was away for more frames than this is a new one."""


@dataclass(frozen=True, eq=False)
class Region:
    """A connected part of one frame's mask."""

    number: int
    """Its number in the video, from 0 on."""
    pixels: NDArray[np.bool_]
    """bool [H,W]."""
    area_px: int
    continues: tuple[int, ...]
    """The numbers of the earlier regions that it continues, ascending; empty for a new mark."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A region that nothing has continued yet: where its next one may lie."""

    number: int
    top: int
    left: int
    near: NDArray[np.bool_]
    """bool [h,w] from `top` and `left` on, true within reach of the region."""
    away: int = 0
    """Frames since it was marked last."""


class RegionFollower:
    """Follows the marked regions of one video, frame by frame in their order.

    Args:
        reach: Distance that a mark may move between two frames, as a share of the mask's longer side; one pixel at
            least.
        forget_frames: A mark that was away for more frames than this is a new one; `math.inf` leaves it to `forget`.
        smallest_area_px: Regions smaller than this are ignored.
    """

    def __init__(self, reach: float = REACH, forget_frames: float = FORGET_FRAMES, smallest_area_px: int = 1) -> None:
        self._reach, self._forget_frames, self._smallest_area_px = reach, forget_frames, smallest_area_px
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Forget all marks; numbers go on."""
        self._seen: list[_Seen] = []

    def forget(self, numbers: Container[int]) -> None:
        """Forget these regions: a later one no longer continues them."""
        self._seen = [seen for seen in self._seen if seen.number not in numbers]

    @property
    def remembered(self) -> frozenset[int]:
        """The numbers of the regions that a later one may continue."""
        return frozenset(seen.number for seen in self._seen)

    def update(self, mask: Mask) -> list[Region]:
        """Take in the mask of the next frame and give its regions.

        Args:
            mask: uint8 [H,W]; everything but 0 is marked. Of one size in all frames.
        """
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
        large = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] >= self._smallest_area_px]
        former: dict[int, list[int]] = {label: [] for label in large}
        missing = []
        for seen in self._seen:
            rows, columns = seen.near.shape
            window = labels[seen.top : seen.top + rows, seen.left : seen.left + columns]
            touched = [label for label in np.unique(window[seen.near]).tolist() if label in former]
            for label in touched:
                former[label].append(seen.number)
            if not touched and seen.away < self._forget_frames:
                missing.append(_Seen(seen.number, seen.top, seen.left, seen.near, seen.away + 1))
        regions = [
            Region(self._count + place, labels == label, int(stats[label, cv2.CC_STAT_AREA]), tuple(former[label]))
            for place, label in enumerate(large)
        ]
        self._count += len(regions)
        self._seen = missing + [
            self._near(region.number, labels, label, stats[label]) for region, label in zip(regions, large, strict=True)
        ]
        return regions

    def _near(self, number: int, labels: Any, label: int, box: Any) -> _Seen:
        """Widen a region by the reach on every side."""
        height, width = labels.shape
        radius = max(round(self._reach * max(height, width)), 1)
        left, top, columns, rows = (int(value) for value in box[:4])
        first_row, first_column = max(0, top - radius), max(0, left - radius)
        window = labels[first_row : top + rows + radius, first_column : left + columns + radius] == label
        kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        return _Seen(number, first_row, first_column, cv2.dilate(window.astype(np.uint8), kernel) > 0)


def tracks_of(regions: Iterable[tuple[int, Iterable[int]]]) -> dict[int, int]:
    """Join regions that continue one another to tracks.

    Args:
        regions: The number of each region, in their order, and the numbers that it continues.

    Returns:
        The track of each region, named by the smallest number in it.
    """
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for number, continues in regions:
        parent[number] = number
        for former in continues:
            low, high = sorted((root(former), root(number)))
            parent[high] = low
    return {number: root(number) for number in parent}
