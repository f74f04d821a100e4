from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.frames import mask_from_probability
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of, segment
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.specs import Crop
from tests.cuda.real_clips import SETTINGS, real_frames


@pytest.fixture(scope="module")
def frames() -> list[Any]:
    """100 real frames in BGR, of three sizes, every third one."""
    images = [frame.to_ndarray(format="bgr24") for frame in real_frames()]
    assert len(images) == 100
    return images


@pytest.fixture
def network(frames: list[Any], small_onnx: Path, tmp_path: Path) -> Path:
    from networks import resized_network

    return resized_network(small_onnx, tmp_path / "net" / "net.onnx", 64, 80, frames[0][:, :, ::-1])


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_100_real_frames_give_the_masks_of_the_cpu_path(
    double: Any, standin: Callable[..., Any], frames: list[Any], network: Path, settings: dict[str, int]
) -> None:
    for name, value in settings.items():
        double.set(name, value)
    reference = open_engine(network, Use(1))
    session = standin(network)
    marked = 0
    for frame in frames:
        session.start(PackedFrame(frame, "bgr"))
        result = session.finish()
        probability = probability_of(reference, PackedFrame(np.ascontiguousarray(frame[:, :, ::-1]), "rgb"))
        mask = mask_from_probability(probability, 64, 80)
        np.testing.assert_array_equal(result.probability, probability)
        np.testing.assert_array_equal(result.mask, mask)
        assert result.area_px == np.count_nonzero(mask)
        marked += result.area_px
    assert 0.05 < marked / (100 * 64 * 80) < 0.95, "masks that are all of one kind would prove little"
    session.close()
    assert double.live() == (0, 0)


def test_the_mask_at_the_frames_size_is_segments(
    double: Any, standin: Callable[..., Any], frames: list[Any], network: Path
) -> None:
    reference = open_engine(network, Use(1))
    session = standin(network)
    for frame in frames[::25]:
        session.start(PackedFrame(frame, "bgr"))
        height, width = frame.shape[:2]
        mask = mask_at_frame(session.info, session.finish().probability, height, width)
        np.testing.assert_array_equal(mask, segment(reference, np.ascontiguousarray(frame[:, :, ::-1])))
    session.close()


def test_the_crop_is_what_the_network_sees(
    double: Any, standin: Callable[..., Any], frames: list[Any], small_onnx: Path, tmp_path: Path
) -> None:
    from networks import resized_network

    frame = np.ascontiguousarray(frames[0][:, :, ::-1])
    crop = Crop(top=37, left=101, height=301, width=211)
    path = resized_network(small_onnx, tmp_path / "crop.onnx", 48, 64, frame, crop)
    session = standin(path)
    session.start(PackedFrame(frame, "rgb"))
    np.testing.assert_array_equal(
        session.finish().probability, probability_of(open_engine(path, Use(1)), PackedFrame(frame, "rgb"))
    )
    session.close()


def test_frames_that_are_views_and_of_changing_size_and_colour_order_follow_each_other(
    double: Any, standin: Callable[..., Any], frames: list[Any], network: Path
) -> None:
    double.set("delay_us", 1000)
    double.set("seed", 3)
    reference = open_engine(network, Use(1))
    session = standin(network)
    wide, small = frames[-1], frames[0]
    for frame, colour_order in ((wide[:, ::-1], "bgr"), (small[10:200, 5:205], "rgb"), (small, "bgr"), (wide, "rgb")):
        session.start(PackedFrame(frame, colour_order))
        rgb = np.ascontiguousarray(frame if colour_order == "rgb" else frame[:, :, ::-1])
        np.testing.assert_array_equal(session.finish().probability, probability_of(reference, PackedFrame(rgb, "rgb")))
    session.close()


def test_three_lanes_keep_each_result_on_its_own_frame(
    double: Any, standin: Callable[..., Any], frames: list[Any], network: Path
) -> None:
    from edgeseg.runtime.cuda.cuda_engine import CudaOptions

    double.set("delay_us", 5000)
    double.set("seed", 11)
    reference = open_engine(network, Use(1))
    session = standin(network, CudaOptions(lanes=3))
    expected = [
        probability_of(reference, PackedFrame(np.ascontiguousarray(frame[:, :, ::-1]), "rgb"))
        for frame in frames[:60:3]
    ]
    results = []
    for index, frame in enumerate(frames[:60:3]):
        if index >= 3:
            results.append(session.finish().probability.copy())
        session.start(PackedFrame(frame, "bgr"))
    results += [session.finish().probability.copy() for _ in range(3)]
    np.testing.assert_array_equal(results, expected)
    session.close()


def test_infer_is_onnxruntimes_inference(double: Any, standin: Callable[..., Any], network: Path, frames: Any) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), dtype=np.uint8)
    session = standin(network)
    expected = np.concatenate([open_engine(network, Use(1)).infer(frame[np.newaxis]) for frame in batch])
    np.testing.assert_array_equal(session.infer(batch), expected)
    session.close()
