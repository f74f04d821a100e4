"""A live source made of connections: after one that fails comes another, later and later, within bounds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from edgeseg.runtime.live.credentials import without_credentials
from edgeseg.runtime.live.sources.backoff import Backoff
from edgeseg.runtime.live.sources.contract import LIVE_TIME_BASE, SourceOptions, SourceStatus
from edgeseg.runtime.live.sources.faults import SourceFault, SourceLostError, StreamEnded
from edgeseg.runtime.live.sources.live_timeline import LiveTimeline
from edgeseg.runtime.video.decoder import Decoded
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

logger = logging.getLogger(__name__)
_LOOK_S = 0.1
"""How often a waiting source checks whether it was closed, in seconds."""
_STEADY_NS = 5 * 10**9
"""A connection that lasted this long was a good one: the next pause is short again."""


class Connection(Protocol):
    """One connection to a device or server; made without blocking."""

    @property
    def timing(self) -> ClipTiming | None:
        """The time base and rate; known once the first picture came."""
        ...

    @property
    def decoder_name(self) -> str:
        """The decoder; known once the first picture came."""
        ...

    @property
    def arrival_is_time(self) -> bool:
        """True if the stream's own timestamps are made up; known once the first picture came."""
        ...

    @property
    def corrupt(self) -> int:
        """The number of packets that gave no picture."""
        ...

    @property
    def skipped(self) -> int:
        """The number of packets or frames left out because the caller was too slow."""
        ...

    def next_picture(self, wait_s: float) -> Decoded | None:
        """Wait for the next picture; None if none comes in time.

        Raises:
            SourceFault: The connection failed, ended or fell silent.
        """
        ...

    def close(self) -> None:
        """Close the connection within half a second."""
        ...


class ReconnectingSource:
    """Keeps a camera, a server or a pipeline running for hours.

    Args:
        name: What the user typed; shown without passwords.
        connect: Begins a connection.
        options: The bounds and pauses.
        next_command: The command for the user to type if it cannot be opened.
        opens_once: True if it cannot be opened again, and its end is nobody's fault: standard input.
    """

    is_live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        options: SourceOptions,
        next_command: str | None = None,
        opens_once: bool = False,
    ) -> None:
        self.name = without_credentials(name)
        self._connect = connect
        self._options = options
        self._next_command = next_command
        self._opens_once = opens_once
        self._closed = threading.Event()
        self._backoff = Backoff(options.first_pause_s, options.longest_pause_s)
        self._timeline = LiveTimeline()
        self._index = self._connections = self._failures = 0
        self._lock = threading.Lock()
        self._status = SourceStatus("connecting")
        self._stated: ClipTiming | None = None
        self._timing: ClipTiming | None = None

    @property
    def timing(self) -> ClipTiming:
        """The timing of the newest connection: another scope may have other colours and pixel shapes."""
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
        """Yield every frame as it comes; see `LiveSource`."""
        try:
            while not self._closed.is_set():
                try:
                    yield from self._connected()
                except StreamEnded as end:
                    if self._opens_once and self._connections:
                        return
                    self._closed.wait(self._pause_s(end))
                except Exception as error:  # whatever a decoder trips over, the next connection may be without it
                    fault = error if isinstance(error, SourceFault) else SourceFault(f"{type(error).__name__}: {error}")
                    self._closed.wait(self._pause_s(fault))
        finally:
            self._closed.set()
            self._note(state="ended")

    def _connected(self) -> Iterator[SourceFrame]:
        connection = self._connect()
        before, first_ns = self.status(), None
        try:
            while not self._closed.is_set():
                decoded = connection.next_picture(_LOOK_S)
                corrupt, skipped = before.corrupt + connection.corrupt, before.skipped + connection.skipped
                self._note(corrupt=corrupt, skipped=skipped)
                if decoded is None:
                    continue
                if first_ns is None:
                    first_ns = decoded.arrived_ns
                    self._begin(connection)
                elif decoded.arrived_ns - first_ns > _STEADY_NS:
                    self._backoff.reset()
                self._note_timing(connection.timing)
                yield self._frame(decoded, None if connection.arrival_is_time else decoded.time_s)
        finally:
            connection.close()

    def _begin(self, connection: Connection) -> None:
        """Note that the first picture of a connection came."""
        self._connections += 1
        self._failures = 0
        self._timeline.reconnect()
        self._note(state="connected", reconnects=self._connections - 1, decoder=connection.decoder_name)

    def _note_timing(self, stated: ClipTiming | None) -> None:
        if stated is not None and stated is not self._stated:
            self._stated, self._timing = stated, replace(stated, time_base=LIVE_TIME_BASE)

    def _frame(self, decoded: Decoded, time_s: Fraction | None) -> SourceFrame:
        picture = decoded.picture.planar()
        self._note(height=picture.height, width=picture.width, damaged=self.status().damaged + decoded.damaged)
        pts = self._timeline.place(time_s, decoded.arrived_ns)
        index, self._index = self._index, self._index + 1
        return SourceFrame(
            index, decoded.arrived_ns, decoded.decoded_ns, pts, LIVE_TIME_BASE, picture, damaged=decoded.damaged
        )

    def _pause_s(self, fault: SourceFault) -> float:
        """Decide how long to wait after a failure, in seconds.

        Raises:
            SourceLostError: The bounds are used up.
        """
        self._failures += 1
        connected_once, before = self._connections > 0, self.status().last_error
        self._note(state="reconnecting" if connected_once else "connecting", last_error=fault.reason)
        allowed = self._options.attempts if connected_once else self._options.first_attempts
        allowed = 1 if self._opens_once else allowed
        if not (self._options.gives_up or self._opens_once):
            if fault.reason != before:
                logger.warning("%s: %s", self.name, fault.reason)
            return self._backoff.next_pause_s()
        if self._failures >= allowed or (fault.is_permanent and not connected_once):
            raise SourceLostError(
                f"{self.name} {'was lost' if connected_once else 'gives no picture'}",
                found=f"{fault.reason} ({self._failures} of {allowed} attempts)",
                expected="a live picture",
                next_command=self._next_command,
            ) from None  # what lies below may name the password
        return self._backoff.next_pause_s()

    def _note(self, **changes: object) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)  # type: ignore[arg-type]
