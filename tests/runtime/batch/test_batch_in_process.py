"""Archives through a crew of this process: what Ray's workers do, without Ray."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco

from edgeseg import cli
from edgeseg.runtime.batch.archive_listing import list_archive
from edgeseg.runtime.batch.batch_driver import BatchProgress, BatchResult, run_batch
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_worker import WorkerOptions
from edgeseg.runtime.batch.crew import LocalCrew
from tests.runtime.batch.conftest import FRAMES
from tests.runtime.batch.segmenting import Results, rows, segment


def test_rows_are_those_of_run(done: tuple[BatchResult, Path], engine: Path, archive: Path, tmp_path: Path) -> None:
    """The oracle is `edgeseg run --masks`, and pycocotools reads the run lengths."""
    masks, video = tmp_path / "masks", archive / "a" / "long.mp4"
    assert cli.run(["run", str(engine), str(video), "--masks", str(masks)]) == 0
    found = rows(done[1], "frames", "long")
    assert [row["frame"] for row in found] == list(range(FRAMES))
    assert np.allclose([row["time_s"] for row in found], np.arange(FRAMES) / 25)
    for row in found:
        expected = cv2.imread(str(masks / f"frame_{row['frame']:06d}.png"), cv2.IMREAD_UNCHANGED) > 0
        (of_class,) = row["classes"]
        assert np.array_equal(coco.decode(of_class["segmentation"]), expected)
        assert (row["height"], row["width"]) == expected.shape
        assert of_class["area_px"] == expected.sum()
        assert row["marked_share"] == pytest.approx(expected.mean())
        assert (of_class["largest_probability"] >= 0.5) == expected.any()
        assert row["source"] == str(video)
        assert not row["damaged"]


def test_lesions_go_over_the_borders_of_clips(done: tuple[BatchResult, Path]) -> None:
    """The square is one lesion for as long as it is there, comes back as the same within a second; a flash is none."""
    (lesion,) = rows(done[1], "lesions", "long")
    assert (lesion["lesion"], lesion["first_frame"], lesion["last_frame"]) == (1, 0, FRAMES - 1)
    assert (lesion["first_s"], lesion["last_s"], lesion["frames"]) == (
        0.0,
        pytest.approx((FRAMES - 1) / 25),
        FRAMES - 20,
    )
    for row in rows(done[1], "frames", "long"):
        assert [each["lesion"] for each in row["lesions"]] == ([] if 60 <= row["frame"] < 80 else [1])
        for each in row["lesions"]:
            left = 10 + row["frame"] % 40
            box = (each["left"] * 96, each["top"] * 64, each["right"] * 96, each["bottom"] * 64)
            assert np.allclose(box, (left, 8, left + 30, 40), atol=3)


def test_pictures_stand_by_themselves(done: tuple[BatchResult, Path], archive: Path, numbered: Any) -> None:
    found = rows(done[1], "frames", "stills")
    assert [Path(row["source"]).name for row in found] == ["1.png", "2.png", "10.png"]
    assert [numbered.read(255 * coco.decode(row["classes"][0]["segmentation"])) for row in found] == [1, 2, 10]
    assert all(row["time_s"] is None and row["frame"] == 0 and row["lesions"] == [] for row in found)
    assert not list((done[1] / "lesions").glob("stills*"))


def test_the_table_of_sources(done: tuple[BatchResult, Path], archive: Path) -> None:
    result, out = done
    table = pq.read_table(out / "sources.parquet").to_pylist()
    assert [(Path(row["source"]).name, row["kind"], row["frames"], row["lesions"]) for row in table] == [
        ("long.mp4", "video", FRAMES, 1),
        ("short.mkv", "video", 7, 0),
        ("stills", "pictures", 3, 0),
    ]
    assert all((out / "frames" / row["file"]).is_file() for row in table)
    assert (result.clips, result.frames, result.failures) == (5 + 1 + 1, FRAMES + 10, ())
    assert sorted(path.suffix for path in (out / "ledger").iterdir()) == [".json"] * 3


@pytest.mark.parametrize("clip_s", [0.4, 1000.0])
def test_results_do_not_depend_on_where_videos_are_cut(
    clip_s: float, done: tuple[BatchResult, Path], engine: Path, archive: Path, tmp_path: Path, results: Results
) -> None:
    segment(engine, tmp_path, archive, clip_s=clip_s)
    assert results(tmp_path) == results(done[1])


def test_sources_may_be_added_and_a_changed_one_is_done_again(engine: Path, archive: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mkv", tmp_path / "out"
    shutil.copy(archive / "short.mkv", video)
    assert segment(engine, out, video).clips == 1
    assert segment(engine, out, video, archive / "stills").clips == 1
    video.write_bytes(video.read_bytes() + bytes(100))
    assert segment(engine, out, video, archive / "stills").clips == 1


def test_progress_tells_throughput_and_the_time_left(engine: Path, archive: Path, tmp_path: Path) -> None:
    told: list[BatchProgress] = []
    with contextlib.closing(LocalCrew(WorkerOptions(engine, tmp_path))) as crew:
        run_batch(list_archive([str(archive)]).sources, BatchFolder(tmp_path), crew, told.append)
    assert told[0].seconds_left is None or told[0].seconds_left >= 0
    half = BatchProgress(10, 4, 0.5, 0.25, 1000, 20.0)
    assert (half.frames_a_second, half.seconds_left) == (50.0, 40.0)


def test_files_behind_urls(engine: Path, archive: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/case/long.mp4", (archive / "a" / "long.mp4").read_bytes())
    memory.pipe("/case/stills/1.png", (archive / "stills" / "1.png").read_bytes())
    try:
        result = segment(engine, tmp_path, "memory://case")
        assert not result.failures
        assert [(record.name, record.frames) for record in result.records] == [
            ("memory:///case/long.mp4", FRAMES),
            ("memory:///case/stills", 1),
        ]
    finally:
        memory.rm("/case", recursive=True)


def test_what_the_folder_keeps_is_readable(done: tuple[BatchResult, Path]) -> None:
    job = json.loads((done[1] / "batch.json").read_text())
    assert (job["backend"], job["precision"], job["classes"]) == ("onnxruntime", "fp32", ["polyp"])
