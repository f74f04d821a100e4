"""The frames that are measured, and one frame's way through an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.dataset import Pair
from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.machine.bench.bench_frames import PAGE_BYTES, frames_of, synthetic_frames
from edgeseg.proof.timing.clock import MonotonicClock
from edgeseg.proof.timing.frame_times import time_frame
from edgeseg.proof.timing.image_times import measure_latency
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use


class RecordingGpu:
    """An engine on a GPU that takes planes; notes what it was given."""

    capacity, restarts, device_name = 1, 0, "made-up GPU"

    def __init__(self, info: SessionInfo, stages_ns: dict[str, int] | None) -> None:
        self.info, self._stages_ns = info, stages_ns
        self.given: list[EngineInput] = []

    def wait_ready(self, timeout_s: float) -> None: ...

    def pin(self, memory: Any) -> bool:
        return True

    def submit(self, frame: EngineInput) -> int:
        self.given.append(frame)
        return len(self.given)

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        model = self.info.model
        probability = np.zeros((model.channels, model.height, model.width), np.float32)
        return [Segmented(len(self.given), probability, 1.0, stages_ns=self._stages_ns)]

    def close(self) -> None: ...


@pytest.fixture
def engine(tiny_onnx: Path) -> Engine:
    return open_engine(tiny_onnx, Use(1))


def on_gpu(info: SessionInfo, stages_ns: dict[str, int] | None = None, takes_planes: bool = True) -> RecordingGpu:
    info = SessionInfo(info.model, info.preprocess, "made-up", info.precision, info.sha256, takes_planes)
    return RecordingGpu(info, stages_ns)


def test_the_stages_of_a_cpu_are_parts_of_the_whole(engine: Engine) -> None:
    times = time_frame(engine, synthetic_frames(60, 80).pictures[0], MonotonicClock())
    assert list(times.stages_ns) == ["pre", "infer", "post"]
    assert 0 < sum(times.stages_ns.values()) <= times.total_ns


def test_a_planes_engine_is_given_the_planes_that_run_gives_it(engine: Engine) -> None:
    gpu, picture = on_gpu(engine.info), synthetic_frames(60, 80).pictures[0]
    times = time_frame(gpu, picture, MonotonicClock())
    assert times.total_ns > 0 and not times.stages_ns
    (given,) = gpu.given
    assert isinstance(given, PlanarFrame) and given is picture.planar_frame
    time_frame(gpu, synthetic_frames(60, 80, planar=False).pictures[0], MonotonicClock())
    assert isinstance(gpu.given[1], NetworkInput), "a BGR picture is made the network's input on the host"


def test_a_gpus_own_times_are_completed_by_the_hosts(engine: Engine) -> None:
    gpu = on_gpu(engine.info, {"pre": 5, "infer": 7, "post": 1})
    times = time_frame(gpu, synthetic_frames(60, 80).pictures[0], MonotonicClock())
    assert list(times.stages_ns) == ["pre", "infer", "post", "launch", "scale"]
    assert (times.stages_ns["infer"], sum(times.stages_ns.values())) == (7, times.total_ns)


def test_frames_of_a_video(numbered_clip: Path, numbered: Any) -> None:
    frames = frames_of(numbered_clip)
    assert (len(frames.pictures), frames.height, frames.width, frames.rate) == (40, 64, 128, 25)
    assert [numbered.read(picture.bgr) for picture in frames.pictures[:3]] == [0, 1, 2]
    assert frames.block.ctypes.data % PAGE_BYTES == 0 and frames.block.nbytes % PAGE_BYTES == 0
    assert all(picture.i420 is not None and np.shares_memory(frames.block, picture.i420) for picture in frames.pictures)
    endless = frames.endless()
    assert [numbered.read(next(endless).bgr) for _ in range(45)] == [*range(40), *range(5)]


def test_frames_of_different_sizes_are_no_one_figure(small_images: Path) -> None:
    with pytest.raises(BadInputError, match="differ in size"):
        frames_of(small_images)


@pytest.mark.parametrize("planar", [True, False])
def test_synthetic_frames_are_the_same_every_time_and_not_flat(planar: bool) -> None:
    frames, again = (synthetic_frames(48, 70, planar) for _ in range(2))
    first, second = (picture.bgr for picture in frames.pictures[:2])
    assert len(frames.pictures) == 8 and first.shape == (48, 70, 3) and frames.rate is None
    assert all(np.array_equal(one.bgr, other.bgr) for one, other in zip(frames.pictures, again.pictures, strict=True))
    assert first.std() > 20
    assert not np.array_equal(first, second)
    assert frames.frame_bytes == 48 * 70 * 3 // (2 if planar else 1)


def test_verify_times_what_bench_times(engine: Engine, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((61, 81, 3), 90, np.uint8))
    gpu = on_gpu(engine.info, {"pre": 5, "infer": 7, "post": 1})
    report, _ = measure_latency(gpu, [Pair("a", tmp_path / "a.png", tmp_path / "a.png")], samples=1)
    assert all(isinstance(given, PlanarFrame) for given in gpu.given)
    assert report.infer is not None and report.infer.max_ms == 7e-6
