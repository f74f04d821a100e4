"""A sink that never holds the pipeline up: a bounded queue, a thread, and a writer that may block, fail or die."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.live_values import Presented

SinkState = Literal["ok", "slow", "failed", "closed"]
"""All is written; frames were dropped of late; nothing is written at the moment; it has ended."""
QUEUED_FRAMES = 8
SLOW_S = 5.0
"""So long after a drop a sink counts as slow."""
STALLED_S = 10.0
"""A write that takes longer counts as a failure, and another writer is opened in another thread."""
MOST_ABANDONED = 3
"""Threads that may hang in a write, for the life of a sink."""


@dataclass(frozen=True)
class SinkCounts:
    """The fate of the frames that a sink was offered."""

    written: int
    """Counts the masks where masks are written, else the frames, covers too."""
    dropped: int
    """Came faster than they could be written, or while nothing could be."""
    withheld: int
    """Not recordable: left out for privacy."""
    failures: int
    state: SinkState
    last_error: str = ""
    covers: int = 0
    """Went out where viewers had no picture to see; see `PublishingSink`."""


class Recordable(Protocol):
    """An item that a queue carries: a frame, or an event found in frames."""

    @property
    def recordable(self) -> bool:
        """False where it is not to leave the machine's memory (privacy)."""
        ...


Item = TypeVar("Item", bound=Recordable)
Taken = TypeVar("Taken", contravariant=True)


class LiveSink(Protocol):
    """Takes every frame that is shown."""

    name: str

    def offer(self, presented: Presented) -> None:
        """Take a frame, or drop it; never blocks and never raises."""
        ...

    def counts(self) -> SinkCounts:
        """The fate of the frames."""
        ...

    def close(self, deadline_s: float) -> None:
        """Write what waits, within the deadline, and leave whole files."""
        ...


class Writer(Protocol[Taken]):
    """Writes frames or events one by one; for one thread. It may block and raise."""

    def write(self, item: Taken, /) -> bool | None:
        """Write one; False where it held nothing to write."""
        ...

    def close(self) -> None:
        """Make what was written whole."""
        ...


@dataclass(frozen=True)
class Retry:
    """When a writer that failed is opened again."""

    first_s: float = 1.0
    longest_s: float = 30.0
    """Each failure doubles the pause up to this."""


