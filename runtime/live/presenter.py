"""The thread that decides what is shown: each frame with a mask that is young enough, or as it is and marked so.

Low latency (the default) shows the newest frame at once, with the newest mask; a mask whose frame is older than
inference and two frame periods is taken down. Synchronous mode shows every frame a fixed time after it came, with its
own mask; a frame whose mask is not there by then goes out as it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeseg.runtime.live.drawing import caption_lines
from edgeseg.runtime.live.ends import Sink
from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import Rate, RecentShare, RollingPercentiles
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

ASSUMED_PERIOD_MS = 40.0
"""Frame period until two frames have come: 25 frames a second."""
PERIODS = 2.0
"""Frame periods that a picture, and a mask beyond its inference, may take."""
UNJUDGED = "not judged"
"""The gate's word where the gate itself fails."""
_STEP_S = 0.1
BACKLOG_S = 1.0
"""A presenter that has not caught up for so long leaves out all frames but the newest: a hitch is made good, a lag is
not kept."""


class Gate(Protocol):
    """Says whether a frame shows tissue at all."""

    def reason(self, frame: SourceFrame) -> str | None:
        """Why it does not; None where it does."""
        ...


Draw = Callable[[Picture, LiveMask | None, Sequence[str], OverlayMode], Picture]
"""Puts a mask and words on a picture: gives a new one, or the same where nothing is drawn."""


@dataclass(frozen=True)
class PresenterOptions:
    """Choices of what is shown, and when."""

    sync_ms: float | None = None
    """Show every frame so long after it came, with its own mask; None shows it at once."""
    mask_limit_ms: float | None = None
    """A mask of an older frame is not shown; None takes median inference and two frame periods."""
    deadline_ms: float | None = None
    """A frame shown later than that after it came is late; None takes two frame periods, in synchronous mode one
    beyond the delay."""
    record_gated: bool = True
    """True if frames that show no tissue may be recorded."""
    structure: str = "marked"
    """The structure that the network marks, for the caption."""
    engine: str = ""
    """Backend and precision, for the caption."""


