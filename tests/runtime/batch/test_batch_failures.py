"""Batches that are interrupted or spoilt: by killed drivers and workers, wrong cuts, bad files, full disks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from edgeseg.errors import MismatchError, UsageError
from edgeseg.files import UnwritableError
from edgeseg.runtime.batch import batch_worker
from edgeseg.runtime.batch.batch_driver import BatchResult
from edgeseg.runtime.batch.crew import ClipJob, Job, LocalCrew, Outcome, WorkerLost
from edgeseg.runtime.video.cut_points import Span
from tests.runtime.batch.segmenting import Results, segment


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
