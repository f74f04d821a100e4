"""Lesions in video: when each came into view and left it, with its picture when it was largest."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.live.live_values import LiveMask
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.tracks import Region, RegionFollower, tracks_of

GRID_PX = 128
"""Masks of all sizes are followed at this width and height: the cost does not grow with the picture, and a source may
change its size. The smallest region of the default rules has 17 pixels."""
_GRID = (GRID_PX, GRID_PX)


@dataclass(frozen=True)
class EventRules:
    """Hysteresis: a flicker is no event, and a moment's loss ends none. Each lesion is judged alone."""

    smallest_area_fraction: float = 0.001
    """Regions smaller than this are ignored."""
    appears_after_s: float = 0.3
    """Seen without a gap for so long."""
    leaves_after_s: float = 1.0
    """Not seen for so long."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A time in which one lesion was marked."""

    first_ns: int
    """Start by `time.monotonic_ns`."""
    last_ns: int
    first_frame: int
    track: int = 0
    """The smallest number of its regions, once it has ended."""
    lesion: int | None = None
    """Its number in the stream, from 1 on; None until it is certain."""
    joined: tuple[int, ...] = ()
    """The lesions that were taken for others before their marks joined this one's."""
    area_fraction: float = 0.0
    """The largest."""
    confidence: float = 0.0
    """Confidence when the area was largest."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Left, top, right and bottom when the area was largest, as fractions of the picture's width and height."""
    picture: Picture | None = field(default=None, repr=False)
    """The picture with the overlay when the area was largest; None where no frame may be kept."""

    @property
    def duration_s(self) -> float:
        """Time from the first to the last frame with a mark."""
        return (self.last_ns - self.first_ns) / 1e9


