from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, UsageError
from edgeseg.machine.bench.frames import PAGE_BYTES, frames_of, parse_size, synthetic_frames
from edgeseg.machine.bench.targets import LaneTarget, SessionTarget, target_of
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.opener.loading import open_onnx


class RecordingSession:
    """As a Session; notes on which threads it ran, and refuses to run twice at once."""

    def __init__(self, info: SessionInfo) -> None:
        self.info, self.threads, self.closed = info, set[int](), False
        self._busy = threading.Lock()

    def infer(self, frames: Any) -> Any:
        assert self._busy.acquire(blocking=False), "two threads in one session"
        self.threads.add(threading.get_ident())
        model = self.info.model
        self._busy.release()
        return np.zeros((len(frames), model.channels, model.height, model.width), np.float32)

    def close(self) -> None:
        self.closed = True


class RecordingLanes(RecordingSession):
    """As a CUDA session."""

    def __init__(self, info: SessionInfo, stage_times_ns: dict[str, int] | None = None) -> None:
        super().__init__(info)
        self.orders: list[str] = []
        self.stage_times_ns = stage_times_ns

    def submit(self, frame: Any) -> None:
        self.orders.append(frame.colour_order)

    def result(self) -> Any:
        return np.zeros((1, self.info.model.height, self.info.model.width), np.float32)


@pytest.fixture
def session(tiny_onnx: Path) -> Session:
    return open_onnx(tiny_onnx, threads=1)


def test_the_stages_of_a_session_add_up_to_its_whole(session: Session) -> None:
    target = SessionTarget(lambda: session)
    times = target.run(np.zeros((60, 80, 3), np.uint8))
    assert list(times.stages_ns) == ["pre", "infer", "post"]
    assert sum(times.stages_ns.values()) == times.total_ns
    target.close()


def test_each_lane_has_a_session_of_its_own(session: Session) -> None:
    opened: list[RecordingSession] = []
    target = target_of(lambda: opened.append(RecordingSession(session.info)) or opened[-1], lanes=3, largest_batch=8)
    frame = np.zeros((60, 80, 3), np.uint8)
    for _ in range(3):
        target.submit(frame)
    for _ in range(30):
        target.finish()
        target.submit(frame)
    target.close()
    assert len(opened) == 3
    assert all(one.threads and threading.get_ident() not in one.threads and one.closed for one in opened)


def test_an_inference_that_fails_on_a_lane_is_raised_where_it_is_waited_for(session: Session) -> None:
    target = SessionTarget(lambda: session)
    target.submit(np.zeros((4,), np.uint8))
    with pytest.raises(Exception, match=r"."):
        target.finish()
    target.close()


def test_a_session_with_lanes_keeps_them(session: Session) -> None:
    lanes = RecordingLanes(session.info)
    target = target_of(lambda: lanes, lanes=4, largest_batch=8)
    assert isinstance(target, LaneTarget)
    times = target.run(np.zeros((60, 80, 3), np.uint8))
    assert times.total_ns > 0 and not times.stages_ns
    assert lanes.orders == ["bgr"]
    assert target.batch_refusal(1) is None
    assert "one frame at a time" in str(target.batch_refusal(2))
    target.close()
    assert lanes.closed


def test_a_gpus_own_times_are_completed_by_the_hosts(session: Session) -> None:
    target = LaneTarget(RecordingLanes(session.info, {"pre": 5, "infer": 7, "post": 1}))
    times = target.run(np.zeros((60, 80, 3), np.uint8))
    assert list(times.stages_ns) == ["pre", "infer", "post", "launch", "scale"]
    assert (times.stages_ns["infer"], sum(times.stages_ns.values())) == (7, times.total_ns)


def test_batches_beyond_the_engines_are_refused_with_the_reason(session: Session) -> None:
    target = SessionTarget(lambda: session, largest_batch=4)
    assert target.batch_refusal(4) is None
    assert "at most 4" in str(target.batch_refusal(8))
    target.close()


def test_frames_of_a_video(numbered_clip: Path, numbered: Any) -> None:
    frames = frames_of(numbered_clip)
    assert (len(frames.images), frames.height, frames.width, frames.rate) == (40, 64, 128, 25)
    assert [numbered.read(image) for image in frames.images[:3]] == [0, 1, 2]
    assert frames.block.ctypes.data % PAGE_BYTES == 0 and frames.block.nbytes % PAGE_BYTES == 0
    assert np.shares_memory(frames.block, frames.images)
    endless = frames.endless()
    rounds = [numbered.read(next(endless)) for _ in range(45)]
    assert rounds == [*range(40), *range(5)]


def test_frames_of_different_sizes_are_no_one_figure(small_images: Path) -> None:
    with pytest.raises(BadInputError, match="differ in size"):
        frames_of(small_images)


def test_synthetic_frames_are_the_same_every_time_and_not_flat() -> None:
    frames, again = synthetic_frames(48, 70), synthetic_frames(48, 70)
    assert frames.images.shape == (8, 48, 70, 3) and frames.rate is None
    assert np.array_equal(frames.images, again.images)
    assert frames.images.std() > 20
    assert not np.array_equal(frames.images[0], frames.images[1])


def test_sizes() -> None:
    assert parse_size("1920x1080") == (1080, 1920)
    for text in ("1920", "0x5", "ax5", "99999x1", "5x-5"):
        with pytest.raises(UsageError):
            parse_size(text)
