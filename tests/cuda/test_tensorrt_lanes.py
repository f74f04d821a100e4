"""Lanes of an engine that is opened through the stand-in for TensorRT (standin_tensorrt.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.cli import run as edgeseg
from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine, open_here, open_in_worker
from edgeseg.runtime.opener.use import Use

OUT_OF_MEMORY = 2
FRAMES = np.random.default_rng(8).integers(0, 256, (7, 30, 40, 3), dtype=np.uint8)
ALLOCATIONS = ("cuMemAlloc", "cuMemHostAlloc", "cuMemHostRegister", "cuMemFree", "cuMemFreeHost")
OBJECTS = ("cuStreamCreate", "cuEventCreate", "cuModuleLoadDataEx", "cuStreamBeginCapture", "cuGraphInstantiate")
WAITS = ("cuStreamSynchronize", "cuCtxSynchronize", "cuMemcpyHtoD", "cuMemcpyDtoH")


def _contexts(library: Path) -> int:
    return sum(" context" in line for line in library.read_text().splitlines())


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_1000_frames_over_three_lanes_allocate_nothing_and_wait_once_each(
    double: Any, build: Callable[..., Path], small_onnx: Path, integrated: int
) -> None:
    double.set("integrated", integrated)
    reference = open_engine(small_onnx, Use(1))
    expected = [probability_of(reference, PackedFrame(frame, "rgb")) for frame in FRAMES]
    session = open_here(build(), SessionLayout(lanes=3, frame_bytes=FRAMES[0].nbytes))
    calls = (*ALLOCATIONS, *OBJECTS, *WAITS, "cuEventSynchronize", "cuGraphLaunch")
    before, live = {call: double.count(call) for call in calls}, double.live()
    under_way: deque[int] = deque()
    for index in [*range(1000), None, None, None]:
        if len(under_way) == 3 or index is None:
            np.testing.assert_array_equal(session.finish().probability, expected[under_way.popleft() % len(FRAMES)])
        if index is not None:
            session.start(PackedFrame(FRAMES[index % len(FRAMES)], "rgb"))
            under_way.append(index)
    spent = {call: double.count(call) - before[call] for call in calls}
    assert spent == dict.fromkeys(calls, 0) | {"cuEventSynchronize": 1000, "cuGraphLaunch": 1000}
    assert double.live() == live
    session.close()
    assert double.live() == (0, 0)


@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc"])
def test_out_of_memory_at_each_allocation_of_two_lanes_leaks_nothing(
    double: Any, build: Callable[..., Path], call: str
) -> None:
    engine, options = build(), CudaOptions(lanes=2, frame_bytes=FRAMES[0].nbytes)
    before = double.count(call)
    open_here(engine, options).close()
    allocations = double.count(call) - before
    assert allocations >= 4
    for number in range(1, allocations + 1):
        double.faults(f"{call}:{number}+={OUT_OF_MEMORY}")
        with pytest.raises(DeviceMemoryError):
            open_here(engine, options)
        assert double.live() == (0, 0), f"after allocation {number}"
    double.faults("")
    open_here(engine, options).close()


def test_edgeseg_run_works_on_two_frames_at_once(
    build: Callable[..., Path], library: Path, numbered_clip: Path, tmp_path: Path
) -> None:
    engine = build()
    library.unlink()
    assert edgeseg(["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "masks")]) == 0
    assert _contexts(library) == 2
    assert len(list((tmp_path / "masks").iterdir())) == 40


def test_a_gpu_with_memory_for_one_lane_alone_runs_one(
    double: Any,
    build: Callable[..., Path],
    library: Path,
    small_onnx: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = build()
    library.unlink()
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "second context")
    session: Any = open_in_worker(engine, SessionLayout(lanes=2), True, FRAMES[0].nbytes)
    assert session.capacity == 1 and "one lane instead of 2" in caplog.text
    session.start(PackedFrame(FRAMES[0], "rgb"))
    np.testing.assert_array_equal(
        session.finish().probability, probability_of(open_engine(small_onnx, Use(1)), PackedFrame(FRAMES[0], "rgb"))
    )
    session.close()
    assert double.live() == (0, 0)
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "context")
    with pytest.raises(DeviceMemoryError, match="activations"):
        open_in_worker(engine, SessionLayout(lanes=2), True, FRAMES[0].nbytes)
    assert double.live() == (0, 0)
