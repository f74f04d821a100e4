"""A stream to viewers, who see a cover where there is no picture for them: a player would go on showing the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeseg.runtime.live.cover import cover_of
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks.sink import QueuedSink, SinkCounts, Writer
from edgeseg.runtime.live.states import StateChange

SILENT_S = 1.0
"""A picture that is not followed by another for so long is covered, as on the page."""
COVER_PERIOD_S = 0.5


class PublishingSink(QueuedSink[Presented]):
    """A queue and a writer to whoever looks; `reopen` leaves the stream to its viewers.

    Args:
        name: The name in messages and metrics.
        open_writer: Connects; see `QueuedSink`.
    """

    def __init__(self, name: str, open_writer: Callable[[], Writer[Presented]]) -> None:
        self._newest: Presented | None = None
        self._hidden_since_ns: int | None = None
        self._cover_ns: int | None = None
        self._covers = 0
        super().__init__(name, open_writer, reopens=False)

    def offer(self, presented: Presented) -> None:
        """Take a frame, or cover it where viewers may not see it; never blocks and never raises."""
        with self._changed:
            super().offer(presented)
            self._newest = presented
            if presented.recordable:
                self._hidden_since_ns = None
                return
            now_ns = presented.presented_ns
            if self._hidden_since_ns is None:
                self._hidden_since_ns = now_ns
            self.cover(now_ns, StateChange(presented.state, presented.reason, now_ns))

    def cover(self, now_ns: int, change: StateChange) -> None:
        """Send a cover where one is due; to be asked several times a second, from any thread.

        Before the first frame there is none: the stream has no size yet.

        Args:
            now_ns: The time now by the monotonic clock.
            change: The stream's state.
        """
        with self._changed:  # a frame that comes now goes out after the cover
            newest = self._newest
            if self._closing or newest is None:
                return
            if self._cover_ns is not None and now_ns - self._cover_ns < COVER_PERIOD_S * 1e9:
                return
            is_silent = now_ns - newest.presented_ns > SILENT_S * 1e9
            since_ns = newest.presented_ns if is_silent else self._hidden_since_ns
            if since_ns is None:
                return
            self._cover_ns = now_ns
            try:
                cover = cover_of(newest, None if is_silent else newest.gate, since_ns, now_ns, change)
            except Exception as error:
                self._fail(error)
                return
            self._covers += 1
            super().offer(cover)

    def counts(self) -> SinkCounts:
        """The fate of the frames."""
        with self._changed:
            return replace(super().counts(), covers=self._covers)
