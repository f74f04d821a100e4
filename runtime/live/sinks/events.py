"""When a polyp came into view and when it left, with a picture of it at its largest; followed once for all who ask."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.folder import HeldFolder
from edgeseg.runtime.live.sinks.lines import JsonLines, utc_text
from edgeseg.runtime.live.sinks.sink import QueuedSink, SinkCounts
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import JPEG_QUALITY

THUMBNAIL_WIDTH_PX = 640
KEPT_EVENTS = 200


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
    """Start by `time.monotonic_ns`."""
    last_ns: int
    first_frame: int
    area_fraction: float = 0.0
    """The largest."""
    confidence: float = 0.0
    """Confidence when the area was largest."""
    picture: Picture | None = field(default=None, repr=False)
    """The picture with the overlay when the area was largest; None where no frame may be kept."""
    confirmed: bool = False

    @property
    def duration_s(self) -> float:
        """Time from the first to the last frame with a mark."""
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


@dataclass(frozen=True, eq=False)
class Event:
    """A sighting that began or ended."""

    kind: Literal["appeared", "left"]
    structure: str
    """The structure that is marked, for example ``polyp``."""
    seen: Sighting
    recordable: bool = True
    """Always: the picture of a sighting is of a frame that may be kept, or none."""

    def to_dict(self) -> dict[str, object]:
        """Give the event as JSON, with the time of day by the clock as it is now."""
        seen = self.seen
        document: dict[str, object] = {
            "event": self.kind,
            "structure": self.structure,
            "time": utc_text(seen.first_ns),
            "frame": seen.first_frame,
        }
        if self.kind == "left":
            document |= {
                "until": utc_text(seen.last_ns),
                "duration_s": round(seen.duration_s, 3),
                "largest_area_fraction": round(seen.area_fraction, 6),
                "confidence": round(seen.confidence, 4),
            }
        return document


@dataclass(frozen=True, eq=False)
class AlarmEvent:
    """An alarm of the drift watch that began or ended."""

    kind: Literal["drift began", "drift ended"]
    alarm: str
    arrived_ns: int
    """Arrival of the first frame that was shown with it, or without it again."""
    frame: int
    recordable: bool = True
    """Always: it has no picture."""

    def to_dict(self) -> dict[str, object]:
        """Give the change as JSON, with the time of day by the clock as it is now."""
        return {"event": self.kind, "alarm": self.alarm, "time": utc_text(self.arrived_ns), "frame": self.frame}


class EventSink:
    """Follows sightings, once for the page and the file. A `LiveSink`; what it does on a frame takes microseconds.

    Args:
        structure: What is marked.
        lines: Writes events down, those of the drift watch too, behind a queue; None keeps only the newest sightings
            in memory.
        rules: When an event begins and ends.
    """

    def __init__(
        self, structure: str, lines: QueuedSink[Event | AlarmEvent] | None = None, rules: EventRules = EventRules()
    ) -> None:
        self.name = "events" if lines is None else lines.name
        self._structure, self._lines = structure, lines
        self._tracker = EventTracker(rules)
        self._newest: deque[dict[str, object]] = deque(maxlen=KEPT_EVENTS)
        self._lock = threading.Lock()
        self._noted = 0
        self._alarms: frozenset[str] = frozenset()

    def offer(self, presented: Presented) -> None:
        """Look at a frame."""
        self._note_alarms(presented)
        appeared, left = self._tracker.see(presented)
        if left is not None:
            self._note(Event("left", self._structure, left))
        if appeared is not None:
            self._note(Event("appeared", self._structure, appeared))

    def newest(self) -> list[dict[str, object]]:
        """The newest events, oldest first; from any thread."""
        with self._lock:
            return list(self._newest)

    def counts(self) -> SinkCounts:
        """The fate of the events."""
        return self._lines.counts() if self._lines is not None else SinkCounts(self._noted, 0, 0, 0, "ok")

    def reopen(self) -> None:
        """Begin a new file."""
        if self._lines is not None:
            self._lines.reopen()

    def close(self, deadline_s: float) -> None:
        """End every event that is still in view."""
        left = self._tracker.end()
        if left is not None:
            self._note(Event("left", self._structure, left))
        if self._lines is not None:
            self._lines.close(deadline_s)

    def _note_alarms(self, presented: Presented) -> None:
        before, self._alarms = self._alarms, frozenset(presented.alarms)
        if self._lines is None or before == self._alarms:
            return
        frame = presented.frame
        for alarm in sorted(self._alarms - before):
            self._lines.offer(AlarmEvent("drift began", alarm, frame.arrived_ns, frame.index))
        for alarm in sorted(before - self._alarms):
            self._lines.offer(AlarmEvent("drift ended", alarm, frame.arrived_ns, frame.index))

    def _note(self, event: Event) -> None:
        with self._lock:
            self._newest.append(event.to_dict())
            self._noted += 1
        if self._lines is not None:
            self._lines.offer(event)


class EventLines:
    """Events as JSON lines, thumbnails beside them. A `Writer`.

    Args:
        path: FILE.jsonl; lines are added. Thumbnails go to the folder FILE.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.with_suffix("").name
        self._folder = HeldFolder(path.with_suffix(""))
        self._lines = JsonLines(path)

    def write(self, event: Event | AlarmEvent) -> None:
        """Write a line, and at the end of a sighting its picture."""
        document = event.to_dict()
        if isinstance(event, Event) and event.kind == "left":
            document["thumbnail"] = self._write_thumbnail(event.seen)
        self._lines.add(document)

    def close(self) -> None:
        """Bring the lines to the disk."""
        try:
            self._lines.close()
        finally:
            self._folder.close()

    def _write_thumbnail(self, seen: Sighting) -> str | None:
        if seen.picture is None:
            return None
        name = f"{utc_text(seen.first_ns).replace(':', '').replace('-', '')}-{seen.first_frame}.jpg"
        scale = min(1.0, THUMBNAIL_WIDTH_PX / seen.picture.width)
        small = cv2.resize(seen.picture.bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
        self._folder.write(name, data)
        return f"{self._name}/{name}"
