"""The stream as a whole, with a source, an engine and sinks that misbehave as they are told."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.live.live_stream import LiveOptions
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.states import StateChange
from edgeseg.runtime.video.source import SourceFrame
from tests.runtime.live.conftest import RememberingSink, ScriptedSource
from tests.runtime.live.ended_run import PERIOD_S, Open, Run, source_of, value_of


def test_every_frame_is_shown_once_in_order_and_masks_are_recent(open_workers: Open, script: Any) -> None:
    run = Run(source_of(script, [script.ANSWER] * 100), open_workers()).run()
    assert run.status is not None
    assert [shown.frame.index for shown in run.shown] == list(range(100))
    assert run.status.frames == 100
    assert run.status.inferences + run.status.drops + run.status.lost <= 100
    with_mask = [shown for shown in run.shown if shown.mask is not None]
    assert len(with_mask) > 50
    for shown in with_mask:
        assert value_of(shown) <= shown.frame.index
        assert shown.mask_age_ms is not None
    numbers = [value_of(shown) for shown in with_mask]
    assert numbers == sorted(numbers), "a mask never goes back in time"
    assert run.states[-1] == "stopped"
    assert run.sink.closed


def test_a_slow_engine_never_holds_up_the_picture_and_old_masks_are_taken_down(open_workers: Open, script: Any) -> None:
    run = Run(source_of(script, [script.SLOW] * 120), open_workers(spares=0)).run()  # 0.3 s of a 20 ms period
    assert run.status is not None
    assert len(run.shown) == 120
    ages_ms = [shown.mask_age_ms for shown in run.shown if shown.mask_age_ms is not None]
    assert ages_ms, "masks are shown"
    limit_ms = script.SLOW_S * 1e3 + 2 * PERIOD_S * 1e3
    assert max(ages_ms) <= limit_ms + 60, "the limit, and what a busy machine adds to inference"
    assert sum(shown.mask is None for shown in run.shown) > 20
    assert run.status.drops > 80
    assert "degraded" in run.states or "pass-through" in run.states


def test_synchronous_mode_shows_each_frame_with_its_own_mask_after_a_fixed_time(
    open_workers: Open, script: Any
) -> None:
    options = LiveOptions(PresenterOptions(sync_ms=150.0))
    run = Run(source_of(script, [script.ANSWER] * 80), open_workers(), options).run()
    assert [shown.frame.index for shown in run.shown] == list(range(80))
    own = [shown for shown in run.shown if shown.mask is not None]
    assert all(value_of(shown) == shown.frame.index for shown in own)
    assert len(own) >= 70
    ages_ms = np.array([shown.picture_age_ms for shown in run.shown[:-10]])  # the end does not wait
    assert ages_ms.min() >= 150.0
    assert float(np.median(ages_ms)) < 175.0


def test_a_long_delay_in_synchronous_mode_has_room_for_all_frames_and_masks(open_workers: Open, script: Any) -> None:
    options = LiveOptions(PresenterOptions(sync_ms=2500.0))
    run = Run(source_of(script, [script.ANSWER] * 260), open_workers(), options).run()
    assert [shown.frame.index for shown in run.shown] == list(range(260))
    waited = [shown for shown in run.shown if shown.picture_age_ms >= 2500.0]
    assert len(waited) > 100
    assert sum(shown.mask is not None for shown in waited) > 0.9 * len(waited)


def test_a_mask_that_is_late_in_synchronous_mode_leaves_its_frame_raw(open_workers: Open, script: Any) -> None:
    orders = [script.SLOW if index == 30 else script.ANSWER for index in range(70)]
    options = LiveOptions(PresenterOptions(sync_ms=100.0))
    run = Run(source_of(script, orders), open_workers(spares=0), options).run()
    assert [shown.frame.index for shown in run.shown] == list(range(70))
    assert run.shown[30].mask is None
    assert all(shown.mask is None or value_of(shown) == shown.frame.index for shown in run.shown)


@pytest.mark.parametrize("fault", ["DIE", "LOST", "CRASH", "NONSENSE", "REFUSE", "HANG"])
def test_every_frame_comes_out_whatever_the_engine_does(fault: str, open_workers: Open, script: Any) -> None:
    orders = [getattr(script, fault) if index == 40 else script.ANSWER for index in range(160)]
    run = Run(source_of(script, orders), open_workers()).run()
    assert [shown.frame.index for shown in run.shown] == list(range(160))
    after = [shown for shown in run.shown[120:] if shown.mask is not None]
    assert after, "masks come again"
    assert all(value_of(shown) != 40 for shown in run.shown if shown.mask is not None)
    assert run.status is not None
    if fault not in ("REFUSE",):
        assert run.status.lost + run.status.drops > 0


def test_without_an_engine_the_picture_goes_on_and_says_so(open_workers: Open, script: Any) -> None:
    engine = open_workers(factory=script.open_never)
    with pytest.raises(MissingComponentError):
        engine.wait_ready(60.0)
    run = Run(source_of(script, [script.ANSWER] * 100), engine, ready=False).run()
    assert len(run.shown) == 100
    assert all(shown.mask is None for shown in run.shown)
    assert run.shown[-1].state == "pass-through"
    assert "no such GPU" in run.shown[-1].reason


def test_a_source_that_fails_is_told_after_all_is_closed(open_workers: Open, script: Any) -> None:
    def fail(index: int) -> None:
        if index == 20:
            raise BadInputError("the cable was pulled")

    run = Run(source_of(script, [script.ANSWER] * 50, before=fail), open_workers())
    with pytest.raises(BadInputError, match="cable"):
        run.run()
    assert len(run.shown) == 20
    assert run.sink.closed


def test_a_stream_is_not_live_before_its_first_picture(open_workers: Open, script: Any) -> None:
    def pause(index: int) -> None:
        if index == 0:
            time.sleep(1.0)

    run = Run(source_of(script, [script.ANSWER] * 60, before=pause), open_workers())
    threading.Timer(0.5, lambda: seen.append(run.stream.status().state)).start()
    seen: list[str] = []
    run.run()
    assert seen == ["starting"]
    assert run.states[0] == "live" and run.shown, "only with a picture"


def test_a_silent_source_is_said_and_its_return_too(open_workers: Open, script: Any) -> None:
    def pause(index: int) -> None:
        if index == 60:
            time.sleep(1.2)

    run = Run(source_of(script, [script.ANSWER] * 220, before=pause), open_workers()).run()
    degraded = [change for change in run.changes if change.state == "degraded" and "source" in change.reason]
    assert degraded, run.changes
    after = run.changes[run.changes.index(degraded[0]) + 1]
    assert "source" not in after.reason, "its return is told, whatever else is wrong then"


def test_sinks_with_viewers_are_asked_for_covers_with_the_state_of_the_moment(open_workers: Open, script: Any) -> None:
    class Viewed(RememberingSink):
        asked: list[tuple[int, StateChange]] = []  # noqa: RUF012

        def cover(self, now_ns: int, change: StateChange) -> None:
            self.asked.append((now_ns, change))

    def pause(index: int) -> None:
        if index == 60:
            time.sleep(1.5)

    run = Run(source_of(script, [script.ANSWER] * 100, before=pause), open_workers())
    viewed = Viewed()
    run.stream._sinks = (*run.stream._sinks, viewed)
    run.run()
    silent_ns = [now_ns for now_ns, change in viewed.asked if "no frame from the source" in change.reason]
    last_ns = max(shown.presented_ns for shown in run.shown if shown.frame.index < 60)
    assert silent_ns[0] - last_ns > 0.4e9
    assert len(silent_ns) >= 5, "several times a second"


def test_a_change_of_size_never_puts_a_mask_of_another_size_on_a_picture(open_workers: Open, script: Any) -> None:
    from edgeseg.runtime.video.picture import Picture

    class Changing(ScriptedSource):
        def frames(self) -> Any:
            for frame in super().frames():
                if frame.index >= 30:
                    yield replace(frame, picture=Picture.of_bgr(np.zeros((24, 16, 3), np.uint8)))
                else:
                    yield frame

    run = Run(Changing(script, [script.ANSWER] * 80, PERIOD_S), open_workers()).run()
    assert len(run.shown) == 80
    for shown in run.shown:
        size = (shown.frame.picture.height, shown.frame.picture.width)
        assert shown.mask is None or shown.mask.mask.shape == size
    assert any(shown.mask is not None for shown in run.shown[50:])


def test_a_gate_takes_the_mask_down_and_keeps_the_picture(open_workers: Open, script: Any) -> None:
    class Every:
        def reason(self, frame: SourceFrame) -> str | None:
            return "black" if frame.index % 2 else None

    options = LiveOptions(PresenterOptions(record_gated=False))
    run = Run(source_of(script, [script.ANSWER] * 60), open_workers(), options, gate=Every()).run()
    odd = [shown for shown in run.shown if shown.frame.index % 2]
    assert len(odd) == 30
    assert all(shown.mask is None and shown.gate == "black" and not shown.recordable for shown in odd)
    assert all(shown.recordable for shown in run.shown if not shown.frame.index % 2)
    assert run.status is not None
    assert run.status.gated == 30


def test_the_end_can_be_asked_for_and_leaves_no_thread(open_workers: Open, script: Any) -> None:
    before = threading.active_count()
    run = Run(source_of(script, [script.ANSWER] * 100_000), open_workers())
    threading.Timer(0.5, run.stream.stop).start()
    started_s = time.monotonic()
    run.run()
    assert time.monotonic() - started_s < 10.0
    assert 5 < len(run.shown) < 200
    time.sleep(0.1)
    assert threading.active_count() <= before


def test_a_clock_that_is_set_back_changes_nothing(
    open_workers: Open, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter([1e9, 0.0] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(steps))
    run = Run(source_of(script, [script.ANSWER] * 60), open_workers()).run()
    assert len(run.shown) == 60
    assert all(0 <= shown.picture_age_ms < 5000 for shown in run.shown)


def test_a_signal_can_ask_for_the_end_wherever_it_finds_the_watching_thread(open_workers: Open, script: Any) -> None:
    """A handler runs in the watching thread, between any two of its steps: it must not need what that thread holds."""
    run = Run(source_of(script, [script.ANSWER] * 100_000), open_workers())
    blocked: list[str] = []
    threading.Timer(1.0, run.stream.stop).start()

    def ask(frame: Any, event: str, argument: object) -> Any:
        if "threading" in frame.f_code.co_filename and frame.f_code.co_name == "wait" and event == "line":
            asker = threading.Thread(target=run.stream.stop)
            asker.start()
            asker.join(2.0)
            if asker.is_alive():
                blocked.append(f"{frame.f_code.co_name}, line {frame.f_lineno}")
                sys.settrace(None)
        return ask

    watch = run.stream._watch

    def watched() -> None:
        sys.settrace(ask)
        try:
            watch()
        finally:
            sys.settrace(None)

    run.stream._watch = watched  # type: ignore[method-assign]
    run.run()
    assert not blocked


def test_sinks_that_hang_at_the_end_cost_the_time_of_one_and_files_come_before_the_engine(
    open_workers: Open, script: Any
) -> None:
    ended: list[str] = []

    class Hangs(RememberingSink):
        def close(self, deadline_s: float) -> None:
            time.sleep(1.0)
            ended.append("sink")

    engine = open_workers()
    close, engine.close = engine.close, lambda: (ended.append("engine"), close())[0]  # type: ignore[assignment, func-returns-value, method-assign]
    run = Run(source_of(script, [script.ANSWER] * 5), engine)
    run.stream._sinks = tuple(Hangs() for _ in range(6))
    started_s = time.monotonic()
    run.stream._close_sinks()
    assert time.monotonic() - started_s < 3.0
    run.run()
    assert ended[:12] == ["sink"] * 12
    assert ended[12] == "engine"
