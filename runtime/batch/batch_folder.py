"""The output folder of a batch, which is its ledger, too: what lies there is done, and appears whole by rename.

batch.json             what all results have in common
sources.parquet        a row for each source, at the end of each run
frames/KEY.parquet     a row for each frame of one source
lesions/KEY.parquet    a row for each lesion of one source
ledger/KEY.json        what came of a source
ledger/KEY/            its plan and the clips that are done, until they are joined
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.file_locks import held, is_held
from edgeseg.files import UnwritableError, check_writable
from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.batch.batch_values import BatchJob, SourcePlan, SourceRecord
from edgeseg.shell import quoted

JOB = "batch.json"
PLAN = "plan.json"
SOURCES = "sources.parquet"


class BatchFolder:
    """Names and reads the files of an output folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ledger = path / "ledger"

    def check(self) -> None:
        """Refuse a folder that holds something else, before any work is done; nothing is created.

        Raises:
            UnwritableError: It cannot be written, or is neither empty nor a batch's.
        """
        check_writable(self.path)
        is_new = not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir()))
        if not is_new and not (self.path / JOB).is_file():
            raise UnwritableError(
                f"--out {self.path} exists and is not the folder of a batch",
                found=f"no {JOB} in it",
                expected="a new or empty folder, or one that a batch has begun",
                next_command="choose another --out",
            )

    @contextlib.contextmanager
    def begun(self, job: BatchJob) -> Iterator[None]:
        """Hold the folder for one batch, which begins or goes on.

        Raises:
            MismatchError: Other results lie there.
            UsageError: Another process works in it.
        """
        self._ledger.mkdir(parents=True, exist_ok=True)
        if is_held(self._ledger):
            raise UsageError(
                f"another batch is at work in {self.path}",
                found="its lock is held",
                expected="one batch a folder at a time",
                next_command="wait until it has ended, or choose another --out",
            )
        with held(self._ledger):
            path = self.path / JOB
            if path.exists():
                _refuse_another(path, BatchJob.read(path), job)
            else:
                job.write(path)
            yield

    def record(self, source: ArchiveSource) -> SourceRecord | None:
        """Read what came of a source; None where nothing has yet, or its files have changed since."""
        path = self.record_path(source)
        with contextlib.suppress(BadInputError):  # written by another version: done again
            if path.exists() and (record := SourceRecord.read(path)).version == source.version:
                return record
        return None

    def plan(self, source: ArchiveSource) -> SourcePlan | None:
        """Read how a source was cut; None where it was not, or its files have changed since."""
        path = self.work_of(source) / PLAN
        with contextlib.suppress(BadInputError):
            if path.exists() and (plan := SourcePlan.read(path)).version == source.version:
                return plan
        return None

    def begin_source(self, source: ArchiveSource, plan: SourcePlan) -> None:
        """Keep a source's plan; clips that were made by another plan are taken away."""
        self.drop_work(source)
        plan.write(self.work_of(source) / PLAN)

    def done_clips(self, source: ArchiveSource, plan: SourcePlan) -> set[int]:
        """Tell which clips of a source are done."""
        return {clip for clip in range(plan.clips) if self.clip_path(source, plan, clip).exists()}

    def finish_source(self, source: ArchiveSource, record: SourceRecord) -> None:
        """Keep what came of a source; its clips are no longer needed."""
        if not record.has_results:
            for path in (self.frames_path(source), self.lesions_path(source)):
                path.unlink(missing_ok=True)
        record.write(self.record_path(source))
        self.drop_work(source)

    def drop_work(self, source: ArchiveSource) -> None:
        """Take a source's plan and clips away."""
        shutil.rmtree(self.work_of(source), ignore_errors=True)

    def work_of(self, source: ArchiveSource) -> Path:
        """The folder of a source's plan and clips."""
        return self._ledger / source.key

    def clip_path(self, source: ArchiveSource, plan: SourcePlan, clip: int) -> Path:
        """The file of one clip's results; no span's is taken for those of a whole file."""
        return self.work_of(source) / f"{'span' if plan.spans else 'whole'}-{clip:06d}.arrow"

    def record_path(self, source: ArchiveSource) -> Path:
        """The file that says what came of a source."""
        return self._ledger / f"{source.key}.json"

    def frames_path(self, source: ArchiveSource) -> Path:
        """The file of a source's frames."""
        return self.path / "frames" / f"{source.key}.parquet"

    def lesions_path(self, source: ArchiveSource) -> Path:
        """The file of a source's lesions."""
        return self.path / "lesions" / f"{source.key}.parquet"

    @property
    def sources_path(self) -> Path:
        """The file that lists the sources."""
        return self.path / SOURCES


def _refuse_another(path: Path, found: BatchJob, wanted: BatchJob) -> None:
    theirs, ours = found.to_dict(), wanted.to_dict()
    differing = [name for name, value in ours.items() if theirs[name] != value]
    if differing:
        raise MismatchError(
            f"{path.parent} holds results of another engine or of other settings",
            found=", ".join(f"{name} {theirs[name]}" for name in differing),
            expected=", ".join(f"{name} {ours[name]}" for name in differing),
            next_command=f"choose another --out, or the engine and the settings of {quoted(path)}",
        )
