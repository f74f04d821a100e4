"""Files, folders and made-up pictures at the pace of a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from edgeseg.runtime.live.sources.contract import SourceOptions, SourceStatus
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import ClipTiming, SourceFrame
from edgeseg.runtime.video.timestamps import Timeline

_LATE_NS = 10**9
"""A reader that is later than this need not catch up."""


@dataclass(frozen=True, eq=False)
class FeedFrame:
    """A picture that is due at its timestamp."""

    pts: int | None
    """The timestamp in units of the feed's time base."""
    picture: Callable[[], Picture]
    """Called when the frame is due: reads, draws or merely returns the picture."""
    damaged: bool = False


class Feed(Protocol):
    """The pictures that a paced source plays; whoever makes the feed opens and checks it."""

    @property
    def timing(self) -> ClipTiming:
        """The time base and rate; known once the first frame came."""
        ...

    @property
    def decoder_name(self) -> str:
        """The name of the reader or decoder."""
        ...

    @property
    def corrupt(self) -> int:
        """The number of packets or images that could not be read."""
        ...

    def frames(self) -> Iterator[FeedFrame]:
        """Yield the pictures of one pass, from the beginning.

        Raises:
            BadInputError: Nothing in it can be read.
        """
        ...


class PacedSource:
    """Gives every frame of a feed when its time comes; that moment counts as its arrival.

    A picture of a file is decoded ahead of its time, as a disk allows; an image is read and a synthetic picture drawn
    when it is due.

    Args:
        name: What the user typed.
        feed: The pictures to play.
        options: They say whether to start again at the end.
        is_live: True for a camera that never ends; it leaves out the frames that it is too late for.
    """

    def __init__(self, name: str, feed: Feed, options: SourceOptions, is_live: bool = False) -> None:
        self.name = name
        self.is_live = is_live
        self._feed = feed
        self._loop = options.loop
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._status = SourceStatus("connecting")
        self._timing: ClipTiming | None = None

    @property
    def timing(self) -> ClipTiming:
        """The time base and rate of the feed."""
        if self._timing is None:
            raise ValueError("no frame came yet")
        return self._timing

    def status(self) -> SourceStatus:
        """The state of the source now."""
        with self._lock:
            return self._status

    def close(self) -> None:
        """Make `frames` end."""
        self._closed.set()

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame when it is due; see `LiveSource`."""
        try:
            yield from self._paced()
        finally:
            self._closed.set()
            self._note(state="ended")

    def _paced(self) -> Iterator[SourceFrame]:
        index, start_ns, timeline = 0, 0, None
        for begins, frame in self._passes():
            timing = self._feed.timing
            if timeline is None:
                self._timing = timing
                timeline = Timeline(timing.time_base, max(1, round(1 / (timing.rate * timing.time_base))))
                first = pts = timeline.place(frame.pts)
                start_ns = time.monotonic_ns()
            else:
                if begins and timeline.last is not None:  # a step after the last frame, however short the pass was
                    timeline.offset = timeline.last + timeline.step - (frame.pts or 0)
                pts = timeline.place(frame.pts)
            due_ns = start_ns + round((pts - first) * timing.time_base * 10**9)
            late_ns = time.monotonic_ns() - due_ns
            if late_ns < 0 and self._closed.wait(-late_ns / 1e9):
                return
            if late_ns > _LATE_NS:
                start_ns += late_ns
            elif self.is_live and late_ns > 1e9 / timing.rate:
                self._note(skipped=self.status().skipped + 1)
                continue
            yield self._frame(index, frame, pts, timing)
            index += 1

    def _passes(self) -> Iterator[tuple[bool, FeedFrame]]:
        """Yield every frame, and whether a pass begins with it."""
        while not self._closed.is_set():
            for count, frame in enumerate(self._feed.frames()):
                if self._closed.is_set():
                    return
                yield count == 0, frame
            if not self._loop:
                return

    def _frame(self, index: int, frame: FeedFrame, pts: int, timing: ClipTiming) -> SourceFrame:
        arrived_ns = time.monotonic_ns()
        picture = frame.picture()
        self._note(
            state="connected",
            height=picture.height,
            width=picture.width,
            damaged=self.status().damaged + frame.damaged,
            corrupt=self._feed.corrupt,
            decoder=self._feed.decoder_name,
        )
        decoded_ns = time.monotonic_ns()
        return SourceFrame(index, arrived_ns, decoded_ns, pts, timing.time_base, picture, frame.damaged)

    def _note(self, **changes: object) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)  # type: ignore[arg-type]
