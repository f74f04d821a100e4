"""A look at a running stream, a few times a second: what its parts say becomes its state; complaints are logged."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.ends import Sink
from edgeseg.runtime.live.presenter import Presenter
from edgeseg.runtime.live.segmenter import Segmenter
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.states import Signs, StateChange, StateKeeper

logger = logging.getLogger(__name__)
KEPT_CHANGES = 200


class Vigil:
    """Judges a stream from what its parts say. One thread looks; state and changes are for any.

    Args:
        keeper: Follows the state.
        presenter: Shows frames.
        segmenter: Takes frames to the engine.
        engine: The engine.
        sinks: The sinks that frames go to.
        drift: Watches what the engine says.
        on_change: Told of every state, from the looking thread.
        label: What stands before lines of the log.
    """

    def __init__(
        self,
        keeper: StateKeeper,
        presenter: Presenter,
        segmenter: Segmenter,
        engine: SharedEngine,
        sinks: Sequence[Sink],
        drift: DriftMonitor | None = None,
        on_change: Callable[[StateChange], None] | None = None,
        label: str = "",
    ) -> None:
        self._keeper, self._presenter, self._segmenter, self._engine = keeper, presenter, segmenter, engine
        self._sinks, self._drift, self._on_change, self._label = sinks, drift, on_change, label
        self._changes: deque[tuple[float, StateChange]] = deque(maxlen=KEPT_CHANGES)
        self._complained: tuple[str, ...] = ()

    @property
    def state(self) -> StateChange:
        """The state now."""
        return self._keeper.current

    def changes(self) -> list[tuple[float, StateChange]]:
        """The newest changes of state, oldest first, with the time of day in seconds since 1970."""
        return list(self._changes)

    def look(self, now_ns: int, last_arrival_ns: int, stopped: bool = False) -> None:
        """Judge anew.

        Args:
            now_ns: The time now by the monotonic clock.
            last_arrival_ns: When the source last gave a frame.
            stopped: The stream has ended.
        """
        presenter, engine = self._presenter, self._engine
        self._tell_presenter()
        signs = Signs(
            engine=engine.engine_state,
            engine_reason=engine.reason,
            was_ready=engine.was_ready,
            has_picture=presenter.presented > 0,
            source_silent_ms=(now_ns - last_arrival_ns) / 1e6,
            without_mask_ms=presenter.maskless_ms,
            late_share=presenter.late.share(0.0),
            mask_share=presenter.with_mask.share(1.0),
            complaints=self._new_complaints(),
            stopped=stopped,
        )
        change = self._keeper.update(signs, now_ns)
        if change is not None:
            self._changes.append((time.time(), change))
            if self._on_change is not None:
                self._on_change(change)

    def _new_complaints(self) -> tuple[str, ...]:
        """All complaints; one that was not there the last time is logged, whatever the state is called."""
        complaints = tuple(self._complaints())
        for complaint in complaints:
            if complaint not in self._complained:
                logger.warning("%s%s", self._label, complaint)
        self._complained = complaints
        return complaints

    def _complaints(self) -> Iterator[str]:
        yield from (fault for fault in (self._presenter.fault, self._segmenter.fault) if fault)
        for sink in self._sinks:
            state = getattr(sink.counts(), "state", "ok")
            if state not in ("ok", "closed"):
                yield f"{sink.name} {'is slow' if state == 'slow' else 'has failed'}"
        if self._drift is not None:
            yield from self._drift.complaints()

    def _tell_presenter(self) -> None:
        info = self._engine.engine.info
        self._presenter.engine = f"{info.backend} {info.precision}"
        if self._drift is not None:
            self._presenter.alarms = self._drift.alarms
