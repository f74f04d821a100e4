from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError, MissingComponentError
from edgeseg.runtime.cuda.cuda_errors import CudaError, DeviceMemoryError, LaunchRefusedError, StickyCudaError
from edgeseg.runtime.engine.inputs import PackedFrame

OUT_OF_MEMORY, LAUNCH_OUT_OF_RESOURCES, LAUNCH_FAILED, ILLEGAL_ADDRESS = 2, 701, 719, 700
OPENING_CALLS = (
    "cuStreamCreate",
    "cuEventCreate",
    "cuModuleLoadDataEx",
    "cuStreamBeginCapture",
    "cuGraphInstantiate",
    "cuLaunchKernel",
    "cuGraphGetRootNodes",
    "cuGraphKernelNodeGetParams",
)
FRAME = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def _counted(double: Any, call: str, work: Callable[[], Any]) -> int:
    before = double.count(call)
    work()
    return int(double.count(call) - before)


def _working(standin: Callable[..., Any], onnx: Path) -> Any:
    """Tell whether a session can be opened and used; its result."""
    session = standin(onnx)
    session.start(PackedFrame(FRAME, "rgb"))
    result = session.finish().probability.copy()
    session.close()
    return result


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc"])
def test_out_of_memory_at_each_allocation_leaks_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str, integrated: int
) -> None:
    double.set("integrated", integrated)
    expected = _working(standin, small_onnx)
    allocations = _counted(double, call, lambda: _working(standin, small_onnx))
    assert allocations >= 4 - integrated
    for number in range(1, allocations + 1):
        double.faults(f"{call}:{number}+={OUT_OF_MEMORY}")  # from there on: pycuda tries a second time
        with pytest.raises(DeviceMemoryError, match="no memory left to allocate"):
            standin(small_onnx)
        assert double.live() == (0, 0), f"after allocation {number}"
    double.faults("")
    np.testing.assert_array_equal(_working(standin, small_onnx), expected)


