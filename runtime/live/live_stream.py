"""A live stream as a whole: starts its threads, watches over them, judges its state and ends it whole.

Threads: source, presenter, and one of each sink; the engine's belongs to all streams of the box. They share two slots
in which the newest frame wins. The caller's thread watches. Whatever becomes of the engine, the picture goes on; the
stream ends with its source, on request, or when the presenter itself fails, for then nothing may be shown.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.ends import Frames, Sink
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.masks import MaskBoard
from edgeseg.runtime.live.meters import RateCap
from edgeseg.runtime.live.presenter import Draw, Gate, Presenter, PresenterOptions
from edgeseg.runtime.live.segmenter import Refine, Segmenter
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.slot import NewestSlot
from edgeseg.runtime.live.states import StateChange, StateKeeper, StateLimits
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.live.vigil import Vigil
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.source import SourceFrame

_WATCH_S = 0.1
_STUCK_S = 5.0
_END_S = 5.0
SHOWN_FRAMES = 16
"""Frames that may wait for the presenter while the machine has a hitch; see `presenter.BACKLOG_S`."""
SYNC_RATE_HZ = 120
"""The fastest source whose frames all find room while they wait for their own mask in synchronous mode."""


@dataclass(frozen=True)
class LiveOptions:
    """The options of a stream."""

    presenter: PresenterOptions = field(default_factory=PresenterOptions)
    overlay: OverlayMode = "contour"
    limits: StateLimits = field(default_factory=StateLimits)
    max_frames: int | None = None
    seconds: float | None = None
    """The stream ends after so many seconds; None lets it run until its source ends or someone asks."""
    most_hz: float | None = None
    """Frames a second that are taken up; what comes beyond is left out, which is counted as skipped. None takes all."""


class PresenterStuckError(EdgesegError):
    """Frames are no longer shown, so the picture would be frozen."""


class LiveStream:
    """Takes one source through an engine to any number of sinks; `LiveBox` runs it.

    Args:
        source: The source of frames; the stream closes it.
        engine: The engine, which others may share.
        sinks: The receivers of presented frames; the stream closes them.
        draw: Puts masks and words on pictures.
        options: Overlay, limits and end.
        gate: Holds masks back where no tissue is shown.
        refine: Changes an engine's answers before they are shown.
        on_change: Called with every change of state, from the watching thread.
        drift: Watches the engine's answers; the stream ends it.
        name: Its name among several; empty where there is one.
    """

    def __init__(
        self,
        source: Frames,
        engine: SharedEngine,
        sinks: Sequence[Sink],
        draw: Draw,
        options: LiveOptions | None = None,
        gate: Gate | None = None,
        refine: Refine | None = None,
        on_change: Callable[[StateChange], None] | None = None,
        drift: DriftMonitor | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self._source, self._engine, self._sinks, self._drift = source, engine, tuple(sinks), drift
        self._options = options or LiveOptions()
        self._cap = None if self._options.most_hz is None else RateCap(self._options.most_hz)
        self._left_out = 0
        sync_ms = self._options.presenter.sync_ms
        waiting = 0 if sync_ms is None else math.ceil(sync_ms / 1e3 * SYNC_RATE_HZ)
        self._board = MaskBoard(waiting + SHOWN_FRAMES)
        self._to_engine: NewestSlot[SourceFrame] = NewestSlot(waiting + 1)
        self._to_presenter: NewestSlot[SourceFrame] = NewestSlot(SHOWN_FRAMES)
        observe = None if drift is None else drift.see
        label = f"{name}: " if name else ""
        self._segmenter = Segmenter(self._to_engine, self._board, refine, observe, sync_ms, label)
        engine.add(self._segmenter)
        self._started_ns = self._last_arrival_ns = time.monotonic_ns()
        self.watched_ns = self._started_ns
        """When it was last seen that frames can be shown, monotonic clock."""
        keeper = StateKeeper(self._started_ns, self._options.limits)
        self._presenter = Presenter(
            self._to_presenter,
            self._board,
            self._segmenter.infer_ms,
            lambda: keeper.current,
            draw,
            self._sinks,
            self._options.presenter,
            gate,
        )
        self._presenter.mode = self._options.overlay
        self._vigil = Vigil(keeper, self._presenter, self._segmenter, engine, self._sinks, drift, on_change, label)
        self._reader = threading.Thread(target=self._read, name="edgeseg-source", daemon=True)
        self.is_ending = False  # no Event: a signal handler that sets one may wait for itself
        """True once the end was asked for, or began."""
        self._is_stuck = False
        self._source_failure: BaseException | None = None

    @property
    def newest(self) -> Presented | None:
        """The frame that is shown now."""
        return self._presenter.newest

    @property
    def state(self) -> StateChange:
        """The state now."""
        return self._vigil.state

    @property
    def failure(self) -> BaseException | None:
        """The error that ended it: the presenter's, else the source's; None where it ended in order."""
        return self._presenter.failure or self._source_failure

    @property
    def can_show(self) -> bool:
        """False once frames can no longer be shown, whatever comes from the source."""
        return self._presenter.failure is None and not self._is_stuck

    def changes(self) -> list[tuple[float, StateChange]]:
        """List the newest changes of state, oldest first, with their times in seconds since 1970."""
        return self._vigil.changes()

    def set_overlay(self, mode: OverlayMode) -> None:
        """Change what is drawn, from any thread."""
        self._presenter.mode = mode

    def reopen_sinks(self) -> None:
        """Begin new files, so that the old ones can be moved away; from a signal handler too."""
        for sink in self._sinks:
            reopen = getattr(sink, "reopen", None)
            if reopen is not None:
                reopen()

    def stop(self) -> None:
        """Ask for its end, from any thread or a signal handler; `run` then returns."""
        self.is_ending = True

    def run(self) -> LiveStatus:
        """Run until the end.

        Returns:
            The last status; its counters are of the whole stream.

        Raises:
            EdgesegError: The source failed, or nothing could be shown any more; files are whole all the same.
        """
        self._presenter.start()
        self._reader.start()
        if self._drift is not None:
            self._drift.start(self._engine.exchange)
        try:
            self._watch()
        finally:
            self._finish()
        if self.failure is not None:
            raise self.failure
        return self.status()

    def status(self) -> LiveStatus:
        """Read the status of this moment, from any thread."""
        presenter, segmenter, info = self._presenter, self._segmenter, self._engine.engine.info
        change, newest, now_ns = self._vigil.state, self._presenter.newest, time.monotonic_ns()
        picture = None if newest is None else newest.frame.picture
        mask = None if newest is None else newest.mask
        source_status: Any = self._source.status()
        return LiveStatus(
            state=change.state,
            reason=change.reason,
            since_s=(now_ns - change.since_ns) / 1e9,
            uptime_s=(now_ns - self._started_ns) / 1e9,
            backend=info.backend,
            precision=info.precision,
            engine=info.sha256,
            source=self._source.name,
            width=picture.width if picture is not None else 0,
            height=picture.height if picture is not None else 0,
            fps=presenter.presentations.per_second(),
            frames=presenter.presented,
            inferences=segmenter.inferences,
            drops=self._to_engine.drops + segmenter.passed_over,
            skipped=self._to_presenter.drops + presenter.skipped + self._left_out,
            lost=segmenter.lost,
            gated=presenter.gated,
            deadline_misses=presenter.deadline_misses,
            restarts=self._engine.restarts,
            picture_age_ms=presenter.picture_age_ms.summary(),
            mask_age_ms=presenter.mask_age_ms.summary(),
            mask_limit_ms=presenter.mask_limit_ms,
            infer_ms=segmenter.infer_ms.summary(),
            compose_ms=presenter.compose_ms.summary(),
            area_fraction=None if mask is None else mask.area_fraction,
            confidence=None if mask is None else mask.confidence,
            overlay=presenter.mode,
            sync_ms=self._options.presenter.sync_ms,
            sinks=tuple({"name": sink.name, **vars_of(sink.counts())} for sink in self._sinks),
            source_status=vars_of(source_status),
            drift=None if self._drift is None else self._drift.report(),
            roll_out=self._engine.report_roll_out(),
        )

    def _read(self) -> None:
        count = 0
        try:
            for frame in self._source.frames():
                self._last_arrival_ns = time.monotonic_ns()
                if self._cap is None or self._cap.allows(self._last_arrival_ns):
                    self._to_engine.put(frame)
                    self._to_presenter.put(frame)
                else:
                    self._left_out += 1
                count += 1
                if self.is_ending or count == self._options.max_frames:
                    break
        except BaseException as error:
            self._source_failure = error
        finally:
            self._to_presenter.close()

    def _watch(self) -> None:
        until_s = None if self._options.seconds is None else time.monotonic() + self._options.seconds
        while self._presenter.is_alive and not self.is_ending:
            time.sleep(_WATCH_S)
            now_ns = time.monotonic_ns()
            self._vigil.look(now_ns, self._last_arrival_ns)
            self._cover(now_ns)
            if (now_ns - self._presenter.last_alive_ns) / 1e9 > _STUCK_S:
                self._is_stuck = True
                raise PresenterStuckError(
                    "no frame was shown for too long", found=f"{_STUCK_S:.0f} s", next_command="edgeseg doctor"
                )
            self.watched_ns = now_ns
            if until_s is not None and time.monotonic() >= until_s:
                return

    def _cover(self, now_ns: int) -> None:
        for sink in self._sinks:
            cover = getattr(sink, "cover", None)
            if cover is not None:
                cover(now_ns, self._vigil.state)

    def _finish(self) -> None:
        """End everything, files first: somebody may kill the process while an engine is slow to end."""
        self.is_ending = True
        with suppress(Exception):
            self._source.close()
        self._to_presenter.close()
        self._presenter.join(_END_S)
        self._vigil.look(time.monotonic_ns(), self._last_arrival_ns, stopped=True)
        self._close_sinks()
        if self._drift is not None:
            self._drift.stop(_END_S)
        self._to_engine.close()
        self._reader.join(_END_S)

    def _close_sinks(self) -> None:
        """Close all sinks at once: several that hang cost no more time than one."""
        closing = [threading.Thread(target=sink.close, args=(_END_S,), daemon=True) for sink in self._sinks]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(_END_S + 1.0)


def vars_of(value: Any) -> dict[str, Any]:
    """Turn a dataclass into a dict; anything else becomes an empty one."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else {}
