from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from edgeseg.runtime.live.live_values import Presented
from edgeseg.runtime.live.sinks import sink as sink_module
from edgeseg.runtime.live.sinks.sink import QueuedSink, Retry

SOON = Retry(0.01, 0.05)
Until = Callable[[Callable[[], bool]], None]


class Kept:
    """A writer that keeps indices; `act` runs ahead of each write."""

    def __init__(self, act: Callable[[int], object] = lambda index: None) -> None:
        self.indices: list[int] = []
        self.closed = 0
        self._act = act

    def write(self, presented: Presented) -> None:
        self._act(presented.frame.index)
        self.indices.append(presented.frame.index)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def blocked() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_every_frame_is_written_in_order_and_the_writer_closed(showing: Any) -> None:
    kept = Kept()
    sink = QueuedSink("all", lambda: kept, capacity=100)
    for index in range(50):
        sink.offer(showing(index))
    sink.close(20)
    assert kept.indices == list(range(50)) and kept.closed == 1
    counts = sink.counts()
    assert (counts.written, counts.dropped, counts.failures, counts.state) == (50, 0, 0, "closed")
    sink.offer(showing(50))
    assert sink.counts() == counts


def test_a_blocked_writer_holds_nobody_up_and_the_newest_frames_wait(
    showing: Any, until: Until, blocked: threading.Event
) -> None:
    kept = Kept(lambda index: blocked.wait())
    sink = QueuedSink("blocked", lambda: kept, capacity=4)
    sink.offer(showing(0))
    until(lambda: not sink._waiting)
    for index in range(1, 101):  # would never end where it waited
        sink.offer(showing(index))
    assert (sink.counts().dropped, sink.counts().state) == (96, "slow")
    blocked.set()
    sink.close(20)
    assert kept.indices == [0, 97, 98, 99, 100]
    assert (sink.counts().written, sink.counts().dropped, sink.counts().state) == (5, 96, "closed")