def test_a_gpu_that_is_too_small_is_an_out_of_memory(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    double.set("mem_mb", 2)
    with pytest.raises(DeviceMemoryError):
        standin(small_onnx)
    assert double.live() == (0, 0)


def test_no_memory_for_the_context_itself_is_an_out_of_memory(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    """No context is current then, which is not a context that was lost."""
    double.faults(f"cuDevicePrimaryCtxRetain:1+={OUT_OF_MEMORY}")
    with pytest.raises(DeviceMemoryError, match="no memory left to open the GPU"):
        standin(small_onnx)
    double.faults("")
    _working(standin, small_onnx)
    assert double.live() == (0, 0)


@pytest.mark.parametrize("call", OPENING_CALLS)
def test_a_refusal_while_opening_leaks_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str
) -> None:
    times = _counted(double, call, lambda: _working(standin, small_onnx))
    assert times
    for number in range(1, times + 1):
        double.faults(f"{call}:{number}={LAUNCH_OUT_OF_RESOURCES}")
        with pytest.raises(CudaError) as raised:
            standin(small_onnx)
        assert not isinstance(raised.value, StickyCudaError)
        assert double.live() == (0, 0), f"after call {number}"
    double.faults("")
    _working(standin, small_onnx)


@pytest.mark.parametrize(
    "call", ["cuGraphLaunch", "cuGraphExecKernelNodeSetParams", "cuMemcpyHtoDAsync", "cuEventRecord"]
)
def test_a_refused_launch_costs_one_frame(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str
) -> None:
    expected = _working(standin, small_onnx)
    session = standin(small_onnx)
    double.faults(f"{call}:2={LAUNCH_OUT_OF_RESOURCES}")
    refused = 0
    for _ in range(4):
        try:
            session.start(PackedFrame(FRAME, "rgb"))
        except CudaError as error:
            assert isinstance(error, LaunchRefusedError) or call == "cuMemcpyHtoDAsync", repr(error)
            refused += 1
            continue
        np.testing.assert_array_equal(session.finish().probability, expected)
    assert refused == 1
    session.close()
    assert double.live() == (0, 0)


@pytest.mark.parametrize("site", ["kernel/edgeseg_preprocess_rgb", "kernel/edgeseg_mask", "copy", "host", "graph"])
def test_a_sticky_error_ends_the_session_and_gives_no_mask(
    double: Any, standin: Callable[..., Any], small_onnx: Path, site: str
) -> None:
    session = standin(small_onnx)
    double.faults(f"{site}:3={LAUNCH_FAILED}")
    results = 0
    with pytest.raises(StickyCudaError, match="for good"):
        for _ in range(4):
            session.start(PackedFrame(FRAME, "rgb"))
            session.finish()
            results += 1
    assert results <= 2
    for call in (
        lambda: session.start(PackedFrame(FRAME, "rgb")),
        lambda: session.infer(np.zeros((1, 16, 16, 3), np.uint8)),
    ):
        with pytest.raises(StickyCudaError):
            call()
    session.close()
    session.close()


def test_an_engine_that_refuses_is_told_from_a_lost_context(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    from standin_engine import StandInEngine

    from edgeseg.runtime.cuda.cuda_engine import CudaEngine
    from edgeseg.runtime.opener.engine_from_file import open_engine
    from edgeseg.runtime.opener.use import Use

    engine = StandInEngine(small_onnx.read_bytes())
    session = CudaEngine(lambda: engine, open_engine(small_onnx, Use(1)).info)
    batch = np.zeros((1, 16, 16, 3), np.uint8)
    expected = session.infer(batch)
    engine.refusing = True
    with pytest.raises(LaunchRefusedError, match="the engine refused to run"):
        session.infer(batch)
    engine.refusing = False
    np.testing.assert_array_equal(session.infer(batch), expected)
    session.close()
    engine.refusing = True
    with pytest.raises(LaunchRefusedError):
        CudaEngine(lambda: engine, session.info)
    assert double.live() == (0, 0)


def test_an_engine_that_cannot_be_captured_says_so(double: Any, standin: Any, small_onnx: Path) -> None:
    from standin_engine import StandInContext, StandInEngine

    from edgeseg.runtime.cuda.cuda_engine import CudaEngine

    class Waiting(StandInContext):
        runs = 0

        def execute_async_v3(self, stream_handle: int) -> bool:
            self.runs += 1
            if self.runs > 1:  # within the capture
                self._driver.cuCtxSynchronize()
            return super().execute_async_v3(stream_handle)

    class WaitingEngine(StandInEngine):
        def create_execution_context(self) -> StandInContext:
            return Waiting(self)

    session = standin(small_onnx)
    session.close()
    with pytest.raises(CudaError):
        CudaEngine(lambda: WaitingEngine(small_onnx.read_bytes()), session.info)
    assert double.live() == (0, 0)
    _working(standin, small_onnx)


def test_an_engine_without_memory_for_a_context_is_an_out_of_memory(
    double: Any, standin: Any, small_onnx: Path
) -> None:
    from standin_engine import StandInEngine

    from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions

    class OneContext(StandInEngine):
        contexts = 1

        def create_execution_context(self) -> Any:
            self.contexts -= 1
            return super().create_execution_context() if self.contexts >= 0 else None

    session = standin(small_onnx)
    session.close()
    with pytest.raises(DeviceMemoryError, match="activations"):
        CudaEngine(lambda: OneContext(small_onnx.read_bytes()), session.info, CudaOptions(lanes=2))
    assert double.live() == (0, 0)


def test_no_gpu_is_a_missing_component(double: Any, standin: Callable[..., Any], small_onnx: Path) -> None:
    double.set("devices", 0)
    with pytest.raises(MissingComponentError, match="no CUDA GPU"):
        standin(small_onnx)


def test_kernels_for_another_gpu_are_a_missing_component(double: Any) -> None:
    from edgeseg.runtime.cuda.driver import CudaDevice
    from edgeseg.runtime.cuda.kernels.compile import compiled_kernels
    from edgeseg.runtime.cuda.launches import Kernels

    image = compiled_kernels((90,))
    with CudaDevice() as device:
        assert device.traits.architecture == 87
        with pytest.raises(MissingComponentError, match="another GPU"):
            Kernels(image, 32, 32)


def test_frames_that_do_not_fit_are_refused_and_the_next_is_not(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    from edgeseg.runtime.cuda.cuda_engine import CudaOptions

    session = standin(small_onnx, CudaOptions(frame_bytes=FRAME.nbytes))
    for shape in ((31, 40, 3), (30, 40), (30, 40, 4)):
        with pytest.raises(BadInputError):
            session.start(PackedFrame(np.zeros(shape, np.uint8), "rgb"))
    with pytest.raises(BadInputError):
        session.infer(np.zeros((1, 16, 17, 3), np.uint8))
    session.start(PackedFrame(FRAME, "rgb"))
    with pytest.raises(EdgesegError, match="every lane"):
        session.start(PackedFrame(FRAME, "rgb"))
    session.finish()
    with pytest.raises(EdgesegError, match="no frame under way"):
        session.finish()
    session.close()


def test_another_thread_is_refused(double: Any, standin: Callable[..., Any], small_onnx: Path) -> None:
    session = standin(small_onnx)
    errors: list[BaseException] = []

    def use() -> None:
        try:
            session.start(PackedFrame(FRAME, "rgb"))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert [type(error) for error in errors] == [EdgesegError]
    session.close()


def test_the_double_sees_a_host_that_follows_a_device_address(double: Any, small_onnx: Path) -> None:
    """So the test with locked pages would fail if the runtime did that."""
    code = (
        "import ctypes, pycuda.driver as drv; drv.init(); c = drv.Device(0).retain_primary_context(); c.push(); "
        "ctypes.string_at(int(drv.mem_alloc(64)), 4)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**_environment(), "CUDADOUBLE_LOCK": "1"}, timeout=60)
    assert done.returncode == -11


def test_the_double_shows_a_result_that_is_read_too_early(
    double: Any, standin: Callable[..., Any], small_onnx: Path
) -> None:
    """So the tests with late operations would fail if the runtime did that."""
    expected = _working(standin, small_onnx)
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


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)
