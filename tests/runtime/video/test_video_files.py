from __future__ import annotations

import gc
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import BadInputError
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.video.timestamps import Timeline
from edgeseg.runtime.video.video import VideoFile
from edgeseg.runtime.video.video_files import ImageFolder, open_source

MILLISECOND = Fraction(1, 1000)


def frames_of(path: Path) -> list[SourceFrame]:
    with open_source(path) as source:
        return list(source.frames())


@given(st.lists(st.none() | st.integers(-5000, 5000), max_size=40))
def test_timeline_only_grows(stamps: list[int | None]) -> None:
    timeline = Timeline(MILLISECOND, step=40)
    placed = [timeline.place(pts) for pts in stamps]
    assert all(earlier < later for earlier, later in itertools.pairwise(placed))


@given(st.lists(st.integers(-5000, 5000), max_size=40, unique=True).map(sorted))
def test_timeline_counts_good_stamps_from_the_first(stamps: list[int]) -> None:
    timeline = Timeline(MILLISECOND, step=40)
    assert [timeline.place(pts) for pts in stamps] == [pts - stamps[0] for pts in stamps]


@pytest.mark.parametrize(
    ("stamps", "placed"),
    [
        ([None, None, None], [0, 40, 80]),
        ([100, None, 200], [0, 40, 100]),
        ([100, 100, 140], [0, 1, 40]),
        ([5000, 5040, 0, 40, 80], [0, 40, 80, 120, 160]),
    ],
    ids=["none at all", "one missing", "a double", "a splice"],
)
def test_timeline_mends(stamps: list[int | None], placed: list[int]) -> None:
    timeline = Timeline(MILLISECOND, step=40)
    assert [timeline.place(pts) for pts in stamps] == placed


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_every_frame_once_in_order_with_its_time(tmp_path: Path, numbered: Any, videos: Any, suffix: str) -> None:
    pts = [1000 + 17 * i + i * i for i in range(40)]
    images = [numbered.draw(i) for i in range(40)]
    path = videos.write(tmp_path / f"vfr: 1.{suffix}", images, pts, MILLISECOND, {"bf": "2", "g": "12"})
    frames = frames_of(path)
    assert [numbered.read(frame.image) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.pts * frame.time_base for frame in frames] == [(p - pts[0]) * MILLISECOND for p in pts]
    assert frames[39].name == "frame_000039"
    assert not any(frame.damaged for frame in frames)


def test_colours_follow_the_matrix_that_the_file_names(tmp_path: Path, videos: Any) -> None:
    red = np.full((32, 32, 3), (200, 40, 60), np.uint8)

    def tag(stream: Any) -> None:  # the encoder gets BT.601 samples under the name of BT.709
        stream.codec_context.colorspace = 1

    plain = frames_of(videos.write(tmp_path / "a.mp4", [red]))[0].image
    tagged = frames_of(videos.write(tmp_path / "b.mp4", [red], prepare=tag))[0].image
    assert np.abs(plain[8, 8].astype(int) - (60, 40, 200)).max() <= 4  # BGR
    assert np.abs(plain[8, 8].astype(int) - tagged[8, 8]).max() >= 8


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="PyAV writes no rotation")
@pytest.mark.parametrize(("degrees", "turn"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_is_applied(tmp_path: Path, videos: Any, degrees: int, turn: int) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :32] = 255
    path = videos.write(tmp_path / "turned.mp4", [image], prepare=lambda s: s.set_display_rotation(degrees))
    upright = frames_of(path)[0].image
    expected = np.rot90(image, turn)  # counter-clockwise, as the display matrix says
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 4


def test_no_file_text_and_sound_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video\n" * 200)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for path, words in [(tmp_path / "none.mp4", "no source"), (text, "no video"), (sound, "no video stream")]:
        with pytest.raises(BadInputError, match=words):
            open_source(path)


def test_a_recording_without_its_index_is_refused(tmp_path: Path, numbered: Any, videos: Any) -> None:
    whole = videos.write(tmp_path / "whole.mp4", [numbered.draw(i) for i in range(20)])
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(BadInputError, match="no video that FFmpeg can read"):
        open_source(cut)


@pytest.mark.parametrize("part", [0.6, 0.9, 0.98])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_that_breaks_off_says_how_far_it_reads(
    tmp_path: Path, numbered: Any, videos: Any, part: float, suffix: str
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 64, 96, 3)).astype(np.uint8)
    options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    whole = videos.write(tmp_path / f"whole.{suffix}", list(noise), container_options=options)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    read = 0
    if suffix == "mkv" and part == 0.98:
        pytest.skip("Matroska's header states a duration only, and two frames are within its tolerance")
    with open_source(cut) as source, pytest.raises(BadInputError, match="breaks off") as caught:
        for _ in source.frames():
            read += 1
    assert 0.5 * part * 60 < read < 60
    assert f"{read} " in str(caught.value.found)
    with open_source(cut) as source:
        assert source.frame_count == (60 if suffix == "mp4" else None)


