"""Pictures stand as ffmpeg shows them, whatever matrix a container names: turns, mirrors and both."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.feeds import FileFeed
from edgeseg.runtime.video.display_matrix import UPRIGHT, Orientation
from edgeseg.runtime.video.video import VideoFile

ONE, W = 1 << 16, 1 << 30
HEIGHT, WIDTH = 48, 64
MATRICES = {
    "upright": (ONE, 0, 0, ONE, 0, 0),
    "left-right": (-ONE, 0, 0, ONE, WIDTH, 0),
    "top-bottom": (ONE, 0, 0, -ONE, 0, HEIGHT),
    "half a turn": (-ONE, 0, 0, -ONE, WIDTH, HEIGHT),
    "clockwise": (0, ONE, -ONE, 0, HEIGHT, 0),
    "counter-clockwise": (0, -ONE, ONE, 0, 0, WIDTH),
    "transposed": (0, ONE, ONE, 0, 0, 0),
    "transposed the other way": (0, -ONE, -ONE, 0, HEIGHT, WIDTH),
}


def picture() -> Any:
    """Red, green and blue boxes in three corners: no two orientations look alike."""
    image = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    image[4:20, 4:28] = (220, 20, 20)
    image[28:44, 4:20] = (20, 200, 20)
    image[4:12, 48:60] = (20, 20, 220)
    return image


def with_matrix(path: Path, entries: tuple[int, ...]) -> Path:
    """Put a matrix into the track header of an MP4 file."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    at = header + 8 + (32 if data[header + 4] else 20) + 16
    a, b, c, d, x, y = entries
    assert data[at : at + 36] == struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, W)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, W)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_a_file_stands_as_ffmpeg_shows_it(
    tmp_path: Path, videos: Any, system_program: Callable[..., str], name: str
) -> None:
    ffmpeg = system_program("ffmpeg")
    clip = with_matrix(videos.write(tmp_path / "a.mp4", [picture()] * 3, options={"crf": "1"}), MATRICES[name])
    command = [ffmpeg, "-v", "error", "-i", str(clip), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    with VideoFile(clip) as video:
        shown = next(iter(video.frames())).image
    expected = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    assert np.abs(shown.astype(int) - expected.reshape(shown.shape)).mean() < 3
    live = next(FileFeed(clip, SourceOptions()).frames()).picture()
    assert np.array_equal(live.bgr, shown)


def test_a_matrix_that_is_a_little_off_is_a_turn_and_an_oblique_one_is_none() -> None:
    nearly = struct.pack("=9i", 300, ONE, 0, -ONE, -300, 0, 0, 0, W)
    oblique = struct.pack("=9i", ONE, ONE, 0, -ONE, ONE, 0, 0, 0, W)
    assert Orientation.of_matrix(nearly) == Orientation(True, True, False)
    assert Orientation.of_matrix(oblique) == Orientation.of_matrix(b"short") == UPRIGHT


@pytest.mark.parametrize("orientation", [Orientation(t, x, y) for t in (0, 1) for x in (0, 1) for y in (0, 1)])
def test_planes_are_moved_as_numpy_moves_them(orientation: Orientation) -> None:
    plane = np.arange(35, dtype=np.uint8).reshape(5, 7)
    expected = plane.T if orientation.transposed else plane
    expected = expected[:, ::-1] if orientation.left_right else expected
    expected = expected[::-1] if orientation.top_bottom else expected
    assert np.array_equal(orientation.apply(plane), expected)
    assert orientation.is_upright == (orientation.apply(plane) is plane)
