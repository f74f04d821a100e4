"""`edgeseg.open_engine` on a GPU: in a process of its own, or in this one for frames that lie on the GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.errors import UsageError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of, segment
from edgeseg.runtime.opener import engine_from_file
from edgeseg.runtime.opener.use import Use

FRAME = np.random.default_rng(6).integers(0, 256, (61, 83, 3), dtype=np.uint8)


def read(output: Any) -> Any:
    """Give what lies on the device, once it is written."""
    import pycuda.driver as cuda

    described = output.__cuda_array_interface__
    cuda.Context.synchronize()
    host = np.empty(described["shape"], described["typestr"])
    cuda.memcpy_dtoh(host, described["data"][0])
    return host


def test_frames_on_the_device_and_on_the_host_give_the_cpus_masks(
    double: Any, build: Callable[..., Path], small_onnx: Path, standin: Callable[..., Any]
) -> None:
    import device_producer

    reference = engine_from_file.open_engine(small_onnx, Use(1))
    with edgeseg.open_engine(build(), in_process=True) as engine:
        produced = device_producer.Produced(FRAME, 3 * FRAME.shape[1])
        for make in (device_producer.Interface, device_producer.Dlpack):
            result = engine.segment_on_device(make(produced))
            expected = probability_of(reference, PackedFrame(FRAME, "rgb"))
            np.testing.assert_array_equal(read(result.probability), expected)
            np.testing.assert_array_equal(read(result.mask), np.where(expected[0] >= 0.5, 255, 0))
        np.testing.assert_array_equal(engine.segment(FRAME), segment(reference, FRAME))
        produced.free()
    assert double.live() == (0, 0)


def test_an_engine_in_another_process_takes_no_frames_of_this_ones_gpu(
    build: Callable[..., Path], small_onnx: Path
) -> None:
    for path in (build(), small_onnx):
        with edgeseg.open_engine(path) as engine, pytest.raises(UsageError, match="in this process"):
            engine.segment_on_device(FRAME)
