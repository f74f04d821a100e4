"""The supervised worker on a GPU: killed, stuck, its context lost, its memory taken."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from device_memory import memory_filled
from mean_engine import HANG, ILLEGAL_ADDRESS, MeanNetwork, failing_frame

from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.cuda_errors import CudaError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import Supervisor, SupervisorOptions

READY_S = 60.0
NETWORK = MeanNetwork()
FRAMES = np.random.default_rng(4).integers(0, 256, (20, 120, 160, 3), dtype=np.uint8)
Open = Callable[..., Supervisor]


@pytest.fixture
def opened(standin: Callable[..., Any]) -> Iterator[Open]:
    """Opens a supervised session on the stand-in; in the end every frame must be accounted for."""
    sessions: list[Supervisor] = []

    def start(lanes: int = 1, restarts: int = 5) -> Supervisor:
        frame_bytes = FRAMES[0].nbytes
        factory = standin(NETWORK, CudaOptions(lanes=lanes, frame_bytes=frame_bytes))
        options = SupervisorOptions(
            slots=4, frame_bytes=frame_bytes, answer_deadline_s=2.0, restarts=RestartLimit(restarts, 600.0)
        )
        sessions.append(Supervisor(factory, dataclasses.replace(NETWORK.info(), takes_planes=True), options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()
        assert session.counts.accepted == session.counts.segmented + session.counts.lost_total


def stream(session: Supervisor, count: int, special: dict[int, Any] | None = None) -> list[str]:
    """Give what became of frames, one after the other; a result that is not the frame's own fails the test."""
    fates = []
    for index in range(count):
        frame = (special or {}).get(index, FRAMES[index % len(FRAMES)])
        sequence = session.submit(PackedFrame(frame, "rgb"))
        if sequence is None:
            fates.append("passed")
            time.sleep(0.02)
            continue
        (outcome,) = session.poll(10.0)
        assert outcome.sequence == sequence
        if isinstance(outcome, Segmented):
            np.testing.assert_allclose(outcome.probability, NETWORK.probability(frame), atol=1 / 255 + 1e-7)
            fates.append("segmented")
        else:
            fates.append(outcome.loss)
    return fates


@pytest.mark.parametrize("lanes", [1, 3])
def test_frames_through_shared_memory(opened: Open, lanes: int) -> None:
    session = opened(lanes=lanes)
    session.wait_ready(READY_S)
    assert stream(session, 100) == ["segmented"] * 100
    assert session.counts.passed == session.counts.restarts == 0


def test_a_killed_worker_costs_at_most_one_frame(opened: Open) -> None:
    session = opened()
    session.wait_ready(READY_S)
    assert stream(session, 10) == ["segmented"] * 10
    os.kill(session.worker_pid or 0, signal.SIGKILL)
    fates = stream(session, 5)
    assert fates.count("died") <= 1 and set(fates) <= {"died", "passed", "segmented"}
    session.wait_ready(READY_S)
    assert stream(session, 20) == ["segmented"] * 20
    assert (session.counts.deaths, session.counts.restarts) == (1, 1)


def test_an_illegal_address_ends_the_worker_and_the_next_one_goes_on(opened: Open) -> None:
    session = opened()
    session.wait_ready(READY_S)
    assert stream(session, 3, {2: failing_frame(ILLEGAL_ADDRESS)}) == ["segmented", "segmented", "device"]
    session.wait_ready(READY_S)
    assert stream(session, 20) == ["segmented"] * 20
    assert (session.counts.device_losses, session.counts.restarts, session.counts.deaths) == (1, 1, 0)


def test_a_kernel_that_hangs_is_ended_with_its_worker(opened: Open) -> None:
    session = opened()
    session.wait_ready(READY_S)
    assert stream(session, 2, {1: failing_frame(HANG)}) == ["segmented", "hung"]
    session.wait_ready(READY_S)
    assert stream(session, 20) == ["segmented"] * 20
    assert (session.counts.hangs, session.counts.restarts) == (1, 1)


def test_without_memory_for_a_worker_the_frames_pass(
    opened: Open, device: Any, on_double: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device.traits.integrated:
        pytest.skip("on an integrated GPU this would fill the host's memory")
    if on_double:  # whose memory each process has for itself
        monkeypatch.setenv("CUDADOUBLE_MEM_MB", "0")
    with memory_filled():
        session = opened(restarts=1)
        with pytest.raises(CudaError):
            session.wait_ready(READY_S)
    assert session.state == "down" and session.counts.worker_starts == 2
    assert stream(session, 3) == ["passed"] * 3
    monkeypatch.undo()
    again = opened()
    again.wait_ready(READY_S)
    assert stream(again, 5) == ["segmented"] * 5


def test_nothing_stays_on_the_gpu_when_workers_die(opened: Open, on_double: bool) -> None:
    pycuda = pytest.importorskip("pycuda.driver")
    session = opened()
    session.wait_ready(READY_S)
    before = pycuda.mem_get_info()[0]
    for _ in range(1 if on_double else 3):
        os.kill(session.worker_pid or 0, signal.SIGKILL)
        stream(session, 2)
        session.wait_ready(READY_S)
    assert stream(session, 5) == ["segmented"] * 5
    assert abs(pycuda.mem_get_info()[0] - before) < 64 << 20, "the new worker holds what the dead one held, no more"
