from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError, MissingComponentError
from edgeseg.runtime.cuda.cuda_errors import CudaError, DeviceMemoryError, LaunchRefusedError, StickyCudaError
from edgeseg.runtime.engine.inputs import PackedFrame
from tests.cuda.working import FRAME, working

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


def _counted(double: Any, call: str, work: Callable[[], Any]) -> int:
    before = double.count(call)
    work()
    return int(double.count(call) - before)


@pytest.mark.parametrize("integrated", [0, 1], ids=["discrete", "integrated"])
@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc"])
def test_out_of_memory_at_each_allocation_leaks_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str, integrated: int
) -> None:
    double.set("integrated", integrated)
    expected = working(standin, small_onnx)
    allocations = _counted(double, call, lambda: working(standin, small_onnx))
    assert allocations >= 4 - integrated
    for number in range(1, allocations + 1):
        double.faults(f"{call}:{number}+={OUT_OF_MEMORY}")  # from there on: pycuda tries a second time
        with pytest.raises(DeviceMemoryError, match="no memory left to allocate"):
            standin(small_onnx)
        assert double.live() == (0, 0), f"after allocation {number}"
    double.faults("")
    np.testing.assert_array_equal(working(standin, small_onnx), expected)


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
    working(standin, small_onnx)
    assert double.live() == (0, 0)


@pytest.mark.parametrize("call", OPENING_CALLS)
def test_a_refusal_while_opening_leaks_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str
) -> None:
    times = _counted(double, call, lambda: working(standin, small_onnx))
    assert times
    for number in range(1, times + 1):
        double.faults(f"{call}:{number}={LAUNCH_OUT_OF_RESOURCES}")
        with pytest.raises(CudaError) as raised:
            standin(small_onnx)
        assert not isinstance(raised.value, StickyCudaError)
        assert double.live() == (0, 0), f"after call {number}"
    double.faults("")
    working(standin, small_onnx)


@pytest.mark.parametrize(
    "call", ["cuGraphLaunch", "cuGraphExecKernelNodeSetParams", "cuMemcpyHtoDAsync", "cuEventRecord"]
)
def test_a_refused_launch_costs_one_frame(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str
) -> None:
    expected = working(standin, small_onnx)
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
    working(standin, small_onnx)


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
