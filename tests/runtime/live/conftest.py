"""A source that gives frames as it is told, an engine that does what each frame says, and a sink that remembers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.live_values import LiveMask, Presented
from edgeseg.runtime.video.overlay import OverlayMode
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.runtime.worker.worker_engine import WorkerEngine, WorkerOptions

WORKER_TESTS = Path(__file__).parents[1] / "worker"
SMALL = SupervisorOptions(
    slots=1, frame_bytes=8 * 8 * 3, answer_deadline_s=0.6, end_deadline_s=0.5, restarts=RestartLimit(1000, 600.0)
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `scripted_session`, importable by worker processes too."""
    monkeypatch.syspath_prepend(WORKER_TESTS)
    import scripted_session

    return sys.modules[scripted_session.__name__]


@dataclass(frozen=True)
class Counts:
    state: str = "ok"
    taken: int = 0


@dataclass
class ScriptedSource:
    """Frames at a fixed rate; `orders[i]` is what frame i makes the engine do."""

    script: Any
    orders: Sequence[int]
    period_s: float = 0.02
    name: str = "scripted"
    before: Callable[[int], None] = lambda index: None
    """Called before each frame."""
    closed: threading.Event = field(default_factory=threading.Event)

    def frames(self) -> Iterator[SourceFrame]:
        due_s = time.monotonic()
        for index, order in enumerate(self.orders):
            self.before(index)
            due_s = max(due_s + self.period_s, time.monotonic() - self.period_s)
            if self.closed.wait(max(0.0, due_s - time.monotonic())):
                return
            now_ns = time.monotonic_ns()
            bgr = self.script.frame_of(index, order)[:, :, ::-1].copy()
            yield SourceFrame(index, now_ns, now_ns, index, Fraction(1, 50), Picture.of_bgr(bgr))

    def status(self) -> Counts:
        return Counts()

    def close(self) -> None:
        self.closed.set()


@dataclass
class RememberingSink:
    """Keeps what it was offered."""

    name: str = "memory"
    presented: list[Presented] = field(default_factory=list)
    closed: bool = False

    def offer(self, presented: Presented) -> None:
        assert not self.closed, "offered after the end"
        self.presented.append(presented)

    def counts(self) -> Counts:
        return Counts(taken=len(self.presented))

    def close(self, deadline_s: float) -> None:
        self.closed = True


def draw_nothing(picture: Picture, mask: LiveMask | None, lines: Sequence[str], mode: OverlayMode) -> Picture:
    return picture


@pytest.fixture
def open_workers(script: Any) -> Iterator[Callable[..., WorkerEngine]]:
    """Opens engines of the script, ready; no process may be left."""
    opened: list[WorkerEngine] = []

    def start(
        active: int = 1, spares: int = 1, supervisor: SupervisorOptions = SMALL, factory: Any = None
    ) -> WorkerEngine:
        options = WorkerOptions(active, spares, grows=False, supervisor=supervisor)
        opened.append(WorkerEngine(factory or script.open_scripted, script.info(), options))
        return opened[-1]

    yield start
    for engine in opened:
        pids = engine.worker_pids
        engine.close()
        engine.close()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
