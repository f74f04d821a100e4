"""The spans of a video give the frames of the whole file, as PyAV alone decodes it from beginning to end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from hashlib import md5
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import BadInputError
from edgeseg.runtime.video.cut_points import CutVideo, cut_video
from edgeseg.runtime.video.span_file import InexactSpanError, SpanFile
from edgeseg.runtime.video.video import VideoFile
from tests.clips import Image

GROUP = 12
FRAMES = 75


def moving_images(count: int = FRAMES, height: int = 64, width: int = 96) -> list[Image]:
    """Blurred noise that wanders, so that every picture differs and rests on its neighbours."""
    generator = np.random.default_rng(5)
    ground = np.kron(generator.integers(0, 255, (24, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    return [
        ground[index % 90 : index % 90 + height, 2 * index % 180 : 2 * index % 180 + width] for index in range(count)
    ]


def encoded(
    path: Path, codec: str, options: dict[str, str], pts: list[int] | None = None, **container_options: str
) -> Path:
    """Write the pictures by a codec in groups of 12."""
    images = moving_images()
    with av.open(str(path), "w", options=container_options) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        base = Fraction(1, 25) if pts is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = (index if pts is None else pts[index]), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def by_pyav(path: Path) -> list[tuple[Fraction, str]]:
    """The time of each frame after the first, and a hash of its samples."""
    with av.open(str(path)) as container:
        frames = [
            (frame.pts * frame.time_base, hashed(frame.to_ndarray(format="yuv420p")))
            for frame in container.decode(video=0)
        ]
    return [(time - frames[0][0], digest) for time, digest in frames]


def hashed(samples: Any) -> str:
    return md5(np.ascontiguousarray(samples).tobytes()).hexdigest()


def by_spans(path: Path, cut: CutVideo) -> list[tuple[Fraction, str]]:
    """The same from the spans; each span's tail must be the next one's head."""
    frames, tail = [], []
    for span in cut.spans:
        with SpanFile(path, span) as opened:
            frames += [(frame.pts * frame.time_base, hashed(frame.picture.i420)) for frame in opened.frames()]
            assert tail == opened.head[: len(tail)]
            tail = opened.tail
    return [(time - frames[0][0], digest) for time, digest in frames]


G = {"g": str(GROUP)}
X264 = {"preset": "veryfast", "bf": "3", **G}
UNEVEN = [index * 40 + (index * index) % 33 + (900 if index > 40 else 0) for index in range(FRAMES)]
FILES: dict[str, Callable[[Path], Path]] = {
    "closed groups": lambda folder: encoded(folder / "a.mp4", "libx264", X264),
    "closed groups, fragments": lambda folder: encoded(
        folder / "a.mp4", "libx264", X264, movflags="frag_keyframe+empty_moov+default_base_moof"
    ),
    "open groups, MP4": lambda folder: encoded(folder / "a.mp4", "libx264", {**X264, "x264-params": "open-gop=1"}),
    "open groups, Matroska": lambda folder: encoded(folder / "a.mkv", "libx264", {**X264, "x264-params": "open-gop=1"}),
    "open groups, MPEG-TS": lambda folder: encoded(folder / "a.ts", "libx264", {**X264, "x264-params": "open-gop=1"}),
    "no table of key frames": lambda folder: encoded(folder / "a.mkv", "libx264", X264, live="1"),
    "uneven frames": lambda folder: encoded(folder / "a.mp4", "libx264", X264, UNEVEN),
    "HEVC, open groups": lambda folder: encoded(
        folder / "a.mp4", "libx265", {**G, "x265-params": "open-gop=1:bframes=3:log-level=none:pools=1"}
    ),
    "VP9": lambda folder: encoded(folder / "a.webm", "libvpx-vp9", {**G, "deadline": "realtime", "cpu-used": "8"}),
    "MPEG-2": lambda folder: encoded(folder / "a.ts", "mpeg2video", {"bf": "2", **G}),
    "MPEG-4 in AVI": lambda folder: encoded(folder / "a.avi", "mpeg4", G),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_spans_give_the_frames_of_the_whole_file(kind: str, tmp_path: Path) -> None:
    path = FILES[kind](tmp_path)
    cut = cut_video(path, "auto", 0.9)
    assert cut is not None
    assert [span.frames for span in cut.spans] == [2 * GROUP, 2 * GROUP, 2 * GROUP, 3]
    assert by_spans(path, cut) == by_pyav(path)


def test_a_span_reads_little_more_than_itself(tmp_path: Path) -> None:
    """Two groups, the key frame after them, and the pictures around it that are compared."""
    cut = cut_video(FILES["open groups, MP4"](tmp_path), "auto", 0.9)
    assert cut is not None
    assert max(span.packets for span in cut.spans) <= 2 * GROUP + 8


@pytest.mark.parametrize("name", ["a.h264", "a.avi"])
def test_a_file_without_times_of_presentation_is_not_cut(name: str, tmp_path: Path) -> None:
    """A raw stream has none, and AVI none for B-frames."""
    assert cut_video(encoded(tmp_path / name, "libx264", X264), "auto", 0.9) is None


def test_a_cut_that_is_none_is_noticed(tmp_path: Path) -> None:
    """An intra refresh calls frames key frames from which a picture is whole only after a while."""
    path = encoded(tmp_path / "a.mp4", "libx264", {**X264, "x264-params": "intra-refresh=1"})
    cut = cut_video(path, "auto", 0.9)
    assert cut is not None
    with pytest.raises(InexactSpanError, match="does not give the frames of the whole"):
        by_spans(path, cut)


def test_a_key_frame_that_seeking_misses_is_looked_for(tmp_path: Path) -> None:
    path = FILES["open groups, MP4"](tmp_path)
    cut = cut_video(path, "auto", 0.9)
    assert cut is not None
    last = dataclasses.replace(cut.spans[1], sought=cut.spans[-1].sought)
    with SpanFile(path, last) as opened:
        frames = [hashed(frame.picture.i420) for frame in opened.frames()]
    assert frames == [digest for _, digest in by_pyav(path)[2 * GROUP : 4 * GROUP]]


def test_a_deinterlaced_video_is_read_whole(tmp_path: Path) -> None:
    path = FILES["closed groups"](tmp_path)
    assert cut_video(path, "on", 0.9) is None
    cut = cut_video(path, "off", 0.9)
    assert cut is not None
    with SpanFile(path, cut.spans[0], "on") as opened, pytest.raises(InexactSpanError, match="deinterlaced"):
        list(opened.frames())


def test_a_file_that_is_cut_off_is_not_cut(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", "libx264", X264, movflags="+faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert cut_video(path, "auto", 0.9) is None


@given(places=st.lists(st.floats(0.05, 0.999), min_size=1, max_size=3), name=st.sampled_from(["a.mp4", "a.ts"]))
@settings(max_examples=25)
def test_a_damaged_file_gives_the_same_frames_or_is_refused(
    places: list[float], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The oracle is the reader that takes the file from its beginning to its end."""
    path = encoded(tmp_path_factory.mktemp("damaged") / name, "libx264", X264)
    data = bytearray(path.read_bytes())
    for place in places:
        start = int(place * len(data))
        data[start : start + 8] = bytes(8)
    path.write_bytes(bytes(data))
    try:
        cut = cut_video(path, "auto", 0.9)
    except BadInputError:
        return
    if cut is None:
        return
    frames, tail = [], []
    try:
        for span in cut.spans:
            with SpanFile(path, span) as opened:
                frames += [hashed(frame.picture.i420) for frame in opened.frames()]
                if tail != opened.head[: len(tail)]:
                    return
                tail = opened.tail
    except InexactSpanError:
        return
    with VideoFile(path) as whole:
        assert frames == [hashed(frame.picture.i420) for frame in whole.frames()]
