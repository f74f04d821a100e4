"""The drift watch on running streams: engine and reference mark columns that can be counted by hand."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.live.drift.drift_monitor import FALL_BACK_TRIES, DriftMonitor, MonitorOptions
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.scene.drift import DriftSettings, DriftWatch
from edgeseg.runtime.live.scene.sampling import Sample, Sampler
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.runtime.worker.worker_engine import WorkerEngine, WorkerOptions
from tests.runtime.live.conftest import RememberingSink, ScriptedSource, draw_nothing

PERIOD_S = 0.02
SETTINGS = DriftSettings(window=8, at_least=4)
BOUNDS = SupervisorOptions(
    slots=1, frame_bytes=8 * 8 * 3, answer_deadline_s=0.6, end_deadline_s=0.5, restarts=RestartLimit(2, 600.0)
)
Open = Callable[..., WorkerEngine]


@pytest.fixture
def masks(script: Any) -> Any:
    """The module `scripted_masks`, importable by worker processes too."""
    import scripted_masks

    return scripted_masks


@pytest.fixture
def engine() -> Iterator[Open]:
    engines: list[WorkerEngine] = []

    def start(factory: Any, info: Any, ready: bool = True, **more: Any) -> WorkerEngine:
        options = SupervisorOptions(**{**BOUNDS.__dict__, **more})
        engines.append(WorkerEngine(factory, info, WorkerOptions(1, 0, grows=False, supervisor=options)))
        if ready:
            engines[-1].wait_ready(60.0)
        return engines[-1]

    yield start
    until_s = time.monotonic() + 30.0
    while any(_alive(engine) for engine in engines) and time.monotonic() < until_s:
        multiprocessing.active_children()  # reaps: a process of the lowest priority takes its time to die
        time.sleep(0.05)
    assert not any(_alive(engine) for engine in engines), "whoever took a engine over has closed it"


def _alive(engine: WorkerEngine) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in engine.worker_pids)


class Run:
    """A stream with a drift watch, and all that it showed."""

    def __init__(
        self, source: ScriptedSource, live: WorkerEngine, monitor: DriftMonitor, options: LiveOptions | None = None
    ) -> None:
        self.sink, self.changes, self.monitor = RememberingSink(), list[StateChange](), monitor
        self.shared = SharedEngine(live)
        self.stream = LiveStream(
            source, self.shared, [self.sink], draw_nothing, options, on_change=self.changes.append, drift=monitor
        )

    def run(self) -> LiveStatus:
        (self.status,) = LiveBox(self.shared, [self.stream]).run()
        assert self.status.drift is not None
        self.drift = self.status.drift
        return self.status

    @property
    def shown(self) -> list[Presented]:
        return self.sink.presented


def _monitor(masks: Any, reference: WorkerEngine | None, **more: Any) -> DriftMonitor:
    return DriftMonitor(DriftWatch(None, SETTINGS), masks.TOLD, reference, MonitorOptions(every=2, **more))


def _until(source: ScriptedSource, done: Callable[[], bool], more_frames: int = 40) -> None:
    """End the source so many frames after something is true."""
    left = iter(range(more_frames))

    def look(index: int) -> None:
        if done() and next(left, None) is None:
            source.close()

    source.before = look


def _source(script: Any, orders: Sequence[int]) -> ScriptedSource:
    return ScriptedSource(script, orders, PERIOD_S)


@pytest.mark.parametrize(("live", "reference", "bad"), [(4, 4, False), (5, 6, False), (4, 6, True), (0, 3, True)])
def test_the_dice_of_two_engines_is_the_one_counted_by_hand(
    live: int, reference: int, bad: bool, engine: Open, masks: Any, script: Any
) -> None:
    source = _source(script, [live] * 3000)
    told = engine(masks.open_told, masks.TOLD)
    monitor = _monitor(masks, engine(functools.partial(masks.open_band, reference), masks.BAND))
    _until(source, lambda: monitor.checks >= 6 and ("dice" in monitor.alarms) == bad)
    run = Run(source, told, monitor)
    run.run()
    assert run.drift["dice"] == pytest.approx(2 * min(live, reference) / (live + reference))
    assert run.drift["flicker"] == 0
    assert run.drift["alarms"] == (["dice"] if bad else [])
    reasons = [change.reason for change in run.changes if change.state == "degraded"]
    assert any("Dice of" in reason for reason in reasons) == bad
    assert run.shown[-1].alarms == (("dice",) if bad else ())
    assert run.status.engine == masks.TOLD.sha256, "nobody asked for a fall-back"


def test_an_alarm_begins_once_and_ends_once(engine: Open, masks: Any, script: Any) -> None:
    at = {"bad": 10**9, "good": 10**9}
    reference = engine(functools.partial(masks.open_band, 4), masks.BAND)
    told = engine(masks.open_told, masks.TOLD)
    monitor = _monitor(masks, reference)

    class Turning(ScriptedSource):
        """Agrees, disagrees until the alarm is up, agrees until it is down."""

        def frames(self) -> Iterator[Any]:
            for frame in super().frames():
                if monitor.checks >= 8:
                    at["bad"] = min(at["bad"], frame.index)
                if "dice" in monitor.alarms:
                    at["good"] = min(at["good"], frame.index)
                frame.picture.bgr[..., 0] = 8 if at["bad"] <= frame.index < at["good"] else 4
                yield frame

    source = Turning(script, [4] * 3000, PERIOD_S)
    _until(source, lambda: any("over" in text for _, text in monitor.events()))
    run = Run(source, told, monitor)
    run.run()
    texts = [text for _, text in monitor.events()]
    assert len(texts) == 2 and texts[0].startswith("drift: Dice") and texts[1].startswith("drift is over: Dice")
    assert run.drift["alarms"] == []
    alarms = [shown.alarms for shown in run.shown]
    changes = [now for before, now in itertools.pairwise(alarms) if before != now]
    assert changes == [("dice",), ()]


@pytest.mark.parametrize("fault", ["HANG", "DIE"])
def test_a_reference_that_fails_again_and_again_never_touches_the_stream(
    fault: str, engine: Open, masks: Any, script: Any
) -> None:
    source = _source(script, [getattr(masks, fault)] * 5000)  # 0 or 1 columns to the engine
    told = engine(masks.open_told, masks.TOLD)
    reference = engine(functools.partial(masks.open_faulty, 4), masks.BAND)
    monitor = _monitor(masks, reference)
    _until(source, lambda: monitor.report()["reference_state"] == "down" and monitor.checks >= 8)
    run = Run(source, told, monitor, LiveOptions(PresenterOptions(mask_limit_ms=3000.0)))
    run.run()
    assert [shown.frame.index for shown in run.shown] == list(range(len(run.shown)))
    first = next(index for index, shown in enumerate(run.shown) if shown.mask is not None)
    assert all(shown.mask is not None for shown in run.shown[first:])
    assert run.status.lost == run.status.restarts == 0
    assert run.drift["reference_lost"] == 3 and run.drift["reference_restarts"] == 2, "the first, and two more"
    assert run.drift["dice"] is None and run.drift["flicker"] is not None, "what needs no reference is watched on"
    assert "live" in [change.state for change in run.changes]


def test_the_stream_goes_over_to_the_reference_without_a_lost_frame(engine: Open, masks: Any, script: Any) -> None:
    source = _source(script, [8] * 6000)
    told = engine(masks.open_told, masks.TOLD)
    band = functools.partial(masks.open_band, 4)
    monitor = _monitor(masks, engine(band, masks.BAND), fall_back=lambda: engine(band, masks.BAND, ready=False))
    _until(source, lambda: monitor.fall_back == "done", more_frames=80)
    options = LiveOptions(PresenterOptions(sync_ms=500.0, engine="scripted int8"))
    run = Run(source, told, monitor, options)
    former_pids = told.worker_pids
    run.run()
    assert [shown.frame.index for shown in run.shown] == list(range(len(run.shown)))
    assert len(run.shown) < 6000, "it went over"
    assert run.status.lost == 0
    areas = [shown.mask.area_fraction for shown in run.shown if shown.mask is not None]
    over = areas.index(0.5)
    assert over > 5 and set(areas[:over]) == {1.0} and set(areas[over:]) == {0.5}
    assert (run.status.precision, run.status.engine) == ("fp32", masks.BAND.sha256)
    assert run.drift["fallen_back_from"] == {"backend": "scripted", "precision": "int8", "engine": masks.TOLD.sha256}
    assert run.drift["alarms"][0] == "fallen-back" and run.drift["dice"] is None
    assert run.shown[-1].state == "degraded"
    assert "fallen back to the reference, scripted fp32" in run.shown[-1].reason
    assert run.stream._presenter.engine == "scripted fp32", "the caption says what runs"
    assert not set(former_pids) & set(run.shared.engine.worker_pids)


def test_masks_are_there_all_the_while_the_engine_is_exchanged(engine: Open, masks: Any, script: Any) -> None:
    source = _source(script, [8] * 6000)
    told = engine(masks.open_told, masks.TOLD)
    band = functools.partial(masks.open_band, 4)
    monitor = _monitor(masks, engine(band, masks.BAND), fall_back=lambda: engine(band, masks.BAND, ready=False))
    _until(source, lambda: monitor.fall_back == "done")
    run = Run(source, told, monitor, LiveOptions(PresenterOptions(mask_limit_ms=2000.0)))
    run.run()
    first = next(index for index, shown in enumerate(run.shown) if shown.mask is not None)
    assert all(shown.mask is not None for shown in run.shown[first:])


def test_a_reference_that_cannot_take_over_leaves_the_engine_in_place(engine: Open, masks: Any, script: Any) -> None:
    source = _source(script, [8] * 6000)
    told = engine(masks.open_told, masks.TOLD)
    never = functools.partial(masks.open_never, 4)
    monitor = _monitor(
        masks,
        engine(functools.partial(masks.open_band, 4), masks.BAND),
        fall_back=lambda: engine(never, masks.BAND, ready=False),
    )
    _until(source, lambda: monitor.fall_back == "failed")
    run = Run(source, told, monitor)
    run.run()
    assert run.status.engine == masks.TOLD.sha256
    failures = [text for _, text in monitor.events() if "could not take over: there is no such GPU" in text]
    assert len(failures) == FALL_BACK_TRIES
    assert "could not take over" in run.shown[-1].reason and run.shown[-1].mask is not None


def test_frames_without_tissue_are_not_looked_at_again(engine: Open, masks: Any, script: Any) -> None:
    told = engine(masks.open_told, masks.TOLD)
    monitor = _monitor(masks, None, is_gated=lambda: True)
    run = Run(_source(script, [4] * 60), told, monitor)
    run.run()
    assert run.status.inferences > 5 and run.drift["checks"] == 0


def test_every_nth_frame_is_looked_at_with_a_neighbour_that_came_shortly_before() -> None:
    empty = (lambda: np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.float32))
    sampler = Sampler(every=3)
    times_ms = [0, 40, 80, 120, 160, 1000, 1040, 1080, 1060]  # the last one came back late
    samples = [Sample(index, int(1e6 * time_ms), *empty) for index, time_ms in enumerate(times_ms)]
    checks = [check for sample in samples if (check := sampler.take(sample)) is not None]
    assert [check.sample.index for check in checks] == [2, 5, 8]
    assert [check.before and check.before.index for check in checks] == [1, None, None]


def test_the_references_process_gives_way_with_all_its_threads(engine: Open, masks: Any) -> None:
    engine = engine(functools.partial(masks.open_band, 4), masks.BAND, niceness=19)
    (pid,) = engine.worker_pids
    tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    assert tasks and {os.getpriority(os.PRIO_PROCESS, task) for task in tasks} == {19}
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19
    engine.close()
