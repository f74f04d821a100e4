"""A new engine beside the one that runs: both mark columns that can be counted by hand, in processes of their own."""

from __future__ import annotations

import functools
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.errors import MismatchError, UsageError
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.rollout.roll_out import ENOUGH, RollOut, RollOutEvent, RollOutRefusedError
from edgeseg.runtime.live.rollout.roll_out_opening import check_successor
from edgeseg.runtime.live.rollout.shadow import Shadow
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.worker.worker_engine import WorkerEngine, WorkerOptions
from tests.runtime.live.conftest import SMALL, RememberingSink, ScriptedSource, draw_nothing

OLD, NEW = 4, 6
"""Columns that each engine marks."""
SLOW_MS = 1e6


@pytest.fixture
def masks(script: Any) -> Any:
    """The module `scripted_masks`, importable by worker processes too."""
    import scripted_masks

    return scripted_masks


class Run:
    """A stream with a shadow beside its engine; steps are taken between its frames."""

    def __init__(self, masks: Any, script: Any, limit_ms: float | None = SLOW_MS, monitors: Any = ()) -> None:
        def opened(factory: Any, info: Any) -> WorkerEngine:
            return WorkerEngine(factory, info, WorkerOptions(1, 0, grows=False, supervisor=SMALL))

        self.open_new: Callable[[], WorkerEngine] = lambda: opened(functools.partial(masks.open_band, NEW), masks.BAND)
        self.old, shadow = opened(masks.open_told, masks.TOLD), self.open_new()
        for engine in (self.old, shadow):
            engine.wait_ready(60.0)
        self.shared, self.sink = SharedEngine(self.old), RememberingSink()
        self.shadow = Shadow(shadow, masks.TOLD)
        self.roll_out = RollOut(self.shared, self.shadow, lambda: self.open_new(), monitors, limit_ms)
        self.heard: list[RollOutEvent] = []
        self.roll_out.listeners.append(self.heard.append)
        self.source = ScriptedSource(script, [OLD] * 100_000)
        options = LiveOptions(PresenterOptions(mask_limit_ms=3000.0), seconds=120.0)
        self.stream = LiveStream(self.source, self.shared, [self.sink], draw_nothing, options)
        self.box = LiveBox(self.shared, [self.stream], roll_out=self.roll_out)

    def play(self, steps: Iterator[bool]) -> None:
        """Run until the steps are through: each yields whether what it waits for is there."""

        def before(index: int) -> None:
            if next(steps, None) is None:
                self.source.close()

        self.source.before = before
        (self.status,) = self.box.run()
        assert next(steps, None) is None, "it ended before its time"

    def columns(self) -> list[int]:
        """The columns that shown masks mark, in order and without repeats."""
        marked = [round(8 * shown.mask.area_fraction) for shown in self.sink.presented if shown.mask is not None]
        return [columns for columns, _ in itertools.groupby(marked)]

    def shows(self, columns: int) -> bool:
        newest = self.stream.newest
        return newest is not None and newest.mask is not None and round(8 * newest.mask.area_fraction) == columns

    def until(self, condition: Callable[[], bool]) -> Iterator[bool]:
        while not condition():
            yield False

    def until_switched(self) -> Iterator[bool]:
        yield from self.until(lambda: self.shadow.compared >= ENOUGH)
        self.roll_out.ask("switch")
        yield from self.until(lambda: self.roll_out.is_shown and self.shared.engine is not self.old)


def test_a_new_engine_is_compared_unseen_shown_at_a_frame_border_and_taken_back_by_hand(
    masks: Any, script: Any
) -> None:
    run = Run(masks, script)

    def steps() -> Iterator[bool]:
        with pytest.raises(RollOutRefusedError, match="long enough"):
            run.roll_out.ask("switch")
        with pytest.raises(RollOutRefusedError, match="nothing to take back"):
            run.roll_out.ask("back")
        yield from run.until(lambda: run.shadow.compared >= ENOUGH)
        assert run.roll_out.report()["shadow"]["dice"] == pytest.approx(2 * OLD / (OLD + NEW))
        assert run.columns() == [OLD]
        yield from run.until_switched()
        with pytest.raises(RollOutRefusedError, match="shown already"):
            run.roll_out.ask("switch")
        yield from run.until(lambda: run.shows(NEW))
        assert run.old.is_ready, "kept warm"
        compared = run.shadow.compared
        yield from run.until(lambda: run.shared.infer_ms.count > 20)
        assert run.shadow.compared - compared <= 1, "one that was under way"
        run.roll_out.ask("back")
        yield from run.until(lambda: run.shows(OLD))
        yield from run.until(lambda: run.shadow.compared > compared + 1)

    run.play(steps())
    assert run.columns() == [OLD, NEW, OLD]
    shown = [each.frame.index for each in run.sink.presented]
    assert shown == sorted(set(shown)) and len(shown) + run.status.skipped == shown[-1] + 1, "none is lost in between"
    assert [(event.change, event.engine) for event in run.heard] == [
        ("switched", "scripted fp32"),
        ("back", "scripted int8"),
    ]
    report = run.roll_out.report()
    assert (report["phase"], report["switches"], report["backs"]) == ("shadow", 1, 0), "what is asked for is no failure"
    assert [event["change"] for event in report["events"]] == ["switched", "back"]


