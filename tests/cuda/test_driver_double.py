from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.engine.inputs import PackedFrame
from tests.cuda.working import FRAME, working


def test_the_double_sees_a_host_that_follows_a_device_address(double: Any, small_onnx: Path) -> None:
    """So the test with locked pages would fail if the runtime did that."""
    code = (
        "import ctypes, pycuda.driver as drv; drv.init(); c = drv.Device(0).retain_primary_context(); c.push(); "
        "ctypes.string_at(int(drv.mem_alloc(64)), 4)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "CUDADOUBLE_LOCK": "1"}, timeout=60)
    assert done.returncode == -11


def test_the_double_shows_a_result_that_is_read_too_early(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    """So the tests with late operations would fail if the runtime did that."""
    expected = working(standin, small_onnx)
    session = standin(small_onnx)
    double.set("delay_us", 20000)
    session.start(PackedFrame(FRAME, "rgb"))
    early = session._under_way[0]._buffers.host_probability.copy()
    assert not np.array_equal(early, expected)
    np.testing.assert_array_equal(session.finish().probability, expected)
    session.close()


def test_the_double_waits_for_the_record_that_was_there(double: Any, standin: Any, small_onnx: Path) -> None:
    """An event that is recorded anew on a stream that has nothing to do releases nobody who waits for the one before.

    So a lane may order its stream behind two arrays with one event.
    """
    import cuda.bindings.driver as driver
    import pycuda.driver as pycuda

    session = standin(small_onnx)
    slow, idle, reader = (pycuda.Stream(1) for _ in range(3))
    memory, found = pycuda.mem_alloc(16), pycuda.pagelocked_empty(16, np.uint8)
    _, event = driver.cuEventCreate(driver.CUevent_flags.CU_EVENT_DISABLE_TIMING)
    double.set("delay_us", 5000)
    for value in range(8):
        pycuda.memset_d8_async(memory, value, 16, slow)
    for stream in (slow, idle):
        driver.cuEventRecord(event, driver.CUstream(stream.handle))
        driver.cuStreamWaitEvent(driver.CUstream(reader.handle), event, 0)
    pycuda.memcpy_dtoh_async(found, memory, reader)
    reader.synchronize()
    assert (found == 7).all()
    driver.cuEventDestroy(event)
    memory.free()
    found.base.free()
    del slow, idle, reader, stream
    session.close()
    assert double.live() == (0, 0)
