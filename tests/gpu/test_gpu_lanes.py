"""Lanes and their graphs on the GPU, around the stand-in engine of mean_engine.py, held against the CPU path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_memory import memory_filled
from mean_engine import MeanNetwork
from numpy.typing import NDArray

from edgeseg.frames import THRESHOLD, Frame
from edgeseg.runtime.cuda.cuda_engine import CudaOptions
from edgeseg.runtime.cuda.cuda_errors import CudaError, DeviceMemoryError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.specs import Crop

OPTIONS = CudaOptions(frame_bytes=3840 * 2160 * 3)
SIZES = [(1080, 1920), (2160, 3840), (480, 560), (1, 1), (7, 9), (333, 1001), (64, 80)]
GREY_LEVEL = 1 / 255 + 1e-7
"""By one the kernel may differ from OpenCV's resize, which rounds a few pixels otherwise on some processors."""
MOST_DIFFERING = 0.01
Standin = Callable[..., Callable[[], Any]]


def noise(height: int, width: int, seed: int = 0) -> Frame:
    """Smooth blobs with noise, so that masks are neither empty nor full."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 6 // height, np.arange(width) * 8 // width
    grain = rng.integers(0, 40, (height, width, 1), dtype=np.uint8)
    return coarse[rows][:, columns] + grain


def check(result: Any, expected: NDArray[np.float32]) -> None:
    """Probability, mask and area of a lane against the CPU's probability."""
    np.testing.assert_allclose(result.probability, expected, rtol=0, atol=GREY_LEVEL)
    assert (result.probability != expected).mean() <= MOST_DIFFERING
    mask = np.where(result.probability[0] >= np.float32(THRESHOLD), 255, 0)
    np.testing.assert_array_equal(result.mask, mask)
    assert result.area_px == np.count_nonzero(mask)


@pytest.mark.parametrize("colour_order", ["rgb", "bgr"])
def test_frames_of_any_size_give_the_cpu_paths_masks(standin: Standin, colour_order: Any) -> None:
    network = MeanNetwork()
    session = standin(network, OPTIONS)()
    for index, size in enumerate([*SIZES, *reversed(SIZES)]):
        frame = noise(*size, seed=index)
        session.start(
            PackedFrame(frame if colour_order == "rgb" else np.ascontiguousarray(frame[:, :, ::-1]), colour_order)
        )
        check(session.finish(), network.probability(frame))
    session.close()


def test_views_and_the_crop(standin: Standin) -> None:
    network = MeanNetwork(48, 64, Crop(top=37, left=101, height=301, width=211))
    session = standin(network, OPTIONS)()
    frame = noise(480, 560)
    for view in (frame, frame[::-1], frame[:, ::-1]):
        session.start(PackedFrame(view, "rgb"))
        check(session.finish(), network.probability(view))
    session.close()


@pytest.mark.parametrize("lanes", [2, 3, 4])
def test_lanes_keep_each_result_on_its_own_frame(standin: Standin, lanes: int, on_double: bool) -> None:
    network = MeanNetwork()
    session = standin(network, CudaOptions(lanes=lanes))()
    frames = [noise(300 + 7 * index, 400 - 3 * index, index) for index in range(24)]
    expected = [network.probability(frame) for frame in frames]
    repetitions = 1 if on_double else 20
    for index in range(repetitions * len(frames) + lanes):
        if index >= lanes:
            check(session.finish(), expected[(index - lanes) % len(frames)])
        if index < repetitions * len(frames):
            session.start(PackedFrame(frames[index % len(frames)], "rgb"))
    session.close()


def test_pinned_frames_are_read_where_they_lie(standin: Standin) -> None:
    network = MeanNetwork()
    session = standin(network)()
    page_bytes, frame_bytes = 4096, 480 * 560 * 3
    memory = np.zeros(frame_bytes + 2 * page_bytes, np.uint8)
    start = -memory.ctypes.data % page_bytes
    pages = memory[start : start + -(-frame_bytes // page_bytes) * page_bytes]
    assert session.pin(pages)
    frame = pages[:frame_bytes].reshape(480, 560, 3)
    frame[...] = noise(480, 560, 3)
    session._idle[0]._buffers.staging[...] = 77
    session.start(PackedFrame(frame, "rgb"))
    check(session.finish(), network.probability(frame))
    assert (session._idle[0]._buffers.staging == 77).all(), "the frame took the way over the staging memory"
    session.close()


def test_infer_is_the_engine_alone(standin: Standin) -> None:
    network = MeanNetwork()
    session = standin(network)()
    batch = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(session.infer(batch), [network.probability(frame) for frame in batch])
    session.close()


def test_a_full_gpu_refuses_and_works_again(standin: Standin, device: Any) -> None:
    if device.traits.integrated:
        pytest.skip("on an integrated GPU this would fill the host's memory")
    network, frame = MeanNetwork(), noise(480, 560)
    with memory_filled(), pytest.raises(DeviceMemoryError) as raised:
        standin(network, OPTIONS)()
    assert isinstance(raised.value, CudaError)
    session = standin(network, OPTIONS)()
    session.start(PackedFrame(frame, "rgb"))
    check(session.finish(), network.probability(frame))
    session.close()
