from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.engine.inputs import PackedFrame

ALLOCATIONS = (
    "cuMemAlloc",
    "cuMemAllocPitch",
    "cuMemAllocManaged",
    "cuMemHostAlloc",
    "cuMemHostRegister",
    "cuMemFree",
    "cuMemFreeHost",
    "cuStreamCreate",
    "cuEventCreate",
    "cuModuleLoadDataEx",
    "cuStreamBeginCapture",
    "cuGraphInstantiate",
)
WAITS = ("cuStreamSynchronize", "cuCtxSynchronize", "cuMemcpyHtoD", "cuMemcpyDtoH")
FRAMES = 1000


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_1000_frames_allocate_nothing_and_wait_for_one_event_each(
    double: Any, standin: Callable[..., Any], small_onnx: Path, integrated: int
) -> None:
    double.set("integrated", integrated)
    session = standin(small_onnx)
    frames = np.random.default_rng(0).integers(0, 256, (10, 30, 40, 3), dtype=np.uint8)
    first = [_result(session, frame) for frame in frames]
    calls = (*ALLOCATIONS, *WAITS, "cuEventSynchronize", "cuGraphLaunch", "cuLaunchKernel", "cuMemcpyHtoDAsync")
    before = {call: double.count(call) for call in calls}
    live = double.live()
    for index in range(FRAMES):
        np.testing.assert_array_equal(_result(session, frames[index % 10]), first[index % 10])
    spent = {call: double.count(call) - before[call] for call in calls}
    expected = dict.fromkeys(calls, 0) | {"cuEventSynchronize": FRAMES, "cuGraphLaunch": FRAMES}
    expected["cuMemcpyHtoDAsync"] = 0 if integrated else FRAMES
    assert spent == expected
    assert double.live() == live
    session.close()
    assert double.live() == (0, 0)


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
def test_frames_in_pinned_memory_are_read_where_they_lie(
    double: Any, standin: Callable[..., Any], small_onnx: Path, integrated: int
) -> None:
    double.set("integrated", integrated)
    session = standin(small_onnx)
    memory = np.zeros(3 * 4096, np.uint8)
    start = -memory.ctypes.data % 4096
    page = memory[start : start + 4096]
    assert session.pin(page)
    frame = page[: 30 * 40 * 3].reshape(30, 40, 3)
    frame[...] = np.random.default_rng(1).integers(0, 256, frame.shape, dtype=np.uint8)
    expected = _result(session, frame.copy())
    lane = session._idle[0]
    lane._buffers.staging[...] = 77
    np.testing.assert_array_equal(_result(session, frame), expected)
    assert (lane._buffers.staging == 77).all(), "the frame took the way over the staging memory"
    session.close()
    assert double.live() == (0, 0)


def test_memory_that_cannot_be_pinned_is_copied_instead(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    session = standin(small_onnx)
    double.faults("cuMemHostRegister:1=801")
    page = np.zeros(4096 * 2, np.uint8)
    assert not session.pin(page)
    frame = page[: 30 * 40 * 3].reshape(30, 40, 3)
    np.testing.assert_array_equal(_result(session, frame), _result(session, frame.copy()))
    session.close()


def _result(session: Any, frame: Any) -> Any:
    session.start(PackedFrame(frame, "rgb"))
    return session.finish().probability.copy()
