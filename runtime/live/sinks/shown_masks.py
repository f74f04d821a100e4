"""Masks as they are shown, each once, with the times of the frames that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.live.sinks.folder import HeldFolder
from edgeseg.runtime.live.sinks.lines import JsonLines, utc_text
from edgeseg.runtime.live.sinks.rle import coco_rle
from edgeseg.runtime.video.sinks import MASK_PARAMETERS

TIMES_NAME = "masks.jsonl"


class MaskLines:
    """A JSON line for each mask: COCO run lengths, area, confidence, times. A `Writer`.

    Args:
        path: FILE.jsonl; lines are added.
    """

    def __init__(self, path: Path) -> None:
        self._lines = JsonLines(path)
        self._last: int | None = None

    def write(self, presented: Presented) -> bool:
        """Write the shown mask; False where there is none, or none that is new."""
        mask = presented.mask
        if mask is None or mask.index == self._last:
            return False
        self._lines.add({**_described(presented, mask), "segmentation": coco_rle(mask.mask)})
        self._last = mask.index
        return True

    def close(self) -> None:
        """Bring the lines to the disk."""
        self._lines.close()


class MaskPictures:
    """A PNG for each mask, and its times as a line of ``masks.jsonl``. A `Writer`.

    Args:
        folder: ``frame_000000.png`` on, by the frame that the engine saw; ``frame_000000-001.png`` where an earlier run
            left one of that name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = HeldFolder(folder)
        self._lines = JsonLines(folder / TIMES_NAME)
        self._last: int | None = None

    def write(self, presented: Presented) -> bool:
        """Write the shown mask, in a file that appears whole; False where there is none, or none that is new."""
        mask = presented.mask
        if mask is None or mask.index == self._last:
            return False
        name = self._folder.free_name(f"frame_{mask.index:06d}", ".png")
        self._folder.write(name, cv2.imencode(".png", mask.mask, MASK_PARAMETERS)[1].tobytes())
        self._lines.add({**_described(presented, mask), "file": name})
        self._last = mask.index
        return True

    def close(self) -> None:
        """Bring the lines to the disk."""
        try:
            self._lines.close()
        finally:
            self._folder.close()


def _described(presented: Presented, mask: LiveMask) -> dict[str, Any]:
    """`frame` is the one that the engine saw; `shown_on` the one beneath the mask when it was first shown."""
    return {
        "frame": mask.index,
        "time": utc_text(mask.arrived_ns),
        "shown_on": presented.frame.index,
        "shown_on_s": float(presented.frame.pts * presented.frame.time_base),
        "area_fraction": round(mask.area_fraction, 6),
        "confidence": round(mask.confidence, 4),
    }
