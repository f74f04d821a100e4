"""Frames on which boxes are marked, and the events that the tracker tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.live.sinks.sightings import EventTracker, Sighting
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, the last two excluded."""
SIDE = 64
LEFT, RIGHT = (8, 20, 20, 32), (44, 20, 52, 28)


def frame(
    index: int, boxes: Sequence[Box], at_ms: int | None = None, side: int = SIDE, mask_index: int | None = None
) -> Presented:
    """A square frame of its own grey, 25 a second unless its time is given, on which boxes are marked."""
    at_ns = (40 * index if at_ms is None else at_ms) * 1_000_000
    picture = Picture.of_bgr(np.full((side, side, 3), index % 256, np.uint8))
    pixels = np.zeros((side, side), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    mask = LiveMask(index if mask_index is None else mask_index, at_ns, pixels, (pixels > 0).mean(), 0.9, 3.0)
    return Presented(
        SourceFrame(index, at_ns, at_ns, index, Fraction(1, 25), picture), at_ns, picture, mask, "live", ""
    )


def see(tracker: EventTracker, presented: Presented) -> tuple[list[Sighting], list[Sighting]]:
    """Show a frame to a tracker as the sink of events does."""
    overlay = presented.overlay if presented.recordable else None
    return tracker.see(presented.frame.index, presented.frame.arrived_ns, presented.mask, overlay)


def told(frames: Iterable[Presented]) -> list[tuple[str, int, Sighting]]:
    """Each event with the number of the frame that brought it; -1 for the end of the stream."""
    tracker = EventTracker()
    events = []
    for presented in frames:
        appeared, left = see(tracker, presented)
        events += [("left", presented.frame.index, seen) for seen in left]
        events += [("appeared", presented.frame.index, seen) for seen in appeared]
    events += [("left", -1, seen) for seen in tracker.end()]
    assert tracker.end() == []
    return events


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def in_pixels(seen: Sighting) -> Box:
    left, top, right, bottom = (round(side * SIDE) for side in seen.box)
    return left, top, right, bottom
