"""The supervised worker with CUDA in it: the double lives in the worker, never in the parent's part of the work."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.outcomes import Lost, Segmented
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import Supervisor, SupervisorOptions

READY_S = 60.0
FRAMES = np.random.default_rng(4).integers(0, 256, (40, 45, 60, 3), dtype=np.uint8)
Open = Callable[..., Supervisor]


@pytest.fixture
def reference(small_onnx: Path) -> Session:
    return open_engine(small_onnx, Use(1))


@pytest.fixture
def opened(
    double: Any, standin: Callable[..., Any], small_onnx: Path, reference: Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Opens a supervised session on the stand-in; settings of the double reach the worker by its environment."""
    sessions = []

    def start(lanes: int = 1, restarts: int = 5, **settings: str) -> Supervisor:
        for name, value in settings.items():
            monkeypatch.setenv(f"CUDADOUBLE_{name}", value)
        frame_bytes = FRAMES[0].nbytes
        factory = functools.partial(standin, small_onnx, CudaOptions(lanes=lanes, frame_bytes=frame_bytes))
        options = SupervisorOptions(
            slots=4, frame_bytes=frame_bytes, answer_deadline_s=1.0, restarts=RestartLimit(restarts, 600.0)
        )
        info = dataclasses.replace(reference.info, takes_planes=True)
        sessions.append(Supervisor(factory, info, options))
        return sessions[-1]

    before = double.count("cuInit")
    yield start
    for session in sessions:
        session.close()
        assert session.counts.accepted == session.counts.segmented + session.counts.lost_total
    assert double.count("cuInit") == before, "the parent has initialised CUDA"


def _stream(session: Supervisor, reference: Session, count: int, strike: Callable[[int], None]) -> list[str]:
    """Give what became of frames, one after the other; a result that is not the frame's own fails the test."""
    fates = []
    for index in range(count):
        strike(index)
        frame = FRAMES[session.counts.accepted % len(FRAMES)]
        sequence = session.submit(PackedFrame(frame, "rgb"))
        if sequence is None:
            fates.append("passed")
            time.sleep(0.02)
            continue
        (outcome,) = session.poll(5.0)
        assert outcome.sequence == sequence
        if isinstance(outcome, Segmented):
            np.testing.assert_array_equal(outcome.probability, probability_of(reference, PackedFrame(frame, "rgb")))
            fates.append("segmented")
        else:
            fates.append(outcome.loss)
    return fates


def _nothing(index: int) -> None:
    pass


@pytest.mark.parametrize("integrated", ["0", "1"], ids=["discrete", "integrated"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_frames_through_shared_memory_give_the_cpu_paths_maps(
    opened: Open, reference: Session, lanes: int, integrated: str
) -> None:
    session = opened(lanes=lanes, INTEGRATED=integrated, DELAY_US="2000", SEED="5")
    session.wait_ready(READY_S)
    expected = [probability_of(reference, PackedFrame(frame, "rgb")) for frame in FRAMES]
    under_way: dict[int, int] = {}
    index = done = 0
    while done < len(FRAMES):
        if index < len(FRAMES) and len(under_way) < 4:
            sequence = session.submit(PackedFrame(FRAMES[index], "rgb"))
            assert sequence is not None
            under_way[sequence] = index
            index += 1
            continue
        for outcome in session.poll(5.0):
            assert isinstance(outcome, Segmented)
            np.testing.assert_array_equal(outcome.probability, expected[under_way.pop(outcome.sequence)])
            done += 1
    assert session.counts.passed == session.counts.restarts == 0


@pytest.mark.parametrize("site", ["graph", "kernel/edgeseg_mask", "host", "copy"])
def test_a_sticky_error_ends_the_worker_and_the_next_one_goes_on(opened: Open, reference: Session, site: str) -> None:
    """Each worker meets the fault at the same use, so the second is lost there too and the bound is reached."""
    session = opened(restarts=1, FAULTS=f"{site}:40=719")
    session.wait_ready(READY_S)
    fates = []
    while session.state != "down":
        fates += _stream(session, reference, 1, _nothing)
    assert fates.count("device") == session.counts.device_losses == 2
    assert session.counts.restarts == 1 and session.state == "down"
    assert set(fates) == {"segmented", "device", "passed"}
    assert session.counts.deaths == session.counts.hangs == 0


def test_a_worker_killed_in_mid_stream_costs_at_most_one_frame(opened: Open, reference: Session) -> None:
    session = opened()
    session.wait_ready(READY_S)

    def strike(index: int) -> None:
        if index == 20:
            os.kill(session.worker_pid or 0, signal.SIGKILL)

    fates = _stream(session, reference, 60, strike)
    session.wait_ready(READY_S)
    fates += _stream(session, reference, 40, _nothing)
    assert fates.count("died") <= 1, "none where the death was noticed before the next frame was taken"
    assert fates[-40:] == ["segmented"] * 40
    assert (session.counts.deaths, session.counts.restarts) == (1, 1)


def test_a_hanging_gpu_is_killed_and_its_frame_lost(opened: Open, reference: Session) -> None:
    session = opened(restarts=1, FAULTS="graph:10=sleep600000")
    session.wait_ready(READY_S)
    fates = _stream(session, reference, 10, _nothing)
    assert fates == ["segmented"] * 9 + ["hung"]
    session.wait_ready(READY_S)
    assert _stream(session, reference, 5, _nothing) == ["segmented"] * 5
    assert (session.counts.hangs, session.counts.restarts) == (1, 1)


def test_a_refused_launch_costs_one_frame_and_no_worker(opened: Open, reference: Session) -> None:
    session = opened(FAULTS="cuGraphLaunch:5=701")
    session.wait_ready(READY_S)
    fates = _stream(session, reference, 10, _nothing)
    assert fates == ["segmented"] * 4 + ["refused"] + ["segmented"] * 5
    assert session.counts.restarts == 0


def test_no_memory_for_the_lanes_is_tried_again_and_then_said(opened: Open, reference: Session) -> None:
    session = opened(restarts=2, FAULTS="cuMemAlloc:2+=2")
    with pytest.raises(DeviceMemoryError, match="no memory left"):
        session.wait_ready(READY_S)
    assert session.counts.worker_starts == 3 and session.state == "down"
    assert _stream(session, reference, 3, _nothing) == ["passed"] * 3


def test_losses_say_why(opened: Open, reference: Session) -> None:
    session = opened(FAULTS="graph:1=700")
    session.wait_ready(READY_S)
    session.submit(PackedFrame(FRAMES[0], "rgb"))
    (outcome,) = session.poll(5.0)
    assert isinstance(outcome, Lost) and outcome.loss == "device" and "CUDA error 700" in outcome.reason
