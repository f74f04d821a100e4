from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError, MismatchError, MissingComponentError
from edgeseg.runtime.engine.failures import TransientError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.outcomes import Lost, Outcome, Segmented
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import Supervisor, SupervisorOptions

READY_S = 60.0
QUICK = SupervisorOptions(frame_bytes=64 * 128 * 3, answer_deadline_s=0.5, end_deadline_s=0.5)
PARENT_BOUND_S = 0.5
"""No call of the parent may take longer than it was given and this."""

Open = Callable[..., Supervisor]


@pytest.fixture
def opened(script: Any) -> Iterator[Open]:
    """Opens supervised sessions of the script and closes them; no process and no memory may be left."""
    sessions = []

    def start(factory: Any = script.open_scripted, options: SupervisorOptions = QUICK) -> Supervisor:
        sessions.append(Supervisor(factory, script.info(), options))
        return sessions[-1]

    yield start
    for session in sessions:
        pid, memory = session.worker_pid, session._ring.name
        session.close()
        session.close()
        assert session.state == "closed"
        assert pid is None or not Path(f"/proc/{pid}").exists()
        assert not Path("/dev/shm", memory).exists()
        counts = session.counts
        assert counts.accepted == counts.segmented + counts.lost_total, "a frame without an outcome"


def _ready(session: Supervisor) -> Supervisor:
    session.wait_ready(READY_S)
    return session


def _outcome(session: Supervisor, frame: Any, timeout_s: float = 5.0) -> Outcome | None:
    """Give the outcome of one frame, None if it was passed. The parent's own time is checked."""
    started = time.monotonic()
    sequence = session.submit(PackedFrame(frame, "rgb"))
    assert time.monotonic() - started < PARENT_BOUND_S
    if sequence is None:
        return None
    outcomes = session.poll(timeout_s)
    assert time.monotonic() - started < timeout_s + PARENT_BOUND_S
    assert [outcome.sequence for outcome in outcomes] == [sequence]
    return outcomes[0]


def _is_of(outcome: Outcome | None, number: int) -> bool:
    return isinstance(outcome, Segmented) and bool((outcome.probability == np.float32(number / 65536)).all())


def test_an_onnxruntime_engine_gives_each_frame_its_own_map(tiny_engine: Path, numbered: Any) -> None:
    engine = open_engine(tiny_engine, Use(1))
    with Supervisor(functools.partial(open_engine, tiny_engine, Use(1)), engine.info) as session:
        _ready(session)
        for number in (3, 200, 77, 0, 255, 129):
            frame = numbered.draw(number)
            outcome = _outcome(session, frame)
            assert isinstance(outcome, Segmented)
            np.testing.assert_array_equal(outcome.probability, probability_of(engine, PackedFrame(frame, "rgb")))


def test_several_frames_under_way_come_back_in_order_and_a_full_ring_passes(script: Any, opened: Open) -> None:
    session = _ready(opened())
    sequences = [session.submit(PackedFrame(script.frame_of(0, script.SLOW), "rgb"))]
    sequences += [session.submit(PackedFrame(script.frame_of(number), "rgb")) for number in range(1, 6)]
    assert sequences == [1, 2, 3, 4, None, None]
    outcomes: list[Outcome] = []
    while len(outcomes) < 4:
        outcomes += session.poll(1.0)
    assert [outcome.sequence for outcome in outcomes] == [1, 2, 3, 4]
    assert all(_is_of(outcome, number) for number, outcome in enumerate(outcomes))
    assert session.counts.passed == 2 and session.counts.restarts == 0


def test_bgr_frames_reach_the_network_as_rgb(script: Any, opened: Open) -> None:
    session = _ready(opened())
    session.submit(PackedFrame(script.frame_of(700)[:, :, ::-1], "bgr"))
    assert _is_of(session.poll(5.0)[0], 700)


