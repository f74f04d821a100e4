"""Batches through the network alone, on the double with a stand-in engine that takes any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.frames import THRESHOLD
from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError, LaunchRefusedError
from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

PICTURES = np.random.default_rng(4).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def session(double: Any, standin: Callable[..., Any], small_onnx: Path) -> Any:
    opened = standin(small_onnx, CudaOptions(largest_batch=4))
    yield opened
    opened.close()
    assert double.live() == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 11])
def test_a_batch_gives_what_its_pictures_give_alone(session: CudaEngine, small_onnx: Path, count: int) -> None:
    batch = PICTURES[:count]
    alone = np.concatenate([open_engine(small_onnx, Use(1)).infer(picture[np.newaxis]) for picture in batch])
    together = session.infer(batch)
    assert together.shape == (count, 1, 16, 16) and together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_array_equal(together >= THRESHOLD, alone >= THRESHOLD)
    assert 0.02 < np.mean(alone >= THRESHOLD) < 0.98


def test_a_batch_is_one_inference_and_allocates_nothing(session: CudaEngine, double: Any) -> None:
    session.infer(PICTURES[:4])
    launched, allocated = double.count("cuLaunchHostFunc"), double.live()
    session.infer(PICTURES[:4])
    assert double.count("cuLaunchHostFunc") == launched + 1
    session.infer(PICTURES[:11])
    assert double.count("cuLaunchHostFunc") == launched + 1 + 3
    assert double.live() == allocated


def test_sizes_follow_each_other_and_results_are_the_callers_own(session: CudaEngine) -> None:
    first = session.infer(PICTURES[:4])
    kept = first.copy()
    session.infer(PICTURES[6:8])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(session.infer(PICTURES[:4]), kept, atol=1e-6)


def test_batches_and_frames_on_lanes_do_not_touch_each_other(session: CudaEngine) -> None:
    expected = session.infer(PICTURES[:3])
    session.start(NetworkInput(PICTURES[0]))
    np.testing.assert_array_equal(session.infer(PICTURES[:3]), expected)
    np.testing.assert_allclose(session.finish().probability, expected[0], atol=1e-6)


def test_pictures_that_do_not_lie_in_one_piece(session: CudaEngine) -> None:
    turned = PICTURES[:4, :, ::-1]
    np.testing.assert_array_equal(session.infer(turned), session.infer(np.ascontiguousarray(turned)))


def test_a_batch_of_another_size_is_refused(session: CudaEngine) -> None:
    with pytest.raises(BadInputError):
        session.infer(np.zeros((2, 8, 8, 3), np.uint8))


def test_without_the_option_nothing_is_set_aside(double: Any, standin: Callable[..., Any], small_onnx: Path) -> None:
    held = []
    for largest in (1, 2):
        opened = standin(small_onnx, CudaOptions(largest_batch=largest))
        held.append(double.live()[0])
        assert opened.largest_batch == largest
        opened.close()
    assert held[1] - held[0] == 4, "input and output, on the device and pinned"


@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc"])
def test_no_memory_at_any_allocation_leaves_nothing(
    double: Any, standin: Callable[..., Any], small_onnx: Path, call: str
) -> None:
    options = CudaOptions(largest_batch=4)
    before = double.count(call)
    standin(small_onnx, options).close()
    for number in range(1, double.count(call) - before + 1):
        double.faults(f"{call}:{number}+=2")  # from there on: pycuda tries a second time
        with pytest.raises(DeviceMemoryError):
            standin(small_onnx, options)
        assert double.live() == (0, 0), f"after allocation {number}"


def test_a_refused_batch_costs_no_other(session: CudaEngine) -> None:
    expected = session.infer(PICTURES[:3])
    engine = session._batches._context._engine  # type: ignore[union-attr]
    engine.refusing = True
    with pytest.raises(LaunchRefusedError):
        session.infer(PICTURES[:3])
    engine.refusing = False
    np.testing.assert_array_equal(session.infer(PICTURES[:3]), expected)


def test_an_engine_that_takes_no_such_batch(
    double: Any, standin: Callable[..., Any], small_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import standin_engine

    taken = standin_engine.StandInContext.set_input_shape

    def up_to_two(context: Any, name: str, shape: tuple[int, ...]) -> bool:
        return shape[0] <= 2 and taken(context, name, shape)

    monkeypatch.setattr(standin_engine.StandInContext, "set_input_shape", up_to_two)
    with pytest.raises(EdgesegError, match="a batch of 4"):
        standin(small_onnx, CudaOptions(largest_batch=4))
    assert double.live() == (0, 0)
