"""Archives through a crew of this process: what Ray's workers do, without Ray."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco

from edgeseg import cli
from edgeseg.errors import MismatchError, UsageError
from edgeseg.files import UnwritableError
from edgeseg.runtime.batch import batch_worker
from edgeseg.runtime.batch.archive_listing import list_archive
from edgeseg.runtime.batch.batch_driver import BatchProgress, BatchResult, run_batch
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_worker import WorkerOptions
from edgeseg.runtime.batch.crew import ClipJob, Job, LocalCrew, Outcome, WorkerLost
from edgeseg.runtime.video.cut_points import Span
from tests.runtime.batch.conftest import FRAMES

Results = Callable[[Path], dict[str, bytes]]


def segment(
    engine: Path, out: Path, *words: Path | str, clip_s: float = 0.8, crew: type[LocalCrew] = LocalCrew, **options: Any
) -> BatchResult:
    folder = BatchFolder(out)
    folder.check()
    sources = list_archive([str(word) for word in words]).sources
    with contextlib.closing(crew(WorkerOptions(engine, out, clip_s=clip_s, **options))) as workers:
        return run_batch(sources, folder, workers)


def rows(out: Path, part: str, name: str) -> list[dict[str, Any]]:
    (path,) = (out / part).glob(f"{name}*.parquet")
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import bright_pixel_network

    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(bright_pixel_network())
    return path


@pytest.fixture(scope="module")
def done(engine: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchResult, Path]:
    """The archive in clips of twenty frames."""
    out = tmp_path_factory.mktemp("done") / "out"
    return segment(engine, out, archive), out


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


class StoppedError(Exception):
    """A driver was killed."""


class StoppingCrew(LocalCrew):
    """Ends with its third clip, before anybody hears of it."""

    clips = 0

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        taken = super().take(timeout_s)
        self.clips += isinstance(taken[0][1], ClipJob)
        if self.clips == 3:
            raise StoppedError
        return taken


def test_a_batch_that_was_stopped_goes_on(
    done: tuple[BatchResult, Path], engine: Path, archive: Path, tmp_path: Path, results: Results
) -> None:
    with pytest.raises(StoppedError):
        segment(engine, tmp_path, archive, crew=StoppingCrew)
    clips = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    assert len(clips) == 3
    again = segment(engine, tmp_path, archive)
    assert (again.clips_before, again.clips) == (3, done[0].clips - 3)
    assert results(tmp_path) == results(done[1])
    once_more = segment(engine, tmp_path, archive)
    assert (once_more.sources_before, once_more.clips_before, once_more.clips) == (3, done[0].clips, 0)
    assert results(tmp_path) == results(done[1])


def test_sources_may_be_added_and_a_changed_one_is_done_again(engine: Path, archive: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mkv", tmp_path / "out"
    shutil.copy(archive / "short.mkv", video)
    assert segment(engine, out, video).clips == 1
    assert segment(engine, out, video, archive / "stills").clips == 1
    video.write_bytes(video.read_bytes() + bytes(100))
    assert segment(engine, out, video, archive / "stills").clips == 1


class LosingCrew(LocalCrew):
    """Loses its worker under the first clip, before or after its results are written."""

    lost = 0

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        if isinstance(self._job, ClipJob) and self.lost < 2:
            self.lost += 1
            job, self._job = self._job, None
            if self.lost == 2:
                job.run(self._worker)
            return [(0, job, WorkerLost("killed"))]
        return super().take(timeout_s)


def test_a_lost_worker_changes_nothing(
    done: tuple[BatchResult, Path], engine: Path, archive: Path, tmp_path: Path, results: Results
) -> None:
    result = segment(engine, tmp_path, archive, crew=LosingCrew)
    assert (result.workers_lost, result.clips, result.failures) == (2, done[0].clips, ())
    assert results(tmp_path) == results(done[1])


class DyingCrew(LocalCrew):
    """Loses a worker under every clip of one source."""

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        if isinstance(self._job, ClipJob) and self._job.source.name.endswith("long.mp4"):
            job, self._job = self._job, None
            return [(0, job, WorkerLost("killed"))]
        return super().take(timeout_s)


def test_what_ends_every_worker_is_a_failure(engine: Path, archive: Path, tmp_path: Path) -> None:
    result = segment(engine, tmp_path, archive, crew=DyingCrew)
    (failure,) = result.failures
    assert failure.name.endswith("long.mp4")
    assert failure.in_one_line() == "a worker ended 3 times over this; killed"
    assert [record.frames for record in result.records] == [0, 7, 3]


def test_a_cut_that_is_not_exact_is_given_up(
    done: tuple[BatchResult, Path],
    engine: Path,
    archive: Path,
    tmp_path: Path,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second span claims to have a frame more than it has."""

    def wrong(path: Path, *flags: Any) -> Any:
        cut = real(path, *flags)
        if cut is None or len(cut.spans) < 2:
            return cut
        spans = list(cut.spans)
        spans[1] = Span(**{**vars(spans[1]), "frames": spans[1].frames + 1})
        return type(cut)(tuple(spans), cut.time_base, cut.step, cut.start)

    real = batch_worker.cut_video
    monkeypatch.setattr(batch_worker, "cut_video", wrong)
    segment(engine, tmp_path, archive)
    assert results(tmp_path) == results(done[1])


