from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeseg.artifacts import LatencyReport
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.engine.session import mask_at_frame, preprocess
from edgeseg.runtime.file.outputs import Outputs
from edgeseg.runtime.file.pipeline import QUEUED_FRAMES, run_stream
from edgeseg.runtime.video.channel import Channel
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.video.video_files import open_source
from edgeseg.specs import Crop
from tests.runtime.file.doubles import BrightSession, CountingSource, RecordingSink, fail_at, run_files

MILLISECOND = Fraction(1, 1000)


@pytest.fixture(autouse=True)
def _all_threads_end() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgeseg-stream")]


@pytest.mark.parametrize("threaded", [True, False])
def test_each_mask_is_its_own_frames(numbered_clip: Path, numbered: Any, threaded: bool) -> None:
    session, sink = BrightSession(), RecordingSink()
    with open_source(numbered_clip) as source:
        result = run_stream(engine_of(session), source, Sinks(masks=(sink,)), threaded=threaded)
    assert [numbered.read(mask) for _, mask in sink.kept] == list(range(40))
    assert [numbered.read(frame.image) for frame, _ in sink.kept] == list(range(40))
    assert (result.frames, session.count) == (40, 40)
    assert result.frames_with_mask == 39  # the frame with number 0 is black
    latency = result.latency
    assert (latency.frames, latency.inferences, latency.drops, latency.deadline_misses) == (40, 40, 0, 0)
    assert latency.draw is None and latency.decode is not None and latency.encode is not None
    parts = [latency.decode, latency.pre, latency.infer, latency.post]
    assert latency.end_to_end.mean_ms >= sum(part.mean_ms for part in parts if part is not None)
    assert LatencyReport.from_json(latency.to_json()) == latency


def test_the_mask_is_the_one_that_segment_gives(numbered: Any) -> None:
    """The pipeline works in BGR and in stages, verify in RGB at once."""
    rgb: Frame = np.random.default_rng(3).integers(0, 255, (97, 131, 3)).astype(np.uint8)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    for crop in (None, Crop(top=10, left=20, height=60, width=70)):
        session = BrightSession(crop=crop)
        small = preprocess(session.info, PackedFrame(bgr, "bgr"))
        assert np.array_equal(small, preprocess(session.info, PackedFrame(rgb, "rgb")))
        staged = mask_at_frame(session.info, session.infer(small)[0], 97, 131)
        assert np.array_equal(staged, segment(engine_of(session), rgb))
    assert not staged[:10].any() and not staged[:, 90:].any() and staged.any()


def test_a_crop_outside_the_frame_is_refused() -> None:
    session = BrightSession(crop=Crop(top=0, left=0, height=100, width=10))
    with pytest.raises(BadInputError, match="inside the frame"):
        segment(engine_of(session), np.zeros((99, 20, 3), np.uint8))


@pytest.mark.parametrize("start", [0, 1007])
def test_the_clip_keeps_count_order_and_variable_times(tmp_path: Path, numbered: Any, videos: Any, start: int) -> None:
    pts = [start + 13 * i + (i % 5) * (i % 3) for i in range(60)]
    images = [numbered.draw(i, 96, 256) for i in range(60)]
    source = videos.write(tmp_path / "vfr.mkv", images, pts, MILLISECOND, {"bf": "2"})
    result = run_files(source, Outputs(tmp_path / "clip.mp4", tmp_path / "masks"))
    clip = videos.read(tmp_path / "clip.mp4")
    assert result.frames == 60
    assert clip.seconds == [(p - start) * MILLISECOND for p in pts]
    assert [numbered.read(image[:40]) for image in clip.images] == list(range(60))
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == [f"frame_{i:06d}.png" for i in range(60)]
    masks = [cv2.imread(str(tmp_path / "masks" / name), cv2.IMREAD_UNCHANGED) for name in names]
    assert [numbered.read(mask) for mask in masks] == list(range(60))
    assert {mask.shape for mask in masks} == {(96, 256)}
    assert set(np.unique(np.stack(masks))) == {0, 255}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(16, 50), width=st.integers(16, 50))
