"""When a polyp came into view and when it left, with a picture of it at its largest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from edgeseg.runtime.live.frames import Presented
from edgeseg.runtime.live.sinks.lines import JsonLines, utc_text
from edgeseg.runtime.stream.picture import Picture
from edgeseg.runtime.stream.sinks import JPEG_QUALITY

THUMBNAIL_WIDTH_PX = 640


@dataclass(frozen=True)
class EventRules:
    """Hysteresis: a flicker is no event, and a moment's loss ends none."""

    smallest_area_fraction: float = 0.001
    appears_after_s: float = 0.3
    """Seen without a gap for so long."""
    leaves_after_s: float = 1.0
    """Not seen for so long."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A time in which something was marked."""

    first_ns: int
    """Of `time.monotonic_ns`."""
    last_ns: int
    first_frame: int
    area_fraction: float = 0.0
    """The largest."""
    confidence: float = 0.0
    """At the largest."""
    picture: Picture | None = field(default=None, repr=False)
    """At the largest, with the overlay; None where no frame may be kept."""
    confirmed: bool = False

    @property
    def duration_s(self) -> float:
        """From the first to the last frame with a mark."""
        return (self.last_ns - self.first_ns) / 1e9


class EventTracker:
    """Finds sightings in frames; pure but for what it remembers.

    Args:
        rules: When one begins and ends.
    """

    def __init__(self, rules: EventRules = EventRules()) -> None:
        self._rules = rules
        self._open: Sighting | None = None

    def see(self, presented: Presented) -> tuple[Sighting | None, Sighting | None]:
        """The sighting that is certain since this frame, and the one that ended with it; mostly neither."""
        now_ns, mask = presented.frame.arrived_ns, presented.mask
        marked = mask is not None and mask.area_fraction >= max(self._rules.smallest_area_fraction, 1e-9)
        if not marked:
            return None, self._end_where_due(now_ns)
        assert mask is not None
        ended = self._end_where_due(now_ns)
        seen = self._open or Sighting(now_ns, now_ns, presented.frame.index)
        seen = replace(seen, last_ns=now_ns)
        if mask.area_fraction > seen.area_fraction:
            picture = presented.overlay if presented.recordable else seen.picture
            seen = replace(seen, area_fraction=mask.area_fraction, confidence=mask.confidence, picture=picture)
        appeared = not seen.confirmed and seen.duration_s >= self._rules.appears_after_s
        self._open = replace(seen, confirmed=seen.confirmed or appeared)
        return (self._open if appeared else None), ended

    def end(self) -> Sighting | None:
        """The sighting that lasts to the end."""
        seen, self._open = self._open, None
        return seen if seen is not None and seen.confirmed else None

    def _end_where_due(self, now_ns: int) -> Sighting | None:
        """A sighting that is not certain yet ends with its first gap."""
        seen = self._open
        if seen is None:
            return None
        patience_s = self._rules.leaves_after_s if seen.confirmed else self._rules.appears_after_s
        return self.end() if now_ns - seen.last_ns > patience_s * 1e9 else None


class EventLines:
    """Events as JSON lines: ``appeared`` and ``left``, thumbnails beside them; ``drift began`` and ``drift ended``.

    A `Writer` that takes private frames.

    Args:
        path: FILE.jsonl; lines are added. Thumbnails go to the folder FILE.
        structure: What is marked, for example ``polyp``.
        rules: When an event begins and ends.
    """

    def __init__(self, path: Path, structure: str, rules: EventRules = EventRules()) -> None:
        self._folder = path.with_suffix("")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lines = JsonLines(path)
        self._structure = structure
        self._tracker = EventTracker(rules)
        self._alarms: frozenset[str] = frozenset()

    def write(self, presented: Presented) -> None:
        """Write a line where something appeared or left, or an alarm came or went."""
        self._write_alarms(presented)
        appeared, left = self._tracker.see(presented)
        if left is not None:
            self._write_left(left)
        if appeared is not None:
            self._lines.add({"event": "appeared", **self._described(appeared)})

    def close(self) -> None:
        """What is in view leaves with the end."""
        try:
            left = self._tracker.end()
            if left is not None:
                self._write_left(left)
        finally:
            self._lines.close()

    def _write_alarms(self, presented: Presented) -> None:
        before, self._alarms = self._alarms, frozenset(presented.alarms)
        for event, alarms in (("drift began", self._alarms - before), ("drift ended", before - self._alarms)):
            for alarm in sorted(alarms):
                when = {"time": utc_text(presented.frame.arrived_ns), "frame": presented.frame.index}
                self._lines.add({"event": event, "alarm": alarm, **when})

    def _write_left(self, seen: Sighting) -> None:
        self._lines.add(
            {
                "event": "left",
                **self._described(seen),
                "duration_s": round(seen.duration_s, 3),
                "largest_area_fraction": round(seen.area_fraction, 6),
                "confidence": round(seen.confidence, 4),
                "thumbnail": self._write_thumbnail(seen),
            }
        )

    def _described(self, seen: Sighting) -> dict[str, object]:
        return {"structure": self._structure, "time": utc_text(seen.first_ns), "frame": seen.first_frame}

    def _write_thumbnail(self, seen: Sighting) -> str | None:
        if seen.picture is None:
            return None
        name = f"{utc_text(seen.first_ns).replace(':', '').replace('-', '')}-{seen.first_frame}.jpg"
        scale = min(1.0, THUMBNAIL_WIDTH_PX / seen.picture.width)
        small = cv2.resize(seen.picture.bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
        (self._folder / name).write_bytes(data)
        return f"{self._folder.name}/{name}"
