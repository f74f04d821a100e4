"""The lesions of one video, followed over all of its clips as the events of live video are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np

from edgeseg.runtime.batch.frame_rows import grid_of
from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.live.sinks.sightings import GRID_PX, EventTracker, Sighting
from edgeseg.runtime.video.tracks import Region, tracks_of


@dataclass(frozen=True)
class LesionInFrame:
    """A lesion where one frame shows it."""

    lesion: int
    area_share: float
    """The part of the picture that it covers, 0 to 1."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom, as fractions of the picture's width and height."""


@dataclass(frozen=True)
class FoundLesion:
    """A lesion of one video, over the frames that show it."""

    lesion: int
    """Its number in the video, from 1 on, in the order in which they come into view."""
    first_frame: int
    last_frame: int
    first_s: float
    last_s: float
    frames: int
    """The frames that mark it."""
    largest_area_share: float
    confidence: float
    """The mean probability inside the marks of the frame in which it was largest."""
    box: tuple[float, float, float, float]
    """Its box in that frame."""


@dataclass(frozen=True)
class _Mark:
    """The regions of one frame, before anybody knows which lesions they will be."""

    time_ns: int
    regions: tuple[tuple[int, int, tuple[int, int, int, int]], ...]
    """The number of each, its pixels on the grid, and its box there: left, top, right, bottom."""
    area_share_a_px: float


@dataclass
class LesionTracks:
    """Follows the marks of a video, frame by frame in their order.

    A region of marks is followed from frame to frame, and what is marked without a gap of a moment is one lesion. One
    that lasts for too short a time is none (`EventRules`).
    """

    _tracker: EventTracker = field(default_factory=EventTracker)
    _links: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    _marks: dict[int, _Mark] = field(default_factory=dict)
    _ended: list[Sighting] = field(default_factory=list)

    def see(self, frame: int, time_s: float, grid: bytes | None, marked_share: float, confidence: float) -> None:
        """Take in the next frame.

        Args:
            frame: Its number.
            time_s: Its time, which never goes back.
            grid: Its mask, as `packed_grid` gives it; None where nothing is marked.
            marked_share: The marked part of the picture, 0 to 1.
            confidence: The mean probability inside the marks.
        """
        time_ns = round(1e9 * time_s)
        mask = None
        if grid is not None:
            mask = LiveMask(frame, time_ns, grid_of(grid), marked_share, confidence, 0.0)
        _, left = self._tracker.see(frame, time_ns, mask)
        self._ended += left
        regions = [] if mask is None else self._tracker.regions_of(frame)
        if mask is not None and regions:
            self._links += [(region.number, region.continues) for region in regions]
            share = marked_share / cv2.countNonZero(mask.mask)
            self._marks[frame] = _Mark(time_ns, tuple(map(_measured, regions)), share)

    def lesions(self) -> tuple[list[FoundLesion], dict[int, list[LesionInFrame]]]:
        """Give the lesions, and for each frame that shows some, where they are; after the last frame."""
        self._ended += self._tracker.end()
        track_of = tracks_of(sorted(self._links))
        numbers_of: dict[int, list[int]] = defaultdict(list)
        for frame, mark in self._marks.items():
            for track in {track_of[number] for number, _, _ in mark.regions}:
                numbers_of[track].append(frame)
        ended = sorted(self._ended, key=lambda seen: (numbers_of[seen.track][0], seen.track))
        number_of = {seen.track: number for number, seen in enumerate(ended, 1)}
        found = [self._found(number_of[seen.track], seen, numbers_of[seen.track]) for seen in ended]
        shown = {frame: _in_frame(mark, track_of, number_of) for frame, mark in self._marks.items()}
        return found, {frame: lesions for frame, lesions in shown.items() if lesions}

    def _found(self, number: int, seen: Sighting, frames: list[int]) -> FoundLesion:
        return FoundLesion(
            lesion=number,
            first_frame=frames[0],
            last_frame=frames[-1],
            first_s=self._marks[frames[0]].time_ns / 1e9,
            last_s=self._marks[frames[-1]].time_ns / 1e9,
            frames=len(frames),
            largest_area_share=seen.area_fraction,
            confidence=seen.confidence,
            box=seen.box,
        )


def _measured(region: Region) -> tuple[int, int, tuple[int, int, int, int]]:
    left, top, width, height = cv2.boundingRect(region.pixels.view(np.uint8))
    return region.number, region.area_px, (left, top, left + width, top + height)


def _in_frame(mark: _Mark, track_of: dict[int, int], number_of: dict[int, int]) -> list[LesionInFrame]:
    """Join the regions of each lesion in a frame."""
    together: dict[int, list[tuple[int, tuple[int, int, int, int]]]] = defaultdict(list)
    for number, area_px, box in mark.regions:
        lesion = number_of.get(track_of[number])
        if lesion is not None:
            together[lesion].append((area_px, box))
    joined = []
    for lesion, parts in sorted(together.items()):
        lefts, tops, rights, bottoms = zip(*(box for _, box in parts), strict=True)
        box = (min(lefts) / GRID_PX, min(tops) / GRID_PX, max(rights) / GRID_PX, max(bottoms) / GRID_PX)
        joined.append(LesionInFrame(lesion, mark.area_share_a_px * sum(area for area, _ in parts), box))
    return joined
