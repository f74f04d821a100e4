"""The part of a stream that the page needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.video.overlay import OverlayMode


class View(Protocol):
    """A stream as the page sees it; every call is for any thread."""

    @property
    def newest(self) -> Presented | None:
        """The frame that is shown now."""
        ...

    def status(self) -> LiveStatus:
        """This moment."""
        ...

    def set_overlay(self, mode: OverlayMode) -> None:
        """Change what is drawn."""
        ...

    def passport(self) -> dict[str, Any]:
        """The engine's passport as JSON."""
        ...

    def events(self) -> Sequence[dict[str, Any]]:
        """Sightings and changes of state, oldest first; see `EventSink` and `StreamView`."""
        ...


class RollOutControl(Protocol):
    """The way of a new engine onto the screen, as the page sees it; every call is for any thread."""

    def report(self) -> dict[str, Any]:
        """All figures, as JSON."""
        ...

    def ask(self, action: Any) -> None:
        """``switch`` to the new engine, or go ``back``.

        Raises:
            EdgesegError: It cannot be had now.
        """
        ...


def stream_named(connection: Any, views: Mapping[str, View]) -> str:
    """The stream that is asked for; the first where none is named."""
    return str(connection.query_params.get("stream", next(iter(views))))
