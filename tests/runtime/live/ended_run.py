from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from tests.runtime.live.conftest import RememberingSink, ScriptedSource, draw_nothing

Open = Callable[..., WorkerEngine]
PERIOD_S = 0.02


class Run:
    """A stream that has ended, and all that it showed."""

    def __init__(
        self,
        source: Any,
        engine: WorkerEngine,
        options: LiveOptions | None = None,
        gate: Any = None,
        ready: bool = True,
    ) -> None:
        self.sink = RememberingSink()
        self.changes: list[StateChange] = []
        if ready:
            engine.wait_ready(60.0)
        shared = SharedEngine(engine)
        self.stream = LiveStream(
            source, shared, [self.sink], draw_nothing, options, gate, on_change=self.changes.append
        )
        self.box = LiveBox(shared, [self.stream])
        self.status: LiveStatus | None = None

    def run(self) -> Run:
        (self.status,) = self.box.run()
        return self

    @property
    def shown(self) -> list[Presented]:
        return self.sink.presented

    @property
    def states(self) -> list[str]:
        return [change.state for change in self.changes]


def source_of(script: Any, orders: Sequence[int], **more: Any) -> ScriptedSource:
    return ScriptedSource(script, orders, PERIOD_S, **more)


def value_of(presented: Presented) -> int:
    """The number of the frame that the shown mask was made of, as the engine saw it."""
    assert presented.mask is not None
    return presented.mask.index
