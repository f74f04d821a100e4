"""The sinks by what they do, each ready to be offered frames."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.encoded import EncodedWriter, Publication, Recording, Timing, View
from edgeseg.runtime.live.sinks.events import AnyEvent, EventLines, EventSink
from edgeseg.runtime.live.sinks.publishing import PublishingSink
from edgeseg.runtime.live.sinks.shown_masks import MaskLines, MaskPictures
from edgeseg.runtime.live.sinks.sink import QueuedSink

EVENTS_THAT_WAIT = 64
"""While a disk is full or away."""


def recording_sink(path: Path, timing: Timing, view: View) -> QueuedSink[Presented]:
    """A recording as fragmented MP4; `view` says with the overlay or as it came."""
    return QueuedSink(f"{view} {path}", lambda: EncodedWriter(Recording(path), timing, view))


def publishing_sink(url: str, timing: Timing, view: View = "overlay") -> PublishingSink:
    """A stream by RTSP, RTMP, SRT, UDP or HLS.

    Raises:
        UsageError: An address of no kind that edgeseg streams to.
    """
    target = Publication(url)
    return PublishingSink(f"{view} {without_credentials(url)}", lambda: EncodedWriter(target, timing, view))


def mask_sink(path: Path) -> QueuedSink[Presented]:
    """Masks as COCO run lengths where `path` ends in .jsonl, else as PNG files in a folder."""
    if path.suffix == ".jsonl":
        return QueuedSink(f"masks {path}", lambda: MaskLines(path))
    return QueuedSink(f"masks {path}", lambda: MaskPictures(path))


def event_sink(path: Path | None, structure: str) -> EventSink:
    """Events, kept in memory and, where there is a path, as JSON lines with thumbnails.

    Of frames that may not be recorded it keeps the time alone.
    """
    if path is None:
        return EventSink(structure)
    lines: QueuedSink[AnyEvent] = QueuedSink(f"events {path}", lambda: EventLines(path), EVENTS_THAT_WAIT)
    return EventSink(structure, lines)
