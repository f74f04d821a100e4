from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeseg import cli
from edgeseg.artifacts import LatencyReport

DATA = Path(os.environ.get("EDGESEG_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
REAL_CLIP = DATA / "video" / "colon_polyp_560x480_25fps.mp4"


def run(*arguments: object) -> int:
    return cli.run(["run", *map(str, arguments)])


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for outputs."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def test_video_masks_and_times(
    tiny_engine: Path,
    numbered_clip: Path,
    place: Path,
    numbered: Any,
    videos: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs = ["--out", place / "clip.mp4", "--masks", place / "masks", "--latency", place / "latency.json"]
    assert run(tiny_engine, numbered_clip, *outputs, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    latency = LatencyReport.read(place / "latency.json")
    assert document["latency"] == latency.to_dict()
    assert (document["frames"], document["frames_with_mask"]) == (40, 39)
    assert (document["out"], document["masks"]) == (str(place / "clip.mp4"), str(place / "masks"))
    assert (latency.frames, latency.inferences, latency.drops, latency.backend) == (40, 40, 0, "onnxruntime")
    assert len(videos.read(place / "clip.mp4").images) == 40
    for number in (0, 5, 39):
        mask = cv2.imread(str(place / "masks" / f"frame_{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (64, 128)
        assert numbered.read(mask) == number


def test_masks_are_those_computed_by_hand(tiny_engine: Path, tmp_path: Path, place: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, ::8], 32, axis=0)  # 32x32: no resize on the way
    cv2.imwrite(str(images / "ramp.png"), np.dstack([ramp] * 3))
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[:, :, 2] = 255  # red alone has a mean of 85: dark
    cv2.imwrite(str(images / "wide.png"), wide)
    assert run(tiny_engine, images, "--masks", place / "masks") == 0
    mask = cv2.imread(str(place / "masks" / "ramp.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, np.where(ramp >= 128, 255, 0))
    dark = cv2.imread(str(place / "masks" / "wide.png"), cv2.IMREAD_UNCHANGED)
    assert dark.shape == (50, 90) and not dark.any()


def test_an_onnx_file_and_a_limit(
    tiny_onnx: Path, numbered_clip: Path, place: Path, videos: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny_onnx, numbered_clip, "--max-frames", 7, "--out", place / "clip.mp4") == 0
    printed = capsys.readouterr()
    assert "7 frames" in printed.out and str(place / "clip.mp4") in printed.out
    assert len(videos.read(place / "clip.mp4").images) == 7


def test_bad_sources_exit_5_and_leave_nothing(
    tiny_engine: Path, numbered_clip: Path, tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty"
    text.write_text("no video\n" * 100)
    empty.mkdir()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(numbered_clip.read_bytes()[: int(numbered_clip.stat().st_size * 0.8)])
    for source in (tmp_path / "none.mp4", text, empty, cut):
        assert run(tiny_engine, source, "--out", place / "clip.mp4", "--masks", place / "masks", "--json") == 5
        printed = capsys.readouterr()
        assert json.loads(printed.out)["exit_code"] == 5
        assert "expected:" in printed.err
        assert files_in(place) == []


def test_an_unreadable_picture_of_a_folder_is_told_at_the_end(
    tiny_engine: Path, tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(folder / name), np.zeros((9, 9, 3), np.uint8))
    (folder / "b.png").write_text("no image")
    (folder / "._a.png").write_bytes(b"\x00\x05\x16\x07")
    (folder / "d.heic").write_bytes(b"heic")
    assert run(tiny_engine, folder, "--masks", place / "masks", "--json") == 5
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["frames"] == 2 and document["lost_frames"] == 1
    assert "b.png" in document["unreadable"][0]["what"]
    assert "b.png" in printed.err and "1 hidden or system file, 1 .heic" in printed.err
    assert sorted(path.name for path in (place / "masks").iterdir()) == ["a.png", "c.png"]


def test_a_folder_without_a_readable_picture_leaves_nothing(tiny_engine: Path, tmp_path: Path, place: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "b.png").write_text("no image")
    assert run(tiny_engine, tmp_path / "pictures", "--masks", place / "masks") == 5
    assert files_in(place) == []


def test_every_picture_of_one_file_gets_its_mask(tiny_engine: Path, tmp_path: Path, place: Path) -> None:
    pages = [Image.fromarray(np.full((20, 30, 3), 40 * index, np.uint8)) for index in range(4)]
    for name in ("stack.tif", "anim.webp", "anim.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        masks = place / Path(name).suffix[1:]
        assert run(tiny_engine, tmp_path / name, "--masks", masks) == 0
        assert sorted(path.name for path in masks.iterdir()) == [f"frame_{index:06d}.png" for index in range(4)]


def test_a_changed_engine_exits_6(tiny_engine: Path, numbered_clip: Path, place: Path) -> None:
    tiny_engine.write_bytes(tiny_engine.read_bytes() + b"x")
    assert run(tiny_engine, numbered_clip, "--out", place / "clip.mp4") == 6
    assert files_in(place) == []


def test_outputs_that_cannot_be(tiny_engine: Path, numbered_clip: Path, place: Path) -> None:
    before = numbered_clip.read_bytes()
    passport = tiny_engine.with_name(tiny_engine.name + ".json")
    assert run(tiny_engine, numbered_clip, "--out", numbered_clip) == 2
    assert run(tiny_engine, numbered_clip, "--latency", passport) == 2
    assert run(tiny_engine, numbered_clip, "--out", numbered_clip / "clip.mp4") == 5
    assert run(tiny_engine, numbered_clip, "--masks", numbered_clip / "masks") == 5
    assert run(tiny_engine, numbered_clip, "--max-frames", 0) == 2
    assert numbered_clip.read_bytes() == before
    assert files_in(place) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits a process's files by rlimit")
def test_a_full_disk_exits_5_and_leaves_nothing(tiny_engine: Path, tmp_path: Path, place: Path, videos: Any) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (30, 128, 128, 3)).astype(np.uint8)
    source = videos.write(tmp_path / "noise.mp4", list(noise))
    program = (
        "import resource, sys; from edgeseg import cli;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "run", tiny_engine, source, "--out", place / "clip.mp4"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert result.returncode == 5, result.stderr
    assert "cannot write" in result.stderr and str(place / "clip.mp4") in result.stderr
    assert files_in(place) == []


@pytest.mark.skipif(not REAL_CLIP.is_file(), reason=f"no {REAL_CLIP.name}; EDGESEG_DATA names the data folder")
def test_a_real_clip_keeps_its_181_frames(tiny_engine: Path, place: Path, videos: Any) -> None:
    assert run(tiny_engine, REAL_CLIP, "--out", place / "clip.mp4", "--masks", place / "masks") == 0
    source, clip = videos.read(REAL_CLIP), videos.read(place / "clip.mp4")
    assert len(clip.images) == len(source.images) == len(list((place / "masks").iterdir())) == 181
    assert clip.seconds == source.seconds
    assert clip.images[0].shape == source.images[0].shape
    corner = np.s_[:40, 200:360]  # far from the caption; only the outline may differ
    assert np.median(np.abs(clip.images[90][corner].astype(int) - source.images[90][corner])) <= 6
