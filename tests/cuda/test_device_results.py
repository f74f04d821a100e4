"""Results that stay on the device, read as another library would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.session import Session, mask_at_frame
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

RGB = cv2.resize(np.random.default_rng(6).integers(0, 256, (5, 6, 3), dtype=np.uint8), (83, 61))


@pytest.fixture
def reference(small_onnx: Path) -> Session:
    return open_engine(small_onnx, Use(1))


def _read(output: Any) -> Any:
    """As another library would: on a stream of its own that waits for the one named."""
    import cuda.bindings.driver as driver
    import pycuda.driver as pycuda

    description = output.__cuda_array_interface__
    assert description["version"] == 3 and description["strides"] is None and description["stream"] > 2
    reader = pycuda.Stream(1)
    _, event = driver.cuEventCreate(0)
    driver.cuEventRecord(event, driver.CUstream(description["stream"]))
    driver.cuStreamWaitEvent(driver.CUstream(reader.handle), event, 0)
    host = np.empty(description["shape"], np.dtype(description["typestr"]))
    pycuda.memcpy_dtoh_async(host, description["data"][0], reader)
    reader.synchronize()
    driver.cuEventDestroy(event)
    return host


@pytest.mark.parametrize("results", ["host", "device"])
def test_results_may_be_left_on_the_device(
    double: Any, standin: Callable[..., Any], small_onnx: Path, reference: Session, results: Any
) -> None:
    double.set("delay_us", 3000)
    session = standin(small_onnx, CudaOptions(results=results))
    frames = [RGB, np.ascontiguousarray(RGB[::-1]), np.ascontiguousarray(RGB[:, ::-1])]
    copies = double.count("cuMemcpyDtoHAsync")
    for frame in frames:
        session.start(
            PackedFrame(frame, "rgb")
        )  # over the staging memory, which the frame before may still be copied from
        result = session.finish_device()
        expected = probability_of(reference, PackedFrame(frame, "rgb"))
        np.testing.assert_array_equal(_read(result.probability), expected)
        mask = _read(result.mask)
        np.testing.assert_array_equal(mask, mask_at_frame(reference.info, expected, 16, 16))
        assert _read(result.area_px).tolist() == [np.count_nonzero(mask)]
    assert double.count("cuMemcpyDtoHAsync") - copies == 3 * len(frames), "copies but the reader's own"
    if results == "device":
        session.start(PackedFrame(RGB, "rgb"))
        with pytest.raises(EdgesegError, match="finish_device"):
            session.finish()
    session.close()
    assert double.live() == (0, 0)


def test_a_result_left_on_the_device_is_not_overtaken_by_the_next_frame(
    double: Any, standin: Callable[..., Any], small_onnx: Path, reference: Session
) -> None:
    session = standin(small_onnx, CudaOptions(results="device"))
    double.set("delay_us", 20000)
    other = np.ascontiguousarray(RGB[::-1])
    for frame in (RGB, other):
        session.start(PackedFrame(frame, "rgb"))
        result = session.finish_device()
    np.testing.assert_array_equal(_read(result.probability), probability_of(reference, PackedFrame(other, "rgb")))
    session.close()
