"""Streams that share real engine processes: what one does costs the others nothing but its share of the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edgeseg.errors import BadInputError
from edgeseg.runtime.live.live_box import LiveBox
from edgeseg.runtime.live.live_stream import LiveOptions, LiveStream, PresenterStuckError
from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from tests.runtime.live.conftest import SMALL, RememberingSink, ScriptedSource, draw_nothing

PERIOD_S = 0.02
LEFT, RIGHT = 2, 5
"""Columns that the engine marks in each stream's frames."""
LIMIT_MS = 1000.0
OPTIONS = LiveOptions(PresenterOptions(mask_limit_ms=LIMIT_MS))


@pytest.fixture
def masks(script: Any) -> Any:
    """The module `scripted_masks`, importable by worker processes too."""
    import scripted_masks

    return scripted_masks


@pytest.fixture
def told(masks: Any, script: Any, open_workers: Callable[..., WorkerEngine]) -> SharedEngine:
    """An engine that marks as many columns as a frame says."""
    from edgeseg.runtime.worker.worker_engine import WorkerOptions

    workers = WorkerEngine(masks.open_told, masks.TOLD, WorkerOptions(1, 1, grows=False, supervisor=SMALL))
    workers.wait_ready(60.0)
    return SharedEngine(workers)


class Box:
    """Streams and all that they showed."""

    def __init__(self, engine: SharedEngine, sources: Sequence[Any], options: LiveOptions = OPTIONS) -> None:
        self.sinks = [RememberingSink() for _ in sources]
        self.streams = [
            LiveStream(source, engine, [sink], draw_nothing, options, name=source.name)
            for source, sink in zip(sources, self.sinks, strict=True)
        ]
        self.ticks: list[float] = []
        self.box = LiveBox(engine, self.streams, lambda: self.ticks.append(time.monotonic()))

    def run(self) -> list[LiveStatus]:
        return self.box.run()

    def shown(self, number: int) -> list[Presented]:
        return self.sinks[number].presented

    def check_whole(self, number: int, status: LiveStatus, count: int) -> None:
        """Every frame was shown once and in order, or counted as skipped on a busy machine."""
        shown = [each.frame.index for each in self.shown(number)]
        assert shown == sorted(set(shown)) and len(shown) + status.skipped == count

    def marked(self, number: int) -> set[int]:
        """The columns of eight that a stream's shown masks mark."""
        return {round(8 * shown.mask.area_fraction) for shown in self.shown(number) if shown.mask is not None}


def _source(script: Any, name: str, columns: int, count: int = 100, **more: Any) -> ScriptedSource:
    return ScriptedSource(script, [columns] * count, more.pop("period_s", PERIOD_S), name, **more)


def test_two_streams_show_every_frame_with_masks_of_their_own_frames(told: SharedEngine, script: Any) -> None:
    box = Box(told, [_source(script, "left", LEFT, 70), _source(script, "right", RIGHT, 70)])
    left, right = box.run()
    for number, status in enumerate((left, right)):
        shown = box.shown(number)
        box.check_whole(number, status, 70)
        ages_ms = [each.mask_age_ms for each in shown if each.mask_age_ms is not None]
        assert len(ages_ms) > 5 and max(ages_ms) <= LIMIT_MS + 60
        assert all(each.mask is None or each.mask.index <= each.frame.index for each in shown)
        assert status.inferences > 5
    assert (box.marked(0), box.marked(1)) == ({LEFT}, {RIGHT}), "no mask of another stream's frame"
    assert all(sink.closed for sink in box.sinks)
    assert len(box.ticks) > 5


def test_a_flood_takes_its_turn_and_no_more(told: SharedEngine, script: Any) -> None:
    flood = _source(script, "flood", LEFT, 300, period_s=0.002)
    box = Box(told, [flood, _source(script, "calm", RIGHT, 50)], LiveOptions(OPTIONS.presenter, most_hz=66.0))
    many, calm = box.run()
    assert calm.inferences >= 10, "its turn comes, however many frames the other has"
    box.check_whole(1, calm, 50)
    assert many.frames + many.skipped == 300
    assert many.skipped > 100, "what comes faster than any scope is left out"
    assert box.marked(1) == {RIGHT}


def test_a_source_that_fails_ends_its_own_stream_and_is_told_at_the_end(
    told: SharedEngine, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(index: int) -> None:
        if index == 10:
            raise BadInputError("the cable was pulled")

    box = Box(told, [_source(script, "left", LEFT, before=fail), _source(script, "right", RIGHT, 60)])
    with pytest.raises(BadInputError, match="cable"):
        box.run()
    box.check_whole(1, box.streams[1].status(), 60)
    assert len(box.shown(0)) == 10 and box.sinks[0].closed
    assert box.streams[0].state.state == "stopped"
    assert "left: the stream has ended: the cable was pulled" in caplog.text


def test_a_silent_source_keeps_no_state_and_no_mask_from_the_other(told: SharedEngine, script: Any) -> None:
    silent = _source(script, "silent", LEFT, before=lambda index: threading.Event().wait(1.5) if index == 5 else None)
    box = Box(told, [silent, _source(script, "right", RIGHT, 70)])
    box.run()
    assert any("no frame from the source" in change.reason for _, change in box.streams[0].changes())
    box.check_whole(1, box.streams[1].status(), 70)
    assert box.marked(1) == {RIGHT}


@pytest.mark.long
def test_frames_that_kill_the_engine_take_the_others_few_masks(
    masks: Any, script: Any, open_workers: Callable[..., WorkerEngine]
) -> None:
    workers = open_workers(spares=1)
    workers.wait_ready(60.0)
    poison = ScriptedSource(script, [script.DIE] * 250, PERIOD_S, "poison")
    box = Box(SharedEngine(workers), [poison, ScriptedSource(script, [script.ANSWER] * 250, PERIOD_S, "right")])
    bad, good = box.run()
    assert bad.inferences == 0 and 2 <= bad.lost <= 6, "it rests, instead of killing one process after the other"
    assert good.inferences > 20


def test_a_stream_that_can_no_longer_show_frames_ends_all(
    told: SharedEngine, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.runtime.live.live_stream._STUCK_S", 0.5)
    monkeypatch.setattr("edgeseg.runtime.live.live_stream._END_S", 0.5)
    box = Box(told, [_source(script, "left", LEFT, 100_000), _source(script, "right", RIGHT, 100_000)])
    hang = threading.Event()
    monkeypatch.setattr(box.sinks[0], "offer", lambda presented: hang.wait(30.0))
    started_s = time.monotonic()
    with pytest.raises(PresenterStuckError):
        box.run()
    hang.set()
    assert time.monotonic() - started_s < 20.0
    assert box.streams[1].state.state == "stopped" and box.sinks[1].closed
