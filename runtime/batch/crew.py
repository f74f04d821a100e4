"""The workers of a batch, as its driver sees them: each is given a job at a time, and later says what came of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Protocol

from edgeseg.errors import EdgesegError
from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.batch.batch_values import BatchJob, ClipDone, ClipTask, SourcePlan, SourceRecord
from edgeseg.runtime.batch.batch_worker import BatchWorker, WorkerOptions


@dataclass(frozen=True)
class PlanJob:
    """Find out how a source is cut; gives a `SourcePlan`."""

    source: ArchiveSource

    def run(self, worker: BatchWorker) -> SourcePlan:
        """Do it."""
        return worker.plan(self.source)


@dataclass(frozen=True)
class ClipJob:
    """Segment a clip; gives a `ClipDone`."""

    task: ClipTask

    @property
    def source(self) -> ArchiveSource:
        """The source that it is for."""
        return self.task.source

    def run(self, worker: BatchWorker) -> ClipDone:
        """Do it."""
        return worker.segment(self.task)


@dataclass(frozen=True)
class JoinJob:
    """Join the clips of a source; gives a `SourceRecord`, or None where the clips do not fit together."""

    source: ArchiveSource
    plan: SourcePlan

    def run(self, worker: BatchWorker) -> SourceRecord | None:
        """Do it."""
        return worker.join(self.source, self.plan)


Job = PlanJob | ClipJob | JoinJob


@dataclass(frozen=True)
class Done:
    """A job was done."""

    result: Any
    """The value that the job gives."""


@dataclass(frozen=True)
class Refused:
    """A job ended with an error, which would come again."""

    error: dict[str, Any]
    """The error's `to_dict`."""


@dataclass(frozen=True)
class WorkerLost:
    """A worker ended under its job, which may be given to another."""

    reason: str


Outcome = Done | Refused | WorkerLost


class Crew(Protocol):
    """Some workers. One thread uses them."""

    @property
    def job(self) -> BatchJob:
        """The facts that the results of all workers have in common."""
        ...

    @property
    def idle(self) -> list[int]:
        """The numbers of the workers that wait for a job."""
        ...

    def give(self, worker: int, job: Job) -> None:
        """Give a job to an idle worker."""
        ...

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        """Wait for outcomes; after the time there may be none.

        Raises:
            EdgesegError: A worker cannot open the engine.
        """
        ...

    def close(self) -> None:
        """End all workers; closing twice is fine."""
        ...


def outcome_of(worker: BatchWorker, job: Job) -> Outcome:
    """Do a job in this process and put its end into a value that crosses to another."""
    try:
        return Done(job.run(worker))
    except EdgesegError as error:
        return Refused(error.to_dict())
    except Exception as error:  # one source of thousands must not end the batch, whatever it does to a library
        last = traceback.extract_tb(error.__traceback__)[-1]
        words = f"a defect of edgeseg: {type(error).__name__}: {error}"
        return Refused(EdgesegError(words, found=f"{last.name}, line {last.lineno}").to_dict())


class LocalCrew:
    """One worker in this process, for tests and small archives: a job is done when its outcome is taken. A `Crew`.

    Args:
        options: What the worker is given.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._worker = BatchWorker(options)
        self._job: Job | None = None

    @property
    def job(self) -> BatchJob:
        """The facts that the results have in common."""
        return self._worker.job

    @property
    def idle(self) -> list[int]:
        """The one worker, while it has no job."""
        return [0] if self._job is None else []

    def give(self, worker: int, job: Job) -> None:
        """Keep a job."""
        self._job = job

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        """Do the job."""
        job, self._job = self._job, None
        return [] if job is None else [(0, job, outcome_of(self._worker, job))]

    def close(self) -> None:
        """Close the engine."""
        self._worker.__exit__()