class EventTracker:
    """Finds sightings of lesions in frames; pure but for what it remembers.

    A lesion is a track of regions, as `RegionFollower` follows them. Regions that split or join are one lesion.

    Args:
        rules: When a sighting begins and ends.
    """

    def __init__(self, rules: EventRules = EventRules()) -> None:
        self._rules = rules
        smallest_px = max(1, math.ceil(rules.smallest_area_fraction * GRID_PX**2))
        self._follower = RegionFollower(forget_frames=math.inf, smallest_area_px=smallest_px)
        self._open: dict[int, Sighting] = {}
        """By track."""
        self._track_of: dict[int, int] = {}
        """The tracks of the regions that a later one may continue."""
        self._seen_ns: dict[int, int] = {}
        """When these regions were marked last."""
        self._mask_index: int | None = None
        self._marked: dict[int, list[Region]] = {}
        """The regions of that mask, by track."""
        self._marked_px = 0
        """Pixels of that mask in the grid, ignored regions among them."""
        self._lesions = 0

    def see(
        self, index: int, at_ns: int, mask: LiveMask | None, overlay: Picture | None = None
    ) -> tuple[list[Sighting], list[Sighting]]:
        """Take in the next frame.

        Args:
            index: The frame's number.
            at_ns: The frame's time; it never goes back.
            mask: The mask that is shown on the frame; None for none.
            overlay: The frame with that mask drawn; None where no frame may be kept.

        Returns:
            The sightings that are certain since this frame, and those that ended with it; mostly none.
        """
        left = self._forget(at_ns) if self._open else []
        if mask is None or mask.area_fraction < max(self._rules.smallest_area_fraction, 1e-9):
            return [], left
        if mask.index != self._mask_index:  # a slow engine's mask is shown on several frames
            self._follow(mask)
        appeared = []
        for track, regions in self._marked.items():
            self._seen_ns.update((region.number, at_ns) for region in regions)
            seen = self._open.get(track) or Sighting(at_ns, at_ns, index)
            seen = self._at_largest(replace(seen, last_ns=at_ns), mask, regions, overlay)
            if seen.lesion is None and seen.duration_s >= self._rules.appears_after_s:
                self._lesions += 1
                seen = replace(seen, lesion=self._lesions)
                appeared.append(seen)
            self._open[track] = seen
        return appeared, left

    def regions_of(self, mask_index: int) -> list[Region]:
        """Give the regions of the newest mask, at `GRID_PX`; none if that is another, or too small to be followed."""
        if mask_index != self._mask_index:
            return []
        return [region for regions in self._marked.values() for region in regions]

    def end(self) -> list[Sighting]:
        """The sightings that last to the end."""
        return self._forget(math.inf)

    def _follow(self, mask: LiveMask) -> None:
        """Find which region continues which lesion, and join the sightings of lesions that turn out to be one."""
        grid: Any = cv2.resize(mask.mask, _GRID, interpolation=cv2.INTER_NEAREST)
        regions = self._follower.update(grid)
        former = [(track, ()) for track in self._open]
        links = [(region.number, {self._track_of[number] for number in region.continues}) for region in regions]
        root_of = tracks_of([*former, *links])
        together: dict[int, list[Sighting]] = {}
        for track, seen in self._open.items():
            together.setdefault(root_of[track], []).append(seen)
        self._open = {track: _as_one(sightings) for track, sightings in together.items()}
        self._track_of = {number: root_of[self._track_of.get(number, number)] for number in self._follower.remembered}
        self._seen_ns = {number: at_ns for number, at_ns in self._seen_ns.items() if number in self._track_of}
        self._marked = {}
        for region in regions:
            self._marked.setdefault(root_of[region.number], []).append(region)
        self._mask_index, self._marked_px = mask.index, cv2.countNonZero(grid)

    def _at_largest(self, seen: Sighting, mask: LiveMask, regions: list[Region], overlay: Picture | None) -> Sighting:
        """Note how the lesion looks where it was never larger."""
        area_fraction = mask.area_fraction * sum(region.area_px for region in regions) / self._marked_px
        if area_fraction <= seen.area_fraction:
            return seen
        pixels = np.logical_or.reduce([region.pixels for region in regions]).view(np.uint8)
        confidence = mask.confidence
        if len(self._marked) > 1 and mask.probability is not None:
            probability = cv2.resize(mask.probability[0], _GRID, interpolation=cv2.INTER_NEAREST)
            confidence = float(cv2.mean(probability, pixels)[0])
        left, top, width, height = (side / GRID_PX for side in cv2.boundingRect(pixels))
        return replace(
            seen,
            area_fraction=area_fraction,
            confidence=confidence,
            box=(left, top, left + width, top + height),
            picture=seen.picture if overlay is None else overlay,
        )

    def _forget(self, now_ns: float) -> list[Sighting]:
        """Forget regions that were away for too long, and end the sightings that have none left.

        A sighting that is not certain yet ends with its first gap.
        """
        stale = []
        for number, track in self._track_of.items():
            is_certain = self._open[track].lesion is not None
            patience_s = self._rules.leaves_after_s if is_certain else self._rules.appears_after_s
            if now_ns - self._seen_ns[number] > patience_s * 1e9:
                stale.append(number)
        if not stale:
            return []
        self._follower.forget(stale)
        for number in stale:
            del self._track_of[number], self._seen_ns[number]
        self._mask_index = None
        tracks = set(self._track_of.values())
        ended = [replace(self._open.pop(track), track=track) for track in list(self._open) if track not in tracks]
        return [seen for seen in ended if seen.lesion is not None]


def _as_one(sightings: list[Sighting]) -> Sighting:
    """Join sightings of what turns out to be one lesion: the earliest goes on, a certain one before the others."""
    if len(sightings) == 1:
        return sightings[0]
    first, *others = sorted(sightings, key=lambda seen: (seen.lesion is None, seen.first_ns))
    largest = max(sightings, key=lambda seen: seen.area_fraction)
    numbers = [number for seen in others for number in (seen.lesion, *seen.joined) if number is not None]
    return replace(
        first,
        joined=(*first.joined, *numbers),
        area_fraction=largest.area_fraction,
        confidence=largest.confidence,
        box=largest.box,
        picture=largest.picture,
    )
