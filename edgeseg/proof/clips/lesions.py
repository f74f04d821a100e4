"""The place of a lesion in a frame, and whether a mark lies on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.images import read_mask
from edgeseg.proof.clips.clip_file import Box, LesionEntry
from edgeseg.runtime.video.tracks import Region

HIT_IOU = 0.2
"""The overlap with a lesion's place from which what touches it marks it.

A mark is there to draw the eye: half the overlap that a still image asks for is a find, the whole picture is none.
"""

Place = NDArray[np.bool_]
"""bool [H,W], true on the lesion."""


class Lesion:
    """A lesion in one clip.

    Args:
        entry: As the file of clips has it.
    """

    def __init__(self, entry: LesionEntry) -> None:
        self.name = entry.name or "lesion"
        self._entry = entry

    @property
    def has_places(self) -> bool:
        """True if it is known where it is."""
        return bool(self._entry.boxes) or self._entry.masks is not None

    @property
    def last_frame(self) -> int:
        """The last frame that the file of clips names for it; -1 where masks alone tell."""
        return max((last for _, last in self._entry.frames), default=-1)

    def in_frame(self, index: int, height: int, width: int) -> tuple[bool, Place | None]:
        """Say whether a frame shows it, and where; None where nobody knows.

        Raises:
            BadInputError: Its mask is missing, unreadable or of another size.
        """
        frames, masks = self._entry.frames, self._entry.masks
        if frames and not any(first <= index <= last for first, last in frames):
            return False, None
        if masks is not None:
            place = _mask_of(masks, index, height, width)
            return bool(place.any()), place
        return True, _box_at(self._entry.boxes, index, height, width) if self._entry.boxes else None


def marks(regions: Sequence[Region], place: Place | None) -> bool:
    """Tell whether a frame's regions mark a lesion: those that touch it overlap it well; any do where it has no place.

    Args:
        regions: The regions of the frame's mask.
        place: Where the lesion is; None where nobody knows.
    """
    if place is None:
        return bool(regions)
    touching = [region for region in regions if (region.pixels & place).any()]
    if not touching:
        return False
    # Regions of one mask never overlap, so that their areas add up.
    marked_px = sum(region.area_px for region in touching)
    both_px = sum(int(np.count_nonzero(region.pixels & place)) for region in touching)
    return both_px >= HIT_IOU * (marked_px + int(np.count_nonzero(place)) - both_px)


def _box_at(boxes: Sequence[Box], index: int, height: int, width: int) -> Place:
    """The box of a frame as pixels, on straight lines between the boxes that were drawn."""
    frames = [box[0] for box in boxes]
    left, top, right, bottom = (
        round(float(np.interp(index, frames, [box[side] for box in boxes]))) for side in range(1, 5)
    )
    place = np.zeros((height, width), np.bool_)
    place[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return place


def _mask_of(folder: Path, index: int, height: int, width: int) -> Place:
    path = folder / f"frame_{index:06d}.png"
    if not path.is_file():
        raise BadInputError(
            f"the lesion's masks lack frame {index}",
            found=f"no {path}",
            expected="a mask for each frame that shows it, or for every frame of the clip where no frames are named",
        )
    mask = read_mask(path)
    if mask.shape != (height, width):
        raise BadInputError(
            f"the mask {path} has another size than its frame",
            found=f"{mask.shape[1]}x{mask.shape[0]}",
            expected=f"{width}x{height}",
        )
    return mask > 0
