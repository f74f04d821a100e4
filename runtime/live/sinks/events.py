"""Events: lesions that came into view or left it, and alarms; followed once for all who ask, written as JSON lines."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.folder import HeldFolder
from edgeseg.runtime.live.sinks.lines import JsonLines, utc_text
from edgeseg.runtime.live.sinks.sightings import EventTracker, Sighting
from edgeseg.runtime.live.sinks.sink import QueuedSink, SinkCounts
from edgeseg.runtime.video.sinks import JPEG_QUALITY

THUMBNAIL_WIDTH_PX = 640
KEPT_EVENTS = 200


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
            "lesion": seen.lesion,
            "time": utc_text(seen.first_ns),
            "frame": seen.first_frame,
        }
        if self.kind == "left":
            document |= {
                "until": utc_text(seen.last_ns),
                "duration_s": round(seen.duration_s, 3),
                "largest_area_fraction": round(seen.area_fraction, 6),
                "confidence": round(seen.confidence, 4),
                "box": [round(side, 4) for side in seen.box],
                "joined": list(seen.joined),
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


class BoxEvent(Protocol):
    """An event of the box, beside those that pictures tell; it has no picture."""

    @property
    def recordable(self) -> bool:
        """True: there is nothing private in it."""
        ...

    def to_dict(self) -> dict[str, object]:
        """Give it as JSON."""
        ...


AnyEvent = Event | AlarmEvent | BoxEvent


class EventSink:
    """Follows sightings, once for the page and the file. A `LiveSink`.

    A new mask costs a fraction of a millisecond, any other frame microseconds.

    Args:
        structure: What is marked.
        lines: Writes events down, those of drift watch and box too, behind a queue; None keeps only the newest
            sightings in memory.
    """

    def __init__(self, structure: str, lines: QueuedSink[AnyEvent] | None = None) -> None:
        self.name = "events" if lines is None else lines.name
        self._structure, self._lines = structure, lines
        self._tracker = EventTracker()
        self._newest: deque[dict[str, object]] = deque(maxlen=KEPT_EVENTS)
        self._lock = threading.Lock()
        self._noted = 0
        self._alarms: frozenset[str] = frozenset()

    def offer(self, presented: Presented) -> None:
        """Look at a frame."""
        self._note_alarms(presented)
        frame, overlay = presented.frame, presented.overlay if presented.recordable else None
        appeared, left = self._tracker.see(frame.index, frame.arrived_ns, presented.mask, overlay)
        for seen in left:
            self._note(Event("left", self._structure, seen))
        for seen in appeared:
            self._note(Event("appeared", self._structure, seen))

    def note(self, event: BoxEvent) -> None:
        """Write down an event of the box; from any thread."""
        if self._lines is not None:
            self._lines.offer(event)

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
        for seen in self._tracker.end():
            self._note(Event("left", self._structure, seen))
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

    def write(self, event: AnyEvent) -> None:
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
        time = utc_text(seen.first_ns).replace(":", "").replace("-", "")
        name = f"{time}-{seen.first_frame}-{seen.lesion}.jpg"
        scale = min(1.0, THUMBNAIL_WIDTH_PX / seen.picture.width)
        small = cv2.resize(seen.picture.bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
        self._folder.write(name, data)
        return f"{self._name}/{name}"