FAULTS = {"LOST": ("device", "device_losses"), "CRASH": ("died", "deaths"), "DIE": ("died", "deaths")}
FAULTS |= {"HANG": ("hung", "hangs"), "NONSENSE": ("died", "deaths")}


@pytest.mark.parametrize("order", FAULTS)
def test_a_worker_that_ends_costs_its_frames_and_is_replaced(script: Any, opened: Open, order: str) -> None:
    session = _ready(opened())
    loss, counter = FAULTS[order]
    first_pid = session.worker_pid
    assert _is_of(_outcome(session, script.frame_of(1)), 1)
    assert session.submit(PackedFrame(script.frame_of(2, getattr(script, order)), "rgb")) == 2
    taken = [2]
    if session.submit(PackedFrame(script.frame_of(3), "rgb")):  # None where the worker's end is known already
        taken.append(3)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(taken):
        outcomes += session.poll(2.0)
    assert [(out.sequence, out.loss) for out in outcomes if isinstance(out, Lost)] == [(each, loss) for each in taken]
    assert session.submit(PackedFrame(script.frame_of(4), "rgb")) is None
    _ready(session)
    assert session.worker_pid != first_pid
    for number in range(5, 15):
        assert _is_of(_outcome(session, script.frame_of(number)), number)
    counts = session.counts
    assert (counts.restarts, counts.worker_starts, counts.lost) == (1, 2, {loss: len(taken)})
    assert (counts.device_losses, counts.hangs, counts.deaths) == tuple(
        int(name == counter) for name in ("device_losses", "hangs", "deaths")
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_worker_struck_from_outside_in_mid_stream(script: Any, opened: Open, number: signal.Signals) -> None:
    session = _ready(opened())
    lost = passed = 0
    for index in range(1, 200):
        if index == 50:
            assert session.worker_pid is not None
            os.kill(session.worker_pid, number)
        outcome = _outcome(session, script.frame_of(index), timeout_s=1.0)
        assert outcome is None or isinstance(outcome, Lost) or _is_of(outcome, index)
        lost += isinstance(outcome, Lost)
        passed += outcome is None
        if outcome is None:
            time.sleep(0.02)
    assert lost <= 1, "none where the death was noticed before the next frame was taken"
    assert session.counts.restarts == 1
    assert passed == session.counts.passed
    _ready(session)
    assert _is_of(_outcome(session, script.frame_of(1000)), 1000)


def test_a_worker_that_dies_while_nothing_is_under_way_is_noticed(script: Any, opened: Open) -> None:
    session = _ready(opened())
    assert session.worker_pid is not None
    os.kill(session.worker_pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while session.counts.restarts == 0 and time.monotonic() < deadline:
        session.poll(0.0)
        time.sleep(0.01)
    _ready(session)
    assert _is_of(_outcome(session, script.frame_of(9)), 9)
    assert session.counts.lost_total == 0


def test_a_refused_frame_is_lost_alone(script: Any, opened: Open) -> None:
    session = _ready(opened())
    pid = session.worker_pid
    outcome = _outcome(session, script.frame_of(1, script.REFUSE))
    assert isinstance(outcome, Lost) and outcome.loss == "refused" and "refused as told" in outcome.reason
    assert _is_of(_outcome(session, script.frame_of(2)), 2)
    assert session.worker_pid == pid and session.counts.restarts == 0


def test_a_slow_frame_within_the_deadline_is_no_hang(script: Any, opened: Open) -> None:
    session = _ready(opened())
    for number in range(3):  # together longer than the deadline, each shorter
        session.submit(PackedFrame(script.frame_of(number, script.SLOW), "rgb"))
    outcomes: list[Outcome] = []
    while len(outcomes) < 3:
        outcomes += session.poll(1.0)
    assert all(_is_of(outcome, number) for number, outcome in enumerate(outcomes))
    assert session.counts.hangs == 0


def test_restarts_are_bounded_and_then_every_frame_passes_at_once(script: Any, opened: Open) -> None:
    options = SupervisorOptions(frame_bytes=8 * 8 * 3, answer_deadline_s=0.5, restarts=RestartLimit(2, 600.0))
    session = _ready(opened(options=options))
    for number in range(3):
        if session.state != "ready":
            _ready(session)
        assert isinstance(_outcome(session, script.frame_of(number, script.DIE)), Lost)
    deadline = time.monotonic() + 5
    while session.state != "down" and time.monotonic() < deadline:
        session.poll(0.0)
    assert session.state == "down" and session.counts.restarts == 2 and session.counts.deaths == 3
    started = time.monotonic()
    for number in range(1000):
        assert session.submit(PackedFrame(script.frame_of(number), "rgb")) is None
        assert session.poll(10.0) == []
    assert time.monotonic() - started < 1.0
    with pytest.raises(EdgesegError):
        session.wait_ready(READY_S)


def test_what_a_restart_cannot_mend_is_not_tried_again(script: Any, opened: Open) -> None:
    session = opened(script.open_never)
    with pytest.raises(MissingComponentError, match="no such GPU") as raised:
        session.wait_ready(READY_S)
    assert raised.value.next_command == "buy one"
    assert session.counts.worker_starts == 1


def test_a_full_gpu_is_tried_again_within_bounds(script: Any, opened: Open, tmp_path: Path) -> None:
    log = tmp_path / "tries"
    _ready(opened(functools.partial(script.open_full_at_first, log)))
    options = SupervisorOptions(frame_bytes=192, restarts=RestartLimit(1, 600.0))
    session = opened(functools.partial(script.open_full, log), options)
    with pytest.raises(TransientError, match="full"):
        session.wait_ready(READY_S)
    assert log.read_text().count("try") == 2 + 2


def test_an_engine_that_never_loads_is_a_hang(script: Any, opened: Open) -> None:
    options = SupervisorOptions(frame_bytes=192, start_deadline_s=1.0, restarts=RestartLimit(0, 600.0))
    session = opened(script.open_hanging, options)
    with pytest.raises(EdgesegError, match="again and again"):
        session.wait_ready(READY_S)
    assert session.counts.hangs == 1


def test_another_engine_than_announced_is_refused(script: Any, opened: Open) -> None:
    with pytest.raises(MismatchError):
        opened(script.open_other).wait_ready(READY_S)


def test_a_result_that_is_not_this_frames_is_a_loss(script: Any, opened: Open) -> None:
    session = _ready(opened())
    for damage in (lambda slot: session._ring.forget_result(slot), lambda slot: _restamp(session, slot)):
        sequence = session.submit(PackedFrame(script.frame_of(5), "rgb"))
        assert sequence is not None
        slot = session._flights._under_way[sequence]
        while not session._worker._connection.poll(0.01):  # the answer waits; its result is damaged before it is read
            pass
        damage(slot)
        (outcome,) = session.poll(1.0)
        assert isinstance(outcome, Lost) and outcome.loss == "damaged"
    assert _is_of(_outcome(session, script.frame_of(6)), 6)


def _restamp(session: Supervisor, slot: int) -> None:
    """As if another frame's result were being written over it."""
    session._ring._result(slot)[0][...] = 999


def test_a_frame_that_is_too_large_is_the_callers_mistake(script: Any, opened: Open) -> None:
    session = _ready(opened())
    with pytest.raises(BadInputError, match="set aside"):
        session.submit(PackedFrame(np.zeros((65, 128, 3), np.uint8), "rgb"))
    assert session.counts.accepted == 0


def test_closing_with_frames_under_way_loses_them_and_does_not_wait_for_a_hang(script: Any, opened: Open) -> None:
    session = _ready(opened())
    session.submit(PackedFrame(script.frame_of(1, script.HANG), "rgb"))
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < 5.0
    assert session.counts.lost == {"closed": 1}
