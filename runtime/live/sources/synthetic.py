"""A camera for trials without a scope: rendered mucosa with a polyp, seen by a lens that sways, nears and turns.

The picture of every index is the same on every run. A frame costs one warp of small planes (the tissue is rendered
once, when the camera is switched on), so that the camera takes little of what it is there to try.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from edgeseg.errors import UsageError
from edgeseg.frames import Mask
from edgeseg.runtime.engine.planes import Plane
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.paced import FeedFrame
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming

DEFAULT_SIZE = (1280, 720)
DEFAULT_RATE = Fraction(25)
_TISSUE_PX = (320, 480)
"""Height and width of the rendered tissue."""
_EDGE_PX = 54
"""The border that is cut off on every side: the black corners of the octagon reach no further in."""
_VIEW_PX = 128
"""The height of the part of the tissue that the lens sees, roughly."""
_SMALLEST_PX, _LARGEST_PX = 32, 8192


class SyntheticFeed:
    """Feeds the pictures of the synthetic camera.

    Args:
        options: They give the size (even sides) and rate; by default 1280x720 at 25 frames a second.
        seed: It chooses the tissue.

    Raises:
        UsageError: A size that 4:2:0 planes cannot hold.
    """

    decoder_name = "drawn"
    corrupt = 0

    def __init__(self, options: SourceOptions, seed: int = 0) -> None:
        self._width, self._height = options.size or DEFAULT_SIZE
        sides = (self._width, self._height)
        if any(side % 2 or not _SMALLEST_PX <= side <= _LARGEST_PX for side in sides):
            raise UsageError(
                "the synthetic camera cannot have this size",
                found=f"{self._width}x{self._height}",
                expected=f"even sides of {_SMALLEST_PX} to {_LARGEST_PX} pixels",
            )
        rate = options.rate or DEFAULT_RATE
        self.timing = ClipTiming(1 / rate, rate, states_matrix=True)
        self._seed = seed
        self._tissue: tuple[Picture, Mask] | None = None

    def frames(self) -> Iterator[FeedFrame]:
        """Yield one picture after the other, without end."""
        self._tissue = self._tissue or _tissue(self._seed)
        index = 0
        while True:
            yield FeedFrame(index, lambda index=index: self.picture(index))  # type: ignore[misc]
            index += 1

    def picture(self, index: int) -> Picture:
        """Draw the picture of an index, at any time and in any order."""
        tissue, _ = self._tissue = self._tissue or _tissue(self._seed)
        pose = self._pose(index)
        height, width = self._height, self._width
        i420 = np.empty((height * 3 // 2, width), np.uint8)
        luma, *chroma = tissue.planes()
        i420[:height] = self._warped(luma, pose, 1)
        i420[height:].reshape(2, height // 2, width // 2)[:] = [self._warped(plane, pose, 2) for plane in chroma]
        return Picture.of_i420(height, width, i420, tissue.matrix, tissue.full_range)

    def mask(self, index: int) -> Mask:
        """The mask of the polyp in that picture, uint8 [H,W] of 0 and 255."""
        _, mask = self._tissue = self._tissue or _tissue(self._seed)
        warped = self._warped(mask, self._pose(index), 1)
        return np.asarray(np.where(warped >= 128, 255, 0), dtype=np.uint8)

    def _pose(self, index: int) -> Any:
        """The map from pixels of the picture to pixels of the tissue, both from the centre: float64 [2,3]."""
        time_s = float(index / self.timing.rate)
        x = 140 * math.sin(0.37 * time_s) + 9 * math.sin(1.9 * time_s)
        y = 32 * math.sin(0.53 * time_s) + 7 * math.sin(2.3 * time_s)
        zoom = _VIEW_PX / self._height * (1 + 0.2 * math.sin(0.29 * time_s))
        turn = 0.3 * math.sin(0.21 * time_s)
        cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
        return np.array([[cos, -sin, x], [sin, cos, y]])

    def _warped(self, plane: Plane, pose: Any, step: int) -> Plane:
        """Warp one plane, at half the size for a quarter of the cost; `step` is 2 for chroma."""
        height, width = self._height // step, self._width // step
        small_height, small_width = -(-height // 2), -(-width // 2)
        rows, columns = plane.shape
        place = pose * (2, 2, 1 / step)
        place[:, 2] += (columns - 1) / 2, (rows - 1) / 2
        place[:, 2] -= place[:, :2] @ ((small_width - 1) / 2, (small_height - 1) / 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (small_width, small_height)
        warped: Any = cv2.warpAffine(plane, place, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(cv2.resize(warped, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _tissue(seed: int) -> tuple[Picture, Mask]:
    """The inner part of a rendered scene with one polyp, and its mask; both with even sides."""
    from edgeseg.synthetic.stills import render_scene

    frame, mask = render_scene(seed, *_TISSUE_PX, polyps=1)
    inner = (slice(_EDGE_PX, -_EDGE_PX), slice(_EDGE_PX, -_EDGE_PX))
    bgr: Any = cv2.cvtColor(frame[inner], cv2.COLOR_RGB2BGR)
    return Picture.of_bgr(np.asarray(bgr, dtype=np.uint8)).planar(), np.ascontiguousarray(mask[inner])