def test_clips_that_do_not_fit_together_are_given_up(
    done: tuple[BatchResult, Path],
    engine: Path,
    archive: Path,
    tmp_path: Path,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each file gives other pictures past its end than the next one begins with."""
    monkeypatch.setattr(
        "edgeseg.runtime.video.span_file.digest_of", lambda picture: str(id(object())) + str(next(count))
    )
    count = iter(range(1000))
    result = segment(engine, tmp_path, archive)
    assert result.clips == done[0].clips + 1
    assert results(tmp_path) == results(done[1])


def test_failures_are_listed_and_tried_again(engine: Path, archive: Path, tmp_path: Path) -> None:
    whole, out = (archive / "short.mkv").read_bytes(), tmp_path / "out"
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "good.mkv").write_bytes(whole)
    (folder / "bad.png").write_bytes(b"no picture")
    shutil.copy(archive / "stills" / "1.png", folder)
    (tmp_path / "list.txt").write_text(f"# all\n\nin\n{tmp_path}/gone.mp4\n")
    result = segment(engine, out, tmp_path / "list.txt")
    assert {Path(failure.name).name for failure in result.failures} == {"broken.mp4", "bad.png", "gone.mp4"}
    table = pq.read_table(out / "sources.parquet").to_pylist()
    assert {Path(row["source"]).name: row["frames"] for row in table if row["failure"] is None} == {
        "good.mkv": 7,
        "in": 1,
    }
    (folder / "broken.mp4").write_bytes(whole)
    again = segment(engine, out, tmp_path / "list.txt")
    assert again.sources_before == 1
    assert {Path(failure.name).name for failure in again.failures} == {"bad.png", "gone.mp4"}


def test_a_defect_in_one_source_ends_nothing(
    engine: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_worker.FrameRows, "_classes", lambda *_: 1 / 0)
    result = segment(engine, tmp_path, archive / "short.mkv")
    assert "ZeroDivisionError" in result.failures[0].in_one_line()


def test_a_full_disk_ends_the_batch(
    engine: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UnwritableError("cannot write it", found="No space left on device")

    monkeypatch.setattr(batch_worker, "clip_file", full)
    with pytest.raises(Exception, match="cannot write it"):
        segment(engine, tmp_path, archive)


def test_other_results_are_not_mixed_in(engine: Path, archive: Path, tmp_path: Path) -> None:
    segment(engine, tmp_path, archive / "short.mkv")
    with pytest.raises(MismatchError, match="other settings") as caught:
        segment(engine, tmp_path, archive, deinterlace="off")
    assert "deinterlace auto" in str(caught.value)


def test_a_folder_that_is_none_of_a_batch_is_refused(engine: Path, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UnwritableError, match="not the folder of a batch"):
        segment(engine, tmp_path, archive)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_batches_in_one_folder_are_refused(engine: Path, archive: Path, tmp_path: Path) -> None:
    class Inner(LocalCrew):
        def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
            segment(engine, tmp_path, archive)
            return super().take(timeout_s)

    with pytest.raises(UsageError, match="at work"):
        segment(engine, tmp_path, archive, crew=Inner)


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
