"""A stream as its page sees it, and the page as the stream sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgeseg.files import read_json
from edgeseg.packages import find_model
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.live_stream import LiveStream
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.settings import LiveSettings
from edgeseg.runtime.live.sinks.events import EventSink
from edgeseg.runtime.live.sinks.lines import utc_of_day
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.live.web.server import PageServer
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.runtime.video.overlay import OverlayMode


@dataclass(frozen=True)
class PageCounts:
    """The page's counts as a sink: it takes what it can show, as long as it is served."""

    state: Literal["ok", "failed"] = "ok"
    last_error: str = ""


class PageSink:
    """A page as a sink of a stream.

    Args:
        page: The page's server, which outlives the stream.
        stream: The stream's name on the page.
    """

    name = "page"

    def __init__(self, page: PageServer, stream: str = "") -> None:
        self._page, self._stream = page, stream

    def offer(self, presented: Presented) -> None:
        """Show a frame to whoever has the page open."""
        self._page.offer(presented, self._stream)

    def counts(self) -> PageCounts:
        """Say whether the page is served."""
        failure = self._page.failure
        return PageCounts() if failure is None else PageCounts("failed", f"{type(failure).__name__}: {failure}")

    def close(self, deadline_s: float) -> None:
        """Do nothing: the server ends with the stream's context."""


class StreamView:
    """A stream as the page sees it.

    Args:
        stream: The stream.
        events: The events of what came into view and left it.
        settings: The stream's settings.
        drift: The stream's drift watch.
    """

    def __init__(
        self, stream: LiveStream, events: EventSink, settings: LiveSettings, drift: DriftMonitor | None = None
    ) -> None:
        self._stream, self.drift = stream, drift
        self.sightings = events
        self._settings = settings

    @property
    def newest(self) -> Presented | None:
        """The frame that is shown now."""
        return self._stream.newest

    def status(self) -> LiveStatus:
        """Read the status of this moment."""
        return self._stream.status()

    def set_overlay(self, mode: OverlayMode) -> None:
        """Change what is drawn."""
        self._stream.set_overlay(mode)

    def passport(self) -> dict[str, Any]:
        """Read the passport of the engine that is shown, or what a model says."""
        status = self._stream.status()
        former = None if status.drift is None else status.drift["fallen_back_from"]
        path = self._settings.engine if former is None else self._settings.watch.reference
        if status.roll_out is not None and status.roll_out["phase"] == "shown":
            path = self._settings.roll_out.shadow
        assert path is not None
        if find_model(path).kind == "engine":
            found = read_json(passport_path(path), "the engine's passport")
        else:
            found = {"backend": status.backend, "precision": status.precision, "onnx_sha256": status.engine}
        return found if former is None else {**found, "fallen_back_from": former}

    def events(self) -> Sequence[dict[str, Any]]:
        """List sightings, changes of state or engine and findings of the drift watch, oldest first."""
        changes = [
            {"event": "state", "state": change.state, "reason": change.reason, "time": utc_of_day(when_s)}
            for when_s, change in self._stream.changes()
        ]
        drift = [] if self.drift is None else self.drift.events()
        found = [{"event": "drift", "text": text, "time": utc_of_day(when_s)} for when_s, text in drift]
        rolled = (self._stream.status().roll_out or {}).get("events", [])
        every: list[dict[str, Any]] = [*changes, *found, *rolled, *self.sightings.newest()]
        return sorted(every, key=lambda event: str(event.get("until", event["time"])))