def test_any_size_gives_masks_of_that_size_and_an_even_clip(
    tmp_path_factory: pytest.TempPathFactory, videos: Any, height: int, width: int
) -> None:
    folder = tmp_path_factory.mktemp("size")
    images = [np.full((height, width, 3), value, np.uint8) for value in (20, 230)]
    source = videos.write(folder / "source.mkv", images)
    run_files(source, Outputs(folder / "clip.mp4", folder / "masks"))
    mask = cv2.imread(str(folder / "masks" / "frame_000001.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (height, width) and (mask == 255).all()
    clip = videos.read(folder / "clip.mp4").images
    assert [image.shape for image in clip] == [(height + height % 2, width + width % 2, 3)] * 2


def test_colours_and_pixel_shape_pass_through(tmp_path: Path, videos: Any) -> None:
    image = np.full((96, 128, 3), (200, 60, 40), np.uint8)

    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(12, 11)

    source = videos.write(tmp_path / "a.mp4", [image] * 3, prepare=prepare)
    run_files(source, Outputs(tmp_path / "clip.mp4"), BrightSession())
    shown = videos.read(tmp_path / "clip.mp4").images[1][20, 100].astype(int)
    assert np.abs(shown - (200, 60, 40)).max() <= 6
    with open_source(tmp_path / "clip.mp4") as clip:
        assert clip.timing.sample_aspect_ratio == Fraction(12, 11)


COLOURS = [(1, 1, 1, 1), (6, 2, 6, 6), (9, 1, 9, 14), (2, 2, 2, 2), (2, 0, 2, 2)]


@pytest.mark.parametrize(("matrix", "colour_range", "primaries", "transfer"), COLOURS)
def test_the_clip_keeps_samples_matrix_and_range(
    tmp_path: Path, videos: Any, matrix: int, colour_range: int, primaries: int, transfer: int
) -> None:
    def describe(stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, colour_range
        context.color_primaries, context.color_trc = primaries, transfer

    image = np.full((96, 128, 3), (200, 60, 40), np.uint8)
    source = videos.write(tmp_path / "a.mp4", [image] * 3, options={"preset": "ultrafast", "qp": "1"}, prepare=describe)
    run_files(source, Outputs(tmp_path / "clip.mp4", record=tmp_path / "raw.mp4"))

    def first(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
            return tuple(int(tag) for tag in tags), frame.to_ndarray().astype(int)

    tags, samples = first(source)
    for name in ("clip.mp4", "raw.mp4"):
        kept_tags, kept = first(tmp_path / name)
        assert kept_tags == tags
        assert np.abs(kept - samples)[:20].max() <= 2  # above the caption


def test_raw_and_overlay_are_written_at_once(numbered_clip: Path, tmp_path: Path, numbered: Any, videos: Any) -> None:
    run_files(numbered_clip, Outputs(tmp_path / "clip.mp4", record=tmp_path / "raw.mp4"))
    source, raw, shown = (videos.read(path) for path in (numbered_clip, tmp_path / "raw.mp4", tmp_path / "clip.mp4"))
    assert raw.seconds == shown.seconds == source.seconds
    assert [numbered.read(image) for image in raw.images] == list(range(40))
    assert np.abs(raw.images[21].astype(int) - source.images[21]).mean() < 2
    assert np.abs(shown.images[21].astype(int) - source.images[21]).mean() > 5


def test_no_overlay_gives_the_picture_as_it_came(numbered_clip: Path, tmp_path: Path) -> None:
    sink = PictureSinkDouble()
    with open_source(numbered_clip) as source:
        run_stream(engine_of(BrightSession()), source, Sinks(pictures=(sink,)), overlay="off")
    assert len(sink.kept) == 40
    assert all(picture is frame.picture for frame, picture in sink.kept)


def test_a_heat_map_lies_inside_the_crop(tmp_path: Path, videos: Any) -> None:
    source = videos.write(tmp_path / "a.mp4", [np.full((240, 320, 3), 200, np.uint8)] * 2)
    sink = PictureSinkDouble()
    crop = Crop(top=20, left=40, height=100, width=160)
    with open_source(source) as frames:
        run_stream(engine_of(BrightSession(crop=crop)), frames, Sinks(pictures=(sink,)), overlay="heat")
    frame, picture = sink.kept[1]
    changed = np.abs(picture.bgr.astype(int) - frame.picture.bgr).max(axis=2) > 8
    assert changed[24:116, 44:196].all()
    assert not changed[:14].any() and not changed[:180, 206:].any() and not changed[128:180].any()


class PictureSinkDouble:
    """Keeps the pictures that it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[SourceFrame, Picture]] = []

    def write(self, frame: SourceFrame, picture: Picture) -> None:
        self.kept.append((frame, picture))


def test_images_of_mixed_sizes_give_masks_and_pictures_but_no_clip(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, shape in {"one": (40, 60, 3), "two": (33, 21, 3)}.items():
        cv2.imwrite(str(images / f"{name}.png"), np.full(shape, 250, np.uint8))
    run_files(images, Outputs(tmp_path / "shown", tmp_path / "masks"))
    for name, shape in {"one": (40, 60), "two": (33, 21)}.items():
        mask = cv2.imread(str(tmp_path / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == shape
        assert cv2.imread(str(tmp_path / "shown" / f"{name}.jpg")).shape[:2] == shape
    with pytest.raises(BadInputError, match="another size"):
        run_files(images, Outputs(tmp_path / "clip.mp4", tmp_path / "more"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "masks", "shown"]


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [0, 7, 39])
def test_a_session_that_fails_leaves_nothing_behind(
    numbered_clip: Path, tmp_path: Path, at: int, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        run_files(
            numbered_clip,
            Outputs(tmp_path / "clip.mp4", tmp_path / "masks"),
            BrightSession(before=fail_at(at, error)),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["numbered.mp4"]


@pytest.mark.parametrize("at", [0, 7, 39])
def test_a_sink_that_fails_stops_everything(numbered_clip: Path, tmp_path: Path, at: int) -> None:
    failing = RecordingSink(fail_at(at, OSError("no room")))
    session = BrightSession()
    with (
        pytest.raises(OSError, match="no room"),
        open_source(numbered_clip) as source,
        Outputs(tmp_path / "clip.mp4").open(source.timing) as sinks,
    ):
        run_stream(engine_of(session), source, Sinks(sinks.pictures, (failing,)))
    assert session.count <= at + QUEUED_FRAMES + 2
    assert [path.name for path in tmp_path.iterdir()] == ["numbered.mp4"]


def test_a_source_that_breaks_off_leaves_nothing_behind(numbered_clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    data = numbered_clip.read_bytes()
    cut.write_bytes(data[: int(len(data) * 0.8)])
    with pytest.raises(BadInputError, match="breaks off"):
        run_files(cut, Outputs(tmp_path / "clip.mp4", tmp_path / "masks"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.mp4", "numbered.mp4"]
    with open_source(cut) as source:
        assert run_stream(engine_of(BrightSession()), source, Sinks(), max_frames=5).frames == 5


def test_a_slow_sink_holds_the_source_back() -> None:
    source, lead = CountingSource(), []

    def wait(index: int) -> None:
        time.sleep(0.01)
        lead.append(source.given - index)

    result = run_stream(engine_of(BrightSession()), source, Sinks(masks=(RecordingSink(wait),)), max_frames=30)
    assert result.frames == 30
    assert source.given == 30
    assert max(lead) <= 2 * QUEUED_FRAMES + 4  # the queues, and one in each pair of hands


def test_progress_sees_every_frame(numbered_clip: Path) -> None:
    seen: list[tuple[int | None, int]] = []

    def track(items: Any, description: str, total: int | None = None) -> Any:
        for count, item in enumerate(items, 1):
            seen.append((total, count))
            yield item

    with open_source(numbered_clip) as source:
        run_stream(engine_of(BrightSession()), source, Sinks(), max_frames=9, track=track)
    assert seen == [(9, count) for count in range(1, 10)]


def test_a_channel_delivers_what_waits_when_closed_and_drops_it_when_aborted() -> None:
    closed: Channel[int] = Channel(3)
    assert all(closed.put(item) for item in (1, 2, 3))
    closed.close()
    assert list(closed) == [1, 2, 3]
    assert not closed.put(4)
    aborted: Channel[int] = Channel(3)
    aborted.put(1)
    aborted.abort()
    assert list(aborted) == []


def test_aborting_wakes_a_sender_that_waits() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    accepted: list[bool] = []
    sender = threading.Thread(target=lambda: accepted.append(channel.put(2)))
    sender.start()
    time.sleep(0.02)
    channel.abort()
    sender.join(timeout=5)
    assert accepted == [False]