def test_a_writer_that_never_answers_is_left_behind(
    showing: Any, until: Until, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = QueuedSink("dead", lambda: Kept(lambda index: blocked.wait()))
    for index in range(3):
        sink.offer(showing(index))
    monkeypatch.setattr(sink_module, "STALLED_S", 0.0)
    until(lambda: sink.counts().state == "failed")
    assert "a write has taken" in sink.counts().last_error
    sink.close(0.05)
    assert sink.counts().state == "failed" and "not done" in sink.counts().last_error
    assert sink.counts().dropped == 2


def test_another_writer_takes_over_from_one_that_hangs_and_not_for_ever(
    showing: Any, until: Until, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "STALLED_S", 1.0)  # far above what a busy machine takes
    writers: list[Kept] = []

    def open_writer() -> Kept:
        hangs = not writers
        writers.append(Kept((lambda index: blocked.wait()) if hangs else (lambda index: None)))
        return writers[-1]

    sink = QueuedSink("hanging", open_writer)
    sink.offer(showing(0))

    def is_written() -> bool:
        sink.offer(showing(1))
        return sink.counts().written > 0

    until(is_written)
    assert writers[0].indices == [] and set(writers[1].indices) == {1}
    assert sink.counts().state in ("ok", "slow") and sink.counts().failures == 1
    blocked.set()
    until(lambda: writers[0].closed == 1)  # too late: it is not counted, and takes no more
    assert len(writers[0].indices) == 1
    sink.close(20)
    assert sink.counts().written == len(writers[1].indices)


def test_a_file_whose_end_hangs_is_left_behind_too(
    showing: Any, until: Until, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "STALLED_S", 1.0)
    writers: list[Kept] = []

    class HangsAtItsEnd(Kept):
        def close(self) -> None:
            if self is writers[0]:
                blocked.wait()

    def open_writer() -> Kept:
        writers.append(HangsAtItsEnd())
        return writers[-1]

    sink = QueuedSink("hanging", open_writer)
    sink.offer(showing(0))
    until(lambda: sink.counts().written == 1)
    sink.reopen()

    def is_written() -> bool:
        sink.offer(showing(1))
        return sink.counts().written > 1

    until(is_written)
    assert sink.counts().failures == 1
    blocked.set()
    sink.close(20)


def test_a_sink_leaves_no_more_than_a_few_threads_behind(
    showing: Any, until: Until, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "STALLED_S", 0.02)
    opened: list[int] = []

    def open_writer() -> Kept:
        opened.append(1)
        blocked.wait()
        return Kept()

    sink = QueuedSink("hanging", open_writer)

    def is_spent() -> bool:
        sink.offer(showing(0))
        return len(opened) > sink_module.MOST_ABANDONED

    until(is_spent)
    for index in range(50):
        sink.offer(showing(index))
        blocked.wait(0.005)
    assert len(opened) == sink_module.MOST_ABANDONED + 1
    assert sink.counts().state == "failed"


def test_a_writer_that_fails_is_opened_again_and_the_loss_counted(showing: Any, until: Until) -> None:
    def fail(index: int) -> None:
        if index == 1:
            raise OSError(28, "No space left on device")

    writers: list[Kept] = []

    def open_writer() -> Kept:
        writers.append(Kept(fail))
        return writers[-1]

    sink = QueuedSink("failing", open_writer, retry=Retry(0.2, 0.2))
    sink.offer(showing(0))
    sink.offer(showing(1))
    until(lambda: sink.counts().state == "failed")
    assert "No space left" in sink.counts().last_error
    sink.offer(showing(2))
    until(lambda: sink.counts().written == 2)
    assert sink.counts().state != "failed"
    sink.close(20)
    assert [writer.indices for writer in writers] == [[0], [2]]
    assert [writer.closed for writer in writers] == [1, 1]
    assert (sink.counts().failures, sink.counts().dropped) == (1, 1)


def test_a_writer_that_cannot_be_opened_costs_nothing_but_its_frames(showing: Any, until: Until) -> None:
    def refuse() -> Kept:
        raise ConnectionRefusedError("nobody listens")

    sink = QueuedSink("refused", refuse, capacity=3, retry=SOON)
    for index in range(10):
        sink.offer(showing(index))
    until(lambda: sink.counts().failures > 2)
    sink.close(20)
    counts = sink.counts()
    assert (counts.written, counts.dropped) == (0, 10)
    assert counts.state == "failed" and "nobody listens" in counts.last_error


def test_private_frames_are_withheld(showing: Any) -> None:
    kept = Kept()
    sink = QueuedSink("public", lambda: kept)
    for index in range(4):
        sink.offer(showing(index, recordable=index != 2))
    sink.close(20)
    assert kept.indices == [0, 1, 3]
    assert sink.counts().withheld == 1


def test_a_new_file_is_begun_between_two_frames_and_none_is_lost(showing: Any, until: Until) -> None:
    writers: list[Kept] = []

    def open_writer() -> Kept:
        writers.append(Kept())
        return writers[-1]

    sink: QueuedSink[Presented] = QueuedSink("log", open_writer, capacity=1000)
    for index in range(300):
        sink.offer(showing(index))
        if index % 100 == 50:
            until(lambda: not sink._waiting)
            sink.reopen()
            until(lambda: writers[-1].closed == 1)
    sink.close(20)
    assert [number for writer in writers for number in writer.indices] == list(range(300))
    assert len(writers) == 4 and all(writer.closed == 1 and writer.indices for writer in writers)
    assert (sink.counts().written, sink.counts().dropped, sink.counts().state) == (300, 0, "closed")


def test_a_request_for_a_new_file_wakes_a_sink_that_waits_after_a_failure(showing: Any, until: Until) -> None:
    refused = [True]

    def open_writer() -> Kept:
        if refused[0]:
            raise OSError(28, "No space left on device")
        return Kept()

    sink: QueuedSink[Presented] = QueuedSink("full", open_writer, retry=Retry(3600.0, 3600.0))
    sink.offer(showing(0))
    until(lambda: sink.counts().state == "failed")
    refused[0] = False
    sink.reopen()
    sink.offer(showing(1))
    until(lambda: sink.counts().written == 1)
    sink.close(20)


def test_a_stream_to_viewers_is_not_broken_off_by_a_request_for_new_files(showing: Any, until: Until) -> None:
    kept = Kept()
    sink: QueuedSink[Presented] = QueuedSink("viewers", lambda: kept, reopens=False)
    sink.offer(showing(0))
    sink.reopen()
    sink.offer(showing(1))
    sink.close(20)
    assert kept.indices == [0, 1] and kept.closed == 1


def test_a_sink_with_no_frames_opens_no_writer() -> None:
    opened: list[Kept] = []

    def open_writer() -> Kept:
        opened.append(Kept())
        return opened[-1]

    sink = QueuedSink("idle", open_writer)
    sink.close(20)
    assert not opened and sink.counts().state == "closed"


def test_an_error_shows_no_password(showing: Any, until: Any) -> None:
    def refuse() -> NoReturn:
        raise OSError("cannot open rtsp://user:secret@box:8554/a")

    sink = QueuedSink("x", refuse)
    sink.offer(showing(0))
    until(lambda: sink.counts().failures == 1)
    assert sink.counts().last_error == "cannot open rtsp://***@box:8554/a"
    sink.close(5)
