"""Drives a batch: hands jobs to a crew, keeps the ledger, and leaves nothing undone for one source that fails."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeseg.child import ChildFailedError
from edgeseg.errors import EdgesegError
from edgeseg.files import UnwritableError
from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_values import ClipDone, ClipTask, FileFailure, SourcePlan, SourceRecord, failure_of
from edgeseg.runtime.batch.crew import ClipJob, Crew, Job, JoinJob, Outcome, PlanJob, Refused, WorkerLost
from edgeseg.runtime.batch.source_table import write_sources

ATTEMPTS = 3
"""A job that ended so many workers is taken for the cause."""
REPORT_S = 1.0


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch has come."""

    sources: int
    sources_done: int
    bytes_share: float
    """The share of the sources' bytes whose results are there, 0 to 1."""
    bytes_share_before: float
    """The same when this run began."""
    frames: int
    """Frames that this run has segmented."""
    seconds: float
    """Since this run began."""

    @property
    def frames_a_second(self) -> float:
        """The throughput of this run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time to the end at this run's pace; None before anything is done."""
        done = self.bytes_share - self.bytes_share_before
        return (1 - self.bytes_share) / done * self.seconds if done > 0 else None


@dataclass(frozen=True)
class BatchResult:
    """The outcome of a batch."""

    records: tuple[SourceRecord, ...]
    """One for each source, in their order."""
    sources_before: int
    """Sources that an earlier run had done."""
    clips_before: int
    """Clips that an earlier run had done."""
    clips: int
    """Clips that this run segmented."""
    frames: int
    """Frames that this run segmented."""
    seconds: float
    workers_lost: int

    @property
    def failures(self) -> tuple[FileFailure, ...]:
        """The files without a result."""
        return tuple(failure for record in self.records for failure in record.failures)


@dataclass
class _Underway:
    """A source that is cut and not joined yet."""

    source: ArchiveSource
    plan: SourcePlan
    todo: deque[int]
    missing: int
    """Clips that are not done, those under way among them."""
    holder: int | None = None
    """The worker that has fetched the source's file."""