class Presenter:
    """Shows frames to sinks, in a thread of its own.

    Args:
        frames: The newest frames of the source.
        board: Masks.
        infer_ms: What inference takes, for the age limit of masks.
        state: The state now.
        draw: Puts masks and words on pictures.
        sinks: Whom it shows them to; none can hold it up.
        options: What is shown.
        gate: Holds masks back where no tissue is shown.
    """

    def __init__(
        self,
        frames: NewestSlot[SourceFrame],
        board: MaskBoard,
        infer_ms: RollingPercentiles,
        state: Callable[[], StateChange],
        draw: Draw,
        sinks: Sequence[Sink],
        options: PresenterOptions,
        gate: Gate | None = None,
    ) -> None:
        self._frames, self._board, self._infer_ms, self._state = frames, board, infer_ms, state
        self._draw, self._sinks, self._options, self._gate = draw, sinks, options, gate
        self._waiting: deque[SourceFrame] = deque()
        self._thread = threading.Thread(target=self._run, name="edgeseg-presenter", daemon=True)
        self.mode: OverlayMode = "contour"
        """May be set from any thread, and so may the next two."""
        self.engine = options.engine
        """Backend and precision, for the caption."""
        self.alarms: tuple[str, ...] = ()
        """The drift watch's alarms."""
        self.failure: BaseException | None = None
        self.fault = ""
        """The fault of the newest frame beside its picture, which is shown all the same."""
        self.newest: Presented | None = None
        """The frame that is shown now."""
        self.arrivals, self.presentations = Rate(), Rate()
        self.picture_age_ms, self.mask_age_ms = RollingPercentiles(), RollingPercentiles()
        self.compose_ms = RollingPercentiles()
        self.late, self.with_mask = RecentShare(), RecentShare()
        self.presented = self.deadline_misses = self.gated = self.skipped = 0
        self._caught_up_ns = time.monotonic_ns()
        self.last_alive_ns = time.monotonic_ns()
        self.maskless_ms = 0.0
        """How long frames have been shown without a mask now."""
        self._maskless_since_ns: int | None = None

    @property
    def period_ms(self) -> float:
        """The source's frame period."""
        return self.arrivals.period_ms() or ASSUMED_PERIOD_MS

    @property
    def mask_limit_ms(self) -> float:
        """How old a mask may be that is shown."""
        if self._options.mask_limit_ms is not None:
            return self._options.mask_limit_ms
        return (self._infer_ms.percentile(50) or 0.0) + PERIODS * self.period_ms

    @property
    def deadline_ms(self) -> float:
        """How old a picture may be when it is shown."""
        if self._options.deadline_ms is not None:
            return self._options.deadline_ms
        if self._options.sync_ms is not None:
            return self._options.sync_ms + self.period_ms
        return PERIODS * self.period_ms

    @property
    def is_alive(self) -> bool:
        """True if the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._caught_up_ns = self.last_alive_ns = time.monotonic_ns()
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, which comes when the slot is closed and empty."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not (self._frames.closed and not len(self._frames) and not self._waiting):
                self.last_alive_ns = time.monotonic_ns()
                frame = self._frames.take(self._patience_s())
                if frame is not None:
                    self.arrivals.add(frame.arrived_ns)
                    self._waiting.append(self._newest_if_behind(frame))
                self._show_what_is_due()
        except BaseException as error:
            self.failure = error

    def _newest_if_behind(self, frame: SourceFrame) -> SourceFrame:
        now_ns = time.monotonic_ns()
        if not len(self._frames):
            self._caught_up_ns = now_ns
        elif (now_ns - self._caught_up_ns) / 1e9 > BACKLOG_S:
            while (newer := self._frames.take()) is not None:
                frame = newer
                self.skipped += 1
        return frame

    def _patience_s(self) -> float:
        if not self._waiting or self._options.sync_ms is None:
            return _STEP_S
        due_ns = self._waiting[0].arrived_ns + self._options.sync_ms * 1e6
        return max(0.0, min(_STEP_S, (due_ns - time.monotonic_ns()) / 1e9))

    def _show_what_is_due(self) -> None:
        sync_ms = self._options.sync_ms
        while self._waiting:
            age_ms = (time.monotonic_ns() - self._waiting[0].arrived_ns) / 1e6
            if sync_ms is not None and age_ms < sync_ms and not self._frames.closed:
                return
            self._present(self._waiting.popleft())

    def _present(self, frame: SourceFrame) -> None:
        started_ns = time.monotonic_ns()
        self.fault = ""
        gate = self._gate_reason(frame)
        mask = self._mask_for(frame)
        self._note_mask(mask, gate, started_ns)
        if gate is not None:
            mask = None
        change = self._state()
        overlay, mask = self._overlay(frame, mask, change, gate)
        presented = Presented(
            frame,
            time.monotonic_ns(),
            overlay,
            mask,
            change.state,
            change.reason,
            gate,
            recordable=gate is None or self._options.record_gated,
            alarms=self.alarms,
        )
        self.newest = presented
        for sink in self._sinks:
            try:
                sink.offer(presented)
            except Exception as error:
                self._note_fault("a sink fails", error)
        self._count(presented, started_ns)

    def _gate_reason(self, frame: SourceFrame) -> str | None:
        """A frame that cannot be judged is shown without a mask, and is as private as the gate can make it."""
        try:
            return self._gate.reason(frame) if self._gate is not None else None
        except Exception as error:
            self._note_fault(UNJUDGED, error)
            return UNJUDGED

    def _overlay(
        self, frame: SourceFrame, mask: LiveMask | None, change: StateChange, gate: str | None
    ) -> tuple[Picture, LiveMask | None]:
        """The picture as it is shown, and what is shown on it: a mask may grow too old while it is drawn."""
        now_ns = time.monotonic_ns()
        lines = caption_lines(mask, change, gate, self._options, self.mode, now_ns, self.engine)
        try:
            overlay = self._draw(frame.picture, mask, lines, self.mode)
        except Exception as error:
            self._note_fault("the overlay cannot be drawn", error)
            return frame.picture, None
        if mask is not None and not self._is_young(mask):
            return self._overlay(frame, None, change, gate)
        return overlay, mask

    def _is_young(self, mask: LiveMask) -> bool:
        """Tell whether it may be shown now; in synchronous mode every frame has its own mask, however old both are."""
        age_ms = (time.monotonic_ns() - mask.arrived_ns) / 1e6
        return self._options.sync_ms is not None or age_ms <= self.mask_limit_ms

    def _note_fault(self, what: str, error: Exception) -> None:
        self.fault = f"{what} ({type(error).__name__}: {error})"

    def _mask_for(self, frame: SourceFrame) -> LiveMask | None:
        if self._options.sync_ms is not None:
            mask = self._board.of_frame(frame.index)
        else:
            mask = self._board.newest(time.monotonic_ns(), self.mask_limit_ms, frame.index)
        size = (frame.picture.height, frame.picture.width)
        return mask if mask is not None and mask.mask.shape == size else None

    def _note_mask(self, mask: LiveMask | None, gate: str | None, now_ns: int) -> None:
        if mask is not None or gate is not None or self._infer_ms.count == 0:
            self._maskless_since_ns = None
        elif self._maskless_since_ns is None:
            self._maskless_since_ns = now_ns
        self.maskless_ms = (now_ns - (self._maskless_since_ns or now_ns)) / 1e6
        if gate is None:
            self.with_mask.add(mask is not None)
        else:
            self.gated += 1

    def _count(self, presented: Presented, started_ns: int) -> None:
        self.presented += 1
        self.presentations.add(presented.presented_ns)
        self.compose_ms.add((presented.presented_ns - started_ns) / 1e6)
        self.picture_age_ms.add(presented.picture_age_ms)
        if presented.mask_age_ms is not None:
            self.mask_age_ms.add(presented.mask_age_ms)
        late = presented.picture_age_ms > self.deadline_ms
        self.late.add(late)
        self.deadline_misses += late