def test_one_that_is_slower_than_its_limit_is_taken_back_by_itself(masks: Any, script: Any) -> None:
    run = Run(masks, script, limit_ms=1e-6)

    def steps() -> Iterator[bool]:
        yield from run.until_switched()
        yield from run.until(lambda: not run.roll_out.is_shown)
        yield from run.until(lambda: run.shows(OLD))

    run.play(steps())
    assert run.heard[-1].change == "back" and "over its limit" in run.heard[-1].reason
    assert run.roll_out.report()["backs"] == 1


def test_one_whose_processes_die_is_taken_back_by_itself(masks: Any, script: Any) -> None:
    run = Run(masks, script)

    def steps() -> Iterator[bool]:
        yield from run.until_switched()
        yield from run.until(lambda: run.shows(NEW))
        for pid in run.shared.engine.worker_pids:
            os.kill(pid, signal.SIGKILL)
        yield from run.until(lambda: not run.roll_out.is_shown)
        yield from run.until(lambda: run.shows(OLD))

    run.play(steps())
    assert "the new engine is restarting" in run.heard[-1].reason
    assert run.columns() == [OLD, NEW, OLD]


def test_a_mask_alarm_takes_it_back_unless_it_was_up_before(masks: Any, script: Any) -> None:
    watch = SimpleNamespace(alarms=("flicker", "hue"))
    run = Run(masks, script, monitors=[watch])

    def steps() -> Iterator[bool]:
        yield from run.until_switched()
        watch.alarms = ("brightness", "flicker", "hue")
        yield from run.until(lambda: run.shared.infer_ms.count > 30)
        assert run.roll_out.is_shown, "pictures that drift are no engine's fault, and flicker is older than it"
        watch.alarms = ("dice", "flicker")
        yield from run.until(lambda: run.shows(OLD))

    run.play(steps())
    assert run.heard[-1].reason == "the drift watch raised an alarm: dice"


def test_one_that_cannot_be_opened_leaves_all_as_it_is(masks: Any, script: Any) -> None:
    run = Run(masks, script)

    def fail() -> WorkerEngine:
        raise MismatchError("not the file that was compared")

    run.open_new = fail

    def steps() -> Iterator[bool]:
        yield from run.until(lambda: run.shadow.compared >= ENOUGH)
        run.roll_out.ask("switch")
        yield from run.until(lambda: bool(run.heard))

    run.play(steps())
    assert run.heard[0].change == "failed" and "not the file" in run.heard[0].reason
    assert run.roll_out.report()["phase"] == "shadow" and run.columns() == [OLD]


def test_a_shadow_that_fails_takes_no_mask_from_the_shown_engine(
    masks: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(masks, script)

    def steps() -> Iterator[bool]:
        yield from run.until(lambda: run.shadow.compared >= 3)
        monkeypatch.setattr(run.shadow, "_compare", None)
        yield from run.until(lambda: run.shared.beside is None)
        before = run.stream.status().inferences
        yield from run.until(lambda: run.stream.status().inferences > before + 10)

    run.play(steps())
    assert run.shared.engine_state == "ready" and not run.roll_out.report()["shadow"]["is_ready"]


class Obedient:
    """An engine that is asked, and answers at once."""

    is_ready, frame_bytes = True, 1 << 20

    def __init__(self, info: Any) -> None:
        self.info, self.asked, self._waiting = info, 0, []

    def submit(self, given: Any) -> int:
        self.asked += 1
        return self.asked

    def poll(self) -> list[Any]:
        return []


def test_a_shadow_is_asked_only_while_the_shown_engine_has_nothing_to_do(masks: Any) -> None:
    import numpy as np

    from edgeseg.runtime.engine.inputs import NetworkInput
    from edgeseg.runtime.engine.outcomes import Segmented
    from edgeseg.runtime.video.picture import Picture

    engine = Obedient(masks.BAND)
    shadow = Shadow(engine, masks.TOLD)  # type: ignore[arg-type]
    pixels = np.zeros((8, 8, 3), np.uint8)
    answer = Segmented(1, np.zeros((1, 8, 8), np.float32), 1.0)
    for _ in range(5):
        shadow.see(Picture.of_bgr(pixels), NetworkInput(pixels), answer)
        shadow.step(is_idle=False)
    assert engine.asked == 0
    shadow.step(is_idle=True)
    shadow.step(is_idle=True)
    assert engine.asked == 1, "the newest frame, once"
    shadow.is_paused = True
    shadow.see(Picture.of_bgr(pixels), NetworkInput(pixels), answer)
    shadow._under_way = None
    shadow.step(is_idle=True)
    assert engine.asked == 1


def test_a_successor_sees_and_says_the_same(masks: Any) -> None:
    check_successor(masks.TOLD, masks.BAND)
    with pytest.raises(UsageError, match="the one that is shown"):
        check_successor(masks.TOLD, masks.TOLD)
    model, preprocess = masks.BAND.model, masks.BAND.preprocess
    for other in (
        replace(masks.BAND, model=model.model_copy(update={"classes": ("instrument",)})),
        replace(masks.BAND, model=model.model_copy(update={"height": 16})),
        replace(masks.BAND, preprocess=preprocess.model_copy(update={"colour_order": "bgr"})),
    ):
        with pytest.raises(MismatchError, match="does not see or say"):
            check_successor(masks.TOLD, other)
