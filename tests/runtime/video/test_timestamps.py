"""Clips are as long as ffmpeg makes them: they begin at zero, and where a clock jumps the next part goes on at once."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.video.video import VideoFile

CLOCK = Fraction(1, 90_000)
STEP = 3600


def part(videos: Any, numbered: Any, path: Path, start_s: float, first: int = 0) -> bytes:
    """Fifty numbered frames at 25 a second as MPEG-TS."""
    pts = [round(start_s * 90_000) + STEP * index for index in range(50)]
    images = [numbered.draw(first + index) for index in range(50)]
    options = {"mpegts_copyts": "1"}
    videos.write(path, images, pts, CLOCK, {"preset": "ultrafast", "bf": "0"}, options)
    return path.read_bytes()


def seconds_by_ffmpeg(ffmpeg: str, clip: Path) -> list[float]:
    """When ffmpeg shows each frame of a clip."""
    command = [ffmpeg, "-v", "error", "-i", str(clip), "-vsync", "vfr", "-f", "framemd5", "-c:v", "rawvideo", "-"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    base = next(Fraction(line.split()[-1]) for line in lines if line.startswith("#tb 0"))
    return [float(int(line.split(",")[2]) * base) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("jump_s", [None, 15, 3600, 72_000, -3, -500])
def test_a_joined_stream_is_as_long_as_its_pictures(
    tmp_path: Path, videos: Any, numbered: Any, system_program: Callable[..., str], jump_s: float | None
) -> None:
    joined = tmp_path / "joined.ts"
    data = part(videos, numbered, tmp_path / "a.ts", 1000)
    if jump_s is not None:
        data += part(videos, numbered, tmp_path / "b.ts", 1000 + jump_s, first=50)
    joined.write_bytes(data)
    with VideoFile(joined) as video:
        frames = list(video.frames())
    times = [float(frame.pts * frame.time_base) for frame in frames]
    assert times == pytest.approx(seconds_by_ffmpeg(system_program("ffmpeg"), joined), abs=0.05)
    assert times == pytest.approx([index / 25 for index in range(len(times))], abs=0.05)
    assert len(times) == (50 if jump_s is None else 100)
    assert not any(frame.damaged for frame in frames)


def test_a_gap_in_matroska_is_a_gap(tmp_path: Path, videos: Any, numbered: Any) -> None:
    """Its clock does not jump by itself: a recorder was told to pause."""
    pts = [0, 40, 80, 3_600_000, 3_600_040]
    images = [numbered.draw(index) for index in range(5)]
    clip = videos.write(tmp_path / "a.mkv", images, pts, Fraction(1, 1000), {"preset": "ultrafast", "bf": "0"})
    with VideoFile(clip) as video:
        assert [frame.pts for frame in video.frames()] == pts


def test_a_cut_out_of_a_long_stream_begins_at_zero(tmp_path: Path, videos: Any, numbered: Any) -> None:
    part(videos, numbered, tmp_path / "late.ts", 93_000)
    with VideoFile(tmp_path / "late.ts") as video:
        frames = list(video.frames())
    assert frames[0].pts == 0
    assert frames[-1].pts * frames[-1].time_base == Fraction(49, 25)


def test_at_a_live_pace_nobody_waits_for_a_jump(tmp_path: Path, videos: Any, numbered: Any) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(
        part(videos, numbered, tmp_path / "a.ts", 10) + part(videos, numbered, tmp_path / "b.ts", 3610, first=50)
    )
    arrivals = [frame.arrived_ns for frame in open_live_source(str(joined)).frames()]
    assert len(arrivals) == 100
    assert max(after - before for before, after in itertools.pairwise(arrivals)) < 2 * 10**9