def test_sound_that_goes_on_is_no_cut(tmp_path: Path, numbered: Any) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        for i in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered.draw(i), format="rgb24")))
        container.mux(video.encode(None))
        for i in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * i
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert len(frames_of(path)) == 10


def test_patched_frames_are_marked(tmp_path: Path, videos: Any) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (20, 64, 96, 3)).astype(np.uint8)
    whole = videos.write(tmp_path / "a.mp4", list(noise)).read_bytes()
    middle = len(whole) // 2
    (tmp_path / "b.mp4").write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    frames = frames_of(tmp_path / "b.mp4")
    assert len(frames) == 20
    assert any(frame.damaged for frame in frames)


def test_images_of_any_size_by_name(tmp_path: Path) -> None:
    for name, shape in {"b.png": (20, 30, 3), "a.png": (7, 5, 3), "c.bmp": (9, 9, 3)}.items():
        cv2.imwrite(str(tmp_path / name), np.full(shape, (250, 100, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    frames = frames_of(tmp_path)
    assert [frame.name for frame in frames] == ["a", "b", "c"]
    assert [frame.image.shape for frame in frames] == [(7, 5, 3), (20, 30, 3), (9, 9, 3)]
    assert frames[0].image[0, 0].tolist() == [250, 100, 3]  # BGR, as OpenCV wrote it
    assert [frame.pts * frame.time_base for frame in frames] == [0, Fraction(1, 25), Fraction(2, 25)]
    assert [frame.name for frame in frames_of(tmp_path / "b.png")] == ["b"]


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no images"):
        open_source(tmp_path)
    image = np.zeros((4, 4, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "b.png").write_text("not an image")
    with open_source(tmp_path) as source, pytest.raises(BadInputError, match=r"b\.png"):
        list(source.frames())
    cv2.imwrite(str(tmp_path / "a.bmp"), image)
    with pytest.raises(BadInputError, match="share the name a"):
        open_source(tmp_path)


def test_sources_know_their_length_and_rate(numbered_clip: Path, tmp_path: Path) -> None:
    with VideoFile(numbered_clip) as video:
        assert video.frame_count == 40
        assert video.timing.rate == 25
        assert video.timing.sample_aspect_ratio == 1
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with ImageFolder([tmp_path / "a.png"]) as folder:
        assert folder.frame_count == 1


def test_a_frame_leaves_no_memory_to_the_collector(videos: Any, tmp_path: Path) -> None:
    """A cycle through a decoded frame would keep its memory until Python collects, and each frame would take fresh."""
    images = [np.full((48, 64, 3), 3 * index, np.uint8) for index in range(60)]
    path = videos.write(tmp_path / "clip.mp4", images)
    with open_source(path) as source:
        frames = source.frames()
        next(frames)
        gc.collect()
        gc.disable()
        try:
            assert sum(1 for _ in frames) == 59
            assert gc.collect() < 59, "less than an object a frame"
        finally:
            gc.enable()