class QueuedSink(Generic[Item]):
    """A writer behind a queue; the oldest item (a frame, mostly) gives way to the newest.

    Args:
        name: The name in messages and metrics.
        open_writer: Makes a writer, in the sink's own thread; called again after a failure.
        capacity: Items that may wait.
        retry: When it is opened again.
        reopens: Whether `reopen` begins a new file; not where a peer would lose its stream by it.
    """

    def __init__(
        self,
        name: str,
        open_writer: Callable[[], Writer[Item]],
        capacity: int = QUEUED_FRAMES,
        retry: Retry = Retry(),
        reopens: bool = True,
    ) -> None:
        self.name = name
        self._open_writer = open_writer
        self._capacity = capacity
        self._retry = retry
        self._reopens, self._reopen_asked = reopens, False
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = self._given_up = False
        self._written = self._dropped = self._withheld = self._failures = 0
        self._failing, self._last_error = False, ""
        self._last_drop_s = float("-inf")
        self._busy_since_s: float | None = None
        self._generation = 0
        self._thread = self._started_thread()

    def offer(self, presented: Item) -> None:
        """Take a frame, or drop one; never blocks and never raises."""
        with self._changed:
            if self._closing:
                return
            if self._stalled_s() > STALLED_S and self._generation < MOST_ABANDONED:
                self._abandon_thread()
            if not presented.recordable:
                self._withheld += 1
                return
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self._drop(1)
            self._waiting.append(presented)
            self._changed.notify_all()

    def reopen(self) -> None:
        """Make the file whole and begin another, between two frames; from a signal handler too (reentrant)."""
        with self._changed:
            self._reopen_asked = self._reopens
            self._changed.notify_all()

    def counts(self) -> SinkCounts:
        """The fate of the frames."""
        with self._changed:
            state, error = self._state()
            return SinkCounts(self._written, self._dropped, self._withheld, self._failures, state, error)

    def close(self, deadline_s: float) -> None:
        """Write what waits; a writer that is not done by the deadline is left to itself."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(deadline_s)
        with self._changed:
            if self._thread.is_alive() and not self._given_up:
                self._given_up = True
                self._fail(f"not done {deadline_s:g} s after it was told to end")
                self._drop(len(self._waiting))
                self._waiting.clear()
                self._changed.notify_all()

    def _state(self) -> tuple[SinkState, str]:
        if self._given_up or self._failing:
            return "failed", self._last_error
        if not self._thread.is_alive():
            return "closed", self._last_error
        if self._stalled_s() > STALLED_S:
            return "failed", f"a write has taken {self._stalled_s():.0f} s"
        is_slow = time.monotonic() - self._last_drop_s < SLOW_S
        return ("slow" if is_slow else "ok"), self._last_error

    def _stalled_s(self) -> float:
        return 0.0 if self._busy_since_s is None else time.monotonic() - self._busy_since_s

    def _started_thread(self) -> threading.Thread:
        name = f"edgeseg-sink-{self.name}"
        thread = threading.Thread(target=self._run, args=(self._generation,), name=name, daemon=True)
        thread.start()
        return thread

    def _abandon_thread(self) -> None:
        """Leave a thread that hangs in native code, since it cannot be ended, and start anew."""
        self._fail(f"a write has taken more than {STALLED_S:g} s")
        self._drop(1)
        self._busy_since_s = None
        self._generation += 1
        self._thread = self._started_thread()

    def _drop(self, frames: int) -> None:
        if frames:
            self._dropped += frames
            self._last_drop_s = time.monotonic()

    def _fail(self, error: object) -> None:
        self._failures += 1
        self._failing, self._last_error = True, without_credentials(error)

    def _run(self, generation: int) -> None:
        pause_s = self._retry.first_s
        while not self._is_done(generation):
            written_before = self._written
            try:
                self._write_all(generation)
                continue
            except Exception as error:  # whatever a writer raises, the picture goes on
                with self._changed:
                    if generation != self._generation:
                        return
                    self._fail(error)
            pause_s = self._retry.first_s if self._written > written_before else pause_s
            self._wait_s(pause_s)
            pause_s = min(2 * pause_s, self._retry.longest_s)

    def _write_all(self, generation: int) -> None:
        """Write frames until told to end or to begin a new file, the writer fails, or another thread has taken over."""
        item = self._next(generation, is_open=False)
        if item is None:
            return
        writer: Writer[Item] | None = None
        try:
            self._note_busy(generation)  # a connection may hang as well
            writer = self._open_writer()
            while item is not None:
                self._note_busy(generation)
                is_written = writer.write(item) is not False
                with self._changed:
                    if generation == self._generation:
                        self._busy_since_s, self._failing = None, False
                        self._written += is_written
                item = self._next(generation, is_open=True)
        except BaseException:
            with contextlib.suppress(Exception):
                if writer is not None:
                    writer.close()
            with self._changed:
                if generation == self._generation:
                    self._busy_since_s = None
                    self._drop(1)
            raise
        self._note_busy(generation)  # and so may the end of a file
        try:
            writer.close()
        finally:
            with self._changed:
                if generation == self._generation:
                    self._busy_since_s = None

    def _note_busy(self, generation: int) -> None:
        with self._changed:
            if generation == self._generation:
                self._busy_since_s = time.monotonic()

    def _next(self, generation: int, is_open: bool) -> Item | None:
        """Take the next item to write; None at the end, where a file is to end, or if another thread took over."""
        with self._changed:
            if generation == self._generation and not is_open:
                self._reopen_asked = False
            self._changed.wait_for(
                lambda: self._closing or self._reopen_asked or bool(self._waiting) or generation != self._generation
            )
            if generation != self._generation or not self._waiting or (is_open and self._reopen_asked):
                return None
            return self._waiting.popleft()

    def _is_done(self, generation: int) -> bool:
        with self._changed:
            is_over = self._given_up or (self._closing and not self._waiting)
            return is_over or generation != self._generation

    def _wait_s(self, pause_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._reopen_asked, pause_s)
            if self._closing:  # a writer that cannot be opened gets no second chance at the end
                self._drop(len(self._waiting))
                self._waiting.clear()
