"""Combed video is made whole wherever a file is read, and as ffmpeg does it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.images import read_rgb
from edgeseg.machine.bench.bench_frames import frames_of
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, rgb_frames
from edgeseg.runtime.file.frame_choice import ALL_FRAMES
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.feeds import FileFeed
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.video_files import open_source
from edgeseg.train.negatives import NegativeSource, write_negatives

FRAMES = 12


@pytest.fixture
def combed(tmp_path: Path, videos: Any) -> Path:
    """A bar that moves 4 px a field, top field first."""
    images = []
    for index in range(FRAMES):
        image = np.full((64, 128, 3), 40, np.uint8)
        image[0::2, 8 * index : 8 * index + 24] = 220
        image[1::2, 8 * index + 4 : 8 * index + 28] = 220
        images.append(image)
    options = {"preset": "ultrafast", "crf": "4", "x264-params": "interlaced=1:tff=1"}
    path: Path = videos.write(tmp_path / "combed.mp4", images, options=options)
    return path


def by_ffmpeg(ffmpeg: str, clip: Path, filters: str) -> Any:
    """uint8 [N,H,W]: the luma that ffmpeg gives."""
    command = [ffmpeg, "-v", "error", "-i", str(clip), "-vf", filters, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, 64, 128)


def luma_of(clip: Path, deinterlace: Deinterlace) -> Any:
    with open_source(clip, deinterlace) as source:
        return np.stack([frame.picture.planes()[0] for frame in source.frames()])


@pytest.mark.parametrize(
    ("mode", "filters"), [("auto", "bwdif=send_frame"), ("on", "bwdif=send_frame"), ("off", "null")]
)
def test_pictures_are_those_of_ffmpeg(
    combed: Path, system_program: Callable[..., str], mode: Deinterlace, filters: str
) -> None:
    expected = by_ffmpeg(system_program("ffmpeg"), combed, f"format=yuv420p,{filters},extractplanes=y")
    found = luma_of(combed, mode)
    assert found.shape == expected.shape == (FRAMES, 64, 128)
    assert np.abs(found.astype(int) - expected).mean() < 0.5


def test_on_takes_a_file_that_does_not_say_so(tmp_path: Path, combed: Path, videos: Any) -> None:
    images = [np.repeat(picture[:, :, None], 3, axis=2) for picture in luma_of(combed, "off")]
    silent = videos.write(tmp_path / "silent.mp4", images, options={"preset": "ultrafast", "crf": "1"})
    rows = [np.abs(np.diff(luma_of(silent, mode).astype(int), axis=1)).mean() for mode in ("off", "auto", "on")]
    assert rows[0] == rows[1] > 3 * rows[2]


def test_everyone_sees_the_same_pictures(tmp_path: Path, combed: Path) -> None:
    """File runs, live, evaluation, negatives and the bench."""
    with open_source(combed) as source:
        expected = [frame.image for frame in source.frames()]
    live = [frame.picture().bgr for frame in FileFeed(combed, SourceOptions()).frames()]
    evaluated = [cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) for _, _, rgb in rgb_frames(UnlabelledSource(combed))]
    benched = [picture.bgr for picture in frames_of(combed).pictures]
    write_negatives([NegativeSource(combed, ALL_FRAMES)], None, tmp_path / "negatives")
    files = sorted((tmp_path / "negatives").glob("*.png"))
    kept = [cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2BGR) for path in files]
    for pictures in (live, evaluated, benched, kept):
        assert len(pictures) == FRAMES
        assert all(np.array_equal(one, other) for one, other in zip(pictures, expected, strict=True))
