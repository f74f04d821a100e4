"""Frame after frame on the GPU nothing is allocated: device memory and the process's memory stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mean_engine import MeanNetwork

from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.engine.inputs import PackedFrame

FRAMES = 100_000
FRAMES_ON_DOUBLE = 2_000
DEVICE_GROWTH_BYTES = 2 << 20
"""The driver hands out device memory in pieces of this size: 21 bytes a frame would show."""
RSS_GROWTH_BYTES = 4 << 20
"""The growth of the process that is tolerated: 42 bytes a frame would show."""


def resident_bytes() -> int:
    """Read the resident memory of this process (proc(5), statm)."""
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("lanes", [1, 3])
def test_memory_is_flat_over_100000_frames(
    standin: Callable[..., Any], device: Any, lanes: int, on_double: bool
) -> None:
    pycuda = pytest.importorskip("pycuda.driver")
    network = MeanNetwork(32, 32)
    frames = np.random.default_rng(0).integers(0, 256, (8, 30, 40, 3), dtype=np.uint8)
    session = standin(network, CudaOptions(lanes=lanes, frame_bytes=frames[0].nbytes))()
    count = FRAMES_ON_DOUBLE if on_double else FRAMES
    free, resident = [], []
    for index in range(count):
        if index >= lanes:
            session.finish()
        session.start(PackedFrame(frames[index % len(frames)], "rgb"))
        if index % (count // 20) == 0:
            free.append(pycuda.mem_get_info()[0])
            resident.append(resident_bytes())
    for _ in range(lanes):
        result = session.finish()
    np.testing.assert_allclose(result.probability, network.probability(frames[(count - 1) % 8]), atol=1 / 255 + 1e-7)
    session.close()
    assert max(free[2:]) - min(free[2:]) < DEVICE_GROWTH_BYTES, f"free device memory changed: {free}"
    assert max(resident[2:]) - resident[2] < RSS_GROWTH_BYTES, f"resident memory grew: {resident}"


def test_sessions_opened_and_closed_leave_nothing(standin: Callable[..., Any], device: Any, on_double: bool) -> None:
    pycuda = pytest.importorskip("pycuda.driver")
    free = []
    for _ in range(3 if on_double else 12):
        session = standin(MeanNetwork(), CudaOptions(lanes=3))()
        session.start(PackedFrame(np.zeros((40, 50, 3), np.uint8), "rgb"))
        session.finish()
        session.close()
        free.append(pycuda.mem_get_info()[0])
    assert free[-1] >= free[1] - (1 << 20), f"free device memory fell: {free}"
