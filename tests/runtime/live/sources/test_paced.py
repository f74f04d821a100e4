"""Files, folders and the synthetic camera come at their own pace, in order, and can be closed at any time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError, UsageError
from edgeseg.images import write_png
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.sources.synthetic import SyntheticFeed


def test_a_file_comes_by_its_timestamps(tmp_path: Path, numbered: Any, videos: Any, collect: Any) -> None:
    pts = [0, 4, 5, 30]
    images = [numbered.draw(number) for number in range(4)]
    path = videos.write(tmp_path / "a.mkv", images, pts=pts, time_base=Fraction(1, 100))
    source = open_live_source(str(path))
    collector = collect(source)
    assert collector.end() is None
    frames = collector.frames
    assert [numbered.read(frame.picture.bgr) for frame in frames] == [0, 1, 2, 3]
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(time, 100) for time in pts]
    assert (frames[-1].arrived_ns - frames[0].arrived_ns) / 1e9 >= 0.29  # never before its time
    assert all(frame.decoded_ns >= frame.arrived_ns for frame in frames)
    assert (source.status().state, source.is_live) == ("ended", False)


def test_a_looped_file_goes_on_growing(tmp_path: Path, numbered: Any, videos: Any, collect: Any) -> None:
    images = [numbered.draw(number) for number in range(4)]
    path = videos.write(tmp_path / "a.mp4", images, time_base=Fraction(1, 100))
    collector = collect(open_live_source(str(path), SourceOptions(loop=True)))
    frames = collector.wait_for(14)
    assert [numbered.read(frame.picture.bgr) for frame in frames[:14]] == [0, 1, 2, 3] * 3 + [0, 1]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(before.pts < after.pts for before, after in itertools.pairwise(frames))


def test_every_pass_of_a_short_file_takes_its_time(tmp_path: Path, numbered: Any, videos: Any, collect: Any) -> None:
    images = [numbered.draw(number) for number in range(4)]
    path = videos.write(tmp_path / "a.mp4", images, pts=[0, 5, 10, 15], time_base=Fraction(1, 100))
    frames = collect(open_live_source(str(path), SourceOptions(loop=True))).wait_for(13)
    assert frames[12].arrived_ns - frames[0].arrived_ns >= 0.5e9, "three passes of 0.2 s"
    times_s = [float(frame.pts * frame.time_base) for frame in frames[:13]]
    assert np.diff(times_s) == pytest.approx(
        [0.05] * 3 + [np.diff(times_s)[3], *[0.05] * 3] * 2 + [np.diff(times_s)[3]]
    )


def test_a_damaged_file_goes_on(numbered_clip: Path, numbered: Any, collect: Any) -> None:
    data = bytearray(numbered_clip.read_bytes())
    begin = data.index(b"mdat")
    middle = begin + (len(data) - begin) * 2 // 3
    data[middle : middle + 100] = b"\xff" * 100
    numbered_clip.write_bytes(data)
    source = open_live_source(str(numbered_clip))
    collector = collect(source)
    assert collector.end() is None
    assert len(collector.frames) >= 20
    assert source.status().corrupt + source.status().damaged >= 1


def test_no_video(tmp_path: Path, collect: Any) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    error = collect(open_live_source(str(path))).end()
    assert isinstance(error, BadInputError)
    assert str(path) in str(error)


def test_a_folder_of_images_of_any_size(tmp_path: Path, collect: Any) -> None:
    for index, (height, width) in enumerate([(20, 30), (33, 41), (16, 16)]):
        write_png(tmp_path / f"{index}.png", np.full((height, width, 3), 50 * index + 20, np.uint8))
    (tmp_path / "1b.png").write_bytes(b"broken")
    source = open_live_source(str(tmp_path), SourceOptions(rate=Fraction(100)))
    collector = collect(source)
    assert collector.end() is None
    pictures = [frame.picture for frame in collector.frames]
    assert [(picture.height, picture.width) for picture in pictures] == [(20, 30), (33, 41), (16, 16)]
    assert [round(float(picture.bgr.mean())) for picture in pictures] == pytest.approx([20, 70, 120], abs=2)
    assert [frame.pts for frame in collector.frames] == [0, 1, 3]
    assert source.status().corrupt == 1


def test_the_synthetic_camera_is_the_same_on_every_run() -> None:
    one, other = (SyntheticFeed(SourceOptions(size=(160, 96)), seed=3) for _ in range(2))
    shown = [one.picture(index).i420 for index in (0, 25, 400)]
    for index, plane in zip((400, 25, 0), reversed(shown), strict=True):
        assert np.array_equal(other.picture(index).i420, plane)
    assert not np.array_equal(shown[0], shown[1])


def test_the_synthetic_polyp_lies_where_its_mask_says_and_goes_out_of_sight() -> None:
    feed = SyntheticFeed(SourceOptions(size=(320, 180)), seed=0)
    areas = [np.count_nonzero(feed.mask(index)) / (320 * 180) for index in range(0, 500, 25)]
    assert min(areas) < 0.01
    assert max(areas) > 0.1
    redder = []
    for index in (0, 150, 200):
        bgr, mask = feed.picture(index).bgr.astype(int), feed.mask(index) > 0
        redder.append((bgr[mask, 2] - bgr[mask, 0]).mean() - (bgr[~mask, 2] - bgr[~mask, 0]).mean())
    assert np.mean(redder) > 5  # the polyp of this seed is redder than what is about it


def test_the_synthetic_camera_leaves_out_what_it_is_late_for(collect: Any) -> None:
    source = open_live_source("synthetic:64x48@200?seed=1")
    assert source.is_live
    frames = source.frames()
    first = next(frames)
    for _ in range(30_000):  # busy for some frames' time
        np.zeros(1000)
    later = [next(frames) for _ in range(5)]
    assert all(before.pts < after.pts for before, after in zip([first, *later], later, strict=False))
    source.close()
    assert list(frames) == []
    assert source.status().state == "ended"


@pytest.mark.parametrize(
    "name",
    ["synthetic:abc", "synthetic:63x48", "synthetic:16x16", "synthetic:64x48@0", "synthetic:?seed=x", "synthetic:?a=1"],
)
def test_no_such_synthetic_camera(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_live_source(name)
    assert caught.value.expected is not None


def test_options_of_the_name_win() -> None:
    source: Any = open_live_source("synthetic:64x48@50/2", replace(SourceOptions(), size=(128, 96)))
    picture = next(source.frames()).picture
    source.close()
    assert (picture.width, picture.height) == (64, 48)
    assert source.timing.rate == 25


@pytest.mark.parametrize("name", ["ftp://user:secret@host/a", "nowhere.mp4", "camera:x", "gst:"])
def test_what_is_no_source_is_refused_in_words(name: str) -> None:
    with pytest.raises(EdgesegError) as caught:
        open_live_source(name)
    assert "secret" not in str(caught.value)
    assert caught.value.expected is not None