@dataclass
class _Batch:
    folder: BatchFolder
    crew: Crew
    waiting: deque[ArchiveSource] = field(default_factory=deque)
    underway: dict[str, _Underway] = field(default_factory=dict)
    joining: deque[_Underway] = field(default_factory=deque)
    records: dict[str, SourceRecord] = field(default_factory=dict)
    attempts: Counter[Job] = field(default_factory=Counter)
    repeated: deque[Job] = field(default_factory=deque)
    sources_before: int = 0
    clips_before: int = 0
    clips: int = 0
    frames: int = 0
    workers_lost: int = 0

    def start(self, sources: Iterable[ArchiveSource]) -> None:
        """Take over what earlier runs have done; what failed is tried again."""
        for source in sources:
            record = self.folder.record(source)
            if record is None or record.failures:
                self.waiting.append(source)
                continue
            self.folder.drop_work(source)
            self.records[source.key] = record
            self.sources_before += 1
            self.clips_before += record.clips

    def next_job(self, worker: int) -> Job | None:
        """Choose the next job: what is nearest to a source's end goes first."""
        if self.repeated:
            return self.repeated.popleft()
        if self.joining:
            ready = self.joining.popleft()
            return JoinJob(ready.source, ready.plan)
        open_ones = [each for each in self.underway.values() if each.todo]
        if open_ones:
            chosen = min(open_ones, key=lambda each: each.source.is_remote and each.holder not in (None, worker))
            if not (chosen.source.is_remote and chosen.holder not in (None, worker) and self.waiting):
                chosen.holder = worker
                return ClipJob(ClipTask(chosen.source, chosen.plan, chosen.todo.popleft()))
        if self.waiting:
            source = self.waiting.popleft()
            plan = self.folder.plan(source)
            if plan is None:
                return PlanJob(source)
            self._begin(source, plan)
            return self.next_job(worker)
        return None

    def _begin(self, source: ArchiveSource, plan: SourcePlan, holder: int | None = None) -> None:
        done = self.folder.done_clips(source, plan)
        self.clips_before += len(done)
        todo = deque(clip for clip in range(plan.clips) if clip not in done)
        entry = _Underway(source, plan, todo, len(todo), holder)
        self.underway[source.key] = entry
        if not todo:
            self.joining.append(entry)

    def absorb(self, worker: int, job: Job, outcome: Outcome) -> None:
        """Take in what came of a job."""
        if isinstance(outcome, WorkerLost):
            self._lose(job, outcome)
        elif isinstance(outcome, Refused):
            if outcome.error["error"] == UnwritableError.__name__:
                raise ChildFailedError(outcome.error)
            self._fail(job.source, outcome.error)
        elif isinstance(job, PlanJob):
            self.folder.begin_source(job.source, outcome.result)
            self._begin(job.source, outcome.result, worker)
        elif isinstance(job, ClipJob):
            self._clip_done(job, outcome.result)
        elif outcome.result is None:
            self._read_whole(job.source)
        else:
            self._finish(job.source, outcome.result)

    def _lose(self, job: Job, lost: WorkerLost) -> None:
        self.workers_lost += 1
        self.attempts[job] += 1
        if self.attempts[job] < ATTEMPTS:
            self.repeated.append(job)
        else:
            what = f"a worker ended {ATTEMPTS} times over this"
            self._fail(job.source, EdgesegError(what, found=lost.reason).to_dict())

    def _clip_done(self, job: ClipJob, done: ClipDone) -> None:
        entry = self.underway.get(job.source.key)
        self.frames += done.frames
        self.clips += done.is_exact
        if entry is None or entry.plan != job.task.plan:  # failed meanwhile, or read as a whole now
            return
        if not done.is_exact:
            self._read_whole(job.source)
            return
        entry.missing -= 1
        if not entry.missing:
            self.joining.append(entry)

    def _read_whole(self, source: ArchiveSource) -> None:
        plan = SourcePlan(version=source.version)
        self.folder.begin_source(source, plan)
        self._begin(source, plan)

    def _fail(self, source: ArchiveSource, error: dict[str, Any]) -> None:
        failure = failure_of(source.name, error)
        record = SourceRecord(
            name=source.name, kind=source.kind, version=source.version, key=source.key, failures=(failure,)
        )
        self._finish(source, record)

    def _finish(self, source: ArchiveSource, record: SourceRecord) -> None:
        self.underway.pop(source.key, None)
        self.folder.finish_source(source, record)
        self.records[source.key] = record

    def bytes_done(self, sources: Sequence[ArchiveSource]) -> float:
        """The bytes of the sources whose results are there, clip by clip."""
        done = 0.0
        for source in sources:
            entry = self.underway.get(source.key)
            if source.key in self.records:
                done += source.size_bytes
            elif entry is not None:
                done += source.size_bytes * (1 - entry.missing / entry.plan.clips)
        return done


def run_batch(
    sources: Sequence[ArchiveSource],
    folder: BatchFolder,
    crew: Crew,
    report: Callable[[BatchProgress], None] = lambda progress: None,
) -> BatchResult:
    """Segment all sources that are not done yet.

    Args:
        sources: The sources, each once.
        folder: The output folder, which this holds meanwhile.
        crew: The workers, which stay the caller's to close.
        report: Called about once a second.

    Raises:
        MismatchError: The folder holds results of another engine or of other settings.
        EdgesegError: The engine cannot be opened, or the folder takes no more; what is done stays.
    """
    with folder.begun(crew.job):
        batch, started = _Batch(folder, crew), time.monotonic()
        batch.start(sources)
        total = max(1, sum(source.size_bytes for source in sources))
        before = batch.bytes_done(sources) / total
        under_way, reported = 0, 0.0
        while True:
            for worker in crew.idle:
                if (job := batch.next_job(worker)) is None:
                    break
                crew.give(worker, job)
                under_way += 1
            if not under_way:
                break
            for worker, job, outcome in crew.take(REPORT_S):
                under_way -= 1
                batch.absorb(worker, job, outcome)
            if time.monotonic() - reported >= REPORT_S:
                reported, share = time.monotonic(), batch.bytes_done(sources) / total
                seconds = reported - started
                report(BatchProgress(len(sources), len(batch.records), share, before, batch.frames, seconds))
        records = tuple(batch.records[source.key] for source in sources)
        write_sources(folder.sources_path, records)
        return BatchResult(
            records,
            batch.sources_before,
            batch.clips_before,
            batch.clips,
            batch.frames,
            time.monotonic() - started,
            batch.workers_lost,
        )
