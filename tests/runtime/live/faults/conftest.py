"""The real parts: ONNX Runtime in worker processes, decoders, the command as a process; and what they showed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.drawing import draw_live
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.live_values import Presented, State
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import live_use
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from tests.runtime.live.sources.conftest import gstreamer, rtsp_packages, rtsp_server  # noqa: F401 - fixtures

HERE = Path(__file__).parent
PATIENCE_S = 120.0
"""Nothing here takes so long unless it is broken."""
_COMMAND = "import sys; from edgeseg.cli import main; sys.argv[0] = 'edgeseg'; main()"


def until(condition: Callable[[], bool], what: object = "", patience_s: float = PATIENCE_S) -> None:
    """Wait for what another thread or process does."""
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, f"waited in vain {what}"
        time.sleep(0.005)


def resident_kib(pid: int | str = "self") -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def descriptors(pid: int | str = "self") -> int:
    """Open files of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def children(pid: int) -> list[int]:
    """Processes that it started and that live."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    """Read the command line of a process; it is empty if the process has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


@dataclass(frozen=True)
class Shown:
    """One presented frame without its pixels."""

    index: int
    pts: int
    size: tuple[int, int]
    mask_index: int | None
    mask_size: tuple[int, ...] | None
    area_fraction: float | None
    picture_age_ms: float
    mask_age_ms: float | None
    state: State
    reason: str
    damaged: bool


@dataclass
class NotingSink:
    """Notes what it was offered and keeps no picture."""

    name: str = "noting"
    shown: list[Shown] = field(default_factory=list)
    state: str = "ok"

    def offer(self, presented: Presented) -> None:
        frame, mask = presented.frame, presented.mask
        self.shown.append(
            Shown(
                frame.index,
                frame.pts,
                (frame.picture.height, frame.picture.width),
                None if mask is None else mask.index,
                None if mask is None else mask.mask.shape,
                None if mask is None else mask.area_fraction,
                presented.picture_age_ms,
                presented.mask_age_ms,
                presented.state,
                presented.reason,
                frame.damaged,
            )
        )

    def counts(self) -> NotingSink:
        return NotingSink(state=self.state)

    def close(self, deadline_s: float) -> None:
        pass


def longest_run(answers: Sequence[bool]) -> int:
    """Count the longest row of yes."""
    return max((len(list(group)) for answer, group in itertools.groupby(answers) if answer), default=0)


class Running:
    """A live stream in a thread, and what it showed."""

    def __init__(
        self, source: Any, engine: WorkerEngine, sinks: Sequence[Any], options: LiveOptions, more: Any
    ) -> None:
        self.sink: Any = more.pop("noting", None) or NotingSink()
        self.changes: list[StateChange] = []
        self.source, self.engine = source, engine
        shared = SharedEngine(engine)
        self.stream = LiveStream(
            source,
            shared,
            [*sinks, self.sink],
            more.pop("draw", draw_live),
            options,
            on_change=self.changes.append,
            **more,
        )
        self.box = LiveBox(shared, [self.stream])
        self.status: LiveStatus | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def shown(self) -> list[Shown]:
        shown: list[Shown] = self.sink.shown
        return shown

    @property
    def said(self) -> str:
        """All states and reasons."""
        return "\n".join(f"{change.state}: {change.reason}" for change in self.changes)

    def until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait for what the stream is to do."""
        until(lambda: condition() or not self.thread.is_alive(), (self.source.name, self.stream.state), patience_s)
        assert condition(), (self.error, self.said)

    def until_masks(self, count: int = 3) -> None:
        """Wait until frames from now on have been shown with masks of frames from now on."""
        start = len(self.shown)
        self.until(lambda: sum((shown.mask_index or 0) >= start for shown in self.shown[start:]) >= count)

    def spares(self) -> int:
        """Engine processes that stand ready."""
        return sum(session.state == "ready" for session in self.engine._workers)

    def end(self) -> LiveStatus:
        """Ask for the end, or wait for it."""
        self.stream.stop()
        return self.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> LiveStatus:
        """Wait for the end."""
        self.thread.join(timeout_s)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.status is not None
        return self.status

    def _run(self) -> None:
        try:
            (self.status,) = self.box.run()
        except BaseException as error:
            self.error = error


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `real_engines`, importable by worker processes too."""
    monkeypatch.syspath_prepend(HERE)
    import real_engines

    return real_engines


@pytest.fixture
def play(tiny_onnx: Path) -> Iterator[Callable[..., Running]]:
    """Starts streams with an engine of bright pixels, ready with its spares; no process may be left."""
    runs: list[Running] = []

    def start(
        source: Any,
        sinks: Sequence[Any] = (),
        options: LiveOptions | None = None,
        spares: int = 1,
        factory: Callable[..., Any] | None = None,
        mask_limit_ms: float | None = None,
        **more: Any,
    ) -> Running:
        engine = start_workers(tiny_onnx, live_use(spares=spares, threads=1))
        if factory is not None:
            info, supervisor = engine.info, engine._options
            engine.close()
            engine = WorkerEngine(factory, info, supervisor)
        until(lambda: not engine.poll() and all(worker.state == "ready" for worker in engine._workers))
        if isinstance(source, str):
            source = open_live_source(source, SourceOptions())
        options = options or LiveOptions(PresenterOptions(mask_limit_ms=mask_limit_ms))
        runs.append(Running(source, engine, sinks, options, more))
        return runs[-1]

    yield start
    for run in runs:
        pids = run.engine.worker_pids
        run.stream.stop()
        run.thread.join(PATIENCE_S)
        assert not run.thread.is_alive()
        until(lambda pids=pids: all(is_gone(pid) for pid in pids))  # type: ignore[misc]


class Command:
    """`edgeseg run` as a process of its own."""

    def __init__(self, words: Sequence[object], folder: Path, wrap: Sequence[str] = (), code: str = _COMMAND) -> None:
        self.log = folder / "stderr.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*wrap, sys.executable, "-c", code, "live", *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.workers: list[int] = []

    def until_runs(self) -> None:
        """Wait for the state after the first mask; a busy machine may begin with degraded."""
        self.until_said("live", "degraded")

    def until_said(self, *words: str) -> None:
        """Wait for one of some words in its log."""

        def said() -> bool:
            return any(word in self.log.read_text() for word in words)

        until(lambda: said() or self.process.poll() is not None, self.log)
        assert said(), self.log.read_text()
        self.workers = [pid for child in children(self.process.pid) for pid in (child, *children(child))]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Exit code and the status that it printed; none of its processes lives on."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        until(lambda: all(is_gone(pid) for pid in self.workers), self.workers)
        return self.process.returncode, json.loads(out) if out else {}


@pytest.fixture
def command(tmp_path: Path, tiny_onnx: Path) -> Iterator[Callable[..., Command]]:
    """Starts `edgeseg run`; killed at the end where it still runs."""
    commands: list[Command] = []

    def start(*words: object, **settings: Any) -> Command:
        commands.append(Command([tiny_onnx, *words, "--threads", 1, "--json"], tmp_path, **settings))
        return commands[-1]

    yield start
    for started in commands:
        if started.process.poll() is None:
            os.killpg(started.process.pid, signal.SIGKILL)
            started.process.wait()
