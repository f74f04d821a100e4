"""One worker of a batch: it holds an engine and plans sources, segments clips and joins them, one after another."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.packages import find_model
from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_values import (
    BatchJob,
    ClipDone,
    ClipTask,
    FileFailure,
    SourcePlan,
    SourceRecord,
    failure_of,
)
from edgeseg.runtime.batch.frame_rows import ClipNotes, FrameRows, write_clip
from edgeseg.runtime.batch.remote_files import FetchedFiles
from edgeseg.runtime.batch.source_join import join_source
from edgeseg.runtime.engine.backends import backend_named
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import LANES_IN_A_ROW, Use
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.runtime.video.cut_points import cut_video
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.source import Source
from edgeseg.runtime.video.span_file import InexactSpanError, SpanFile
from edgeseg.runtime.video.video import VideoFile
from edgeseg.runtime.video.video_files import open_source
from edgeseg.signing.key_files import PublicKey

PICTURES_A_CLIP = 256


@dataclass(frozen=True)
class WorkerOptions:
    """The settings that every worker of a batch is given."""

    engine: Path
    out: Path
    """The output folder, which all workers see under this path."""
    threads: int = 1
    """Threads inside one inference on a CPU; 0 takes every usable core."""
    clip_s: float = 60.0
    """The length of video from which a clip ends at the next key frame."""
    deinterlace: Deinterlace = "auto"
    signed_by: PublicKey | None = None
    """The key that must have signed the engine; None demands no signature."""


class BatchWorker(contextlib.AbstractContextManager["BatchWorker"]):
    """Does the work of a batch in one process, with an engine that is opened once.

    Args:
        options: What it is given.

    Raises:
        EdgesegError: The engine cannot be opened.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._folder = BatchFolder(options.out)
        self._fetched = FetchedFiles()
        lanes = LANES_IN_A_ROW if runs_on_gpu(options.engine) else 1
        self._engine: Engine = open_engine(options.engine, Use(options.threads, lanes, signed_by=options.signed_by))

    @property
    def job(self) -> BatchJob:
        """The facts that this worker's results have in common with those of all others."""
        info = self._engine.info
        return BatchJob(
            engine_sha256=info.sha256,
            backend=info.backend,
            precision=info.precision,
            classes=info.model.classes,
            deinterlace=self._options.deinterlace,
        )

    def plan(self, source: ArchiveSource) -> SourcePlan:
        """Find out how a source is cut.

        Raises:
            BadInputError: It cannot be read.
        """
        if source.kind == "pictures":
            clips = -(-len(source.files) // PICTURES_A_CLIP)
            return SourcePlan(version=source.version, pictures_a_clip=PICTURES_A_CLIP, clips=clips)
        path = self._fetched.path_of(source.files[0])
        with open_source(path, self._options.deinterlace) as opened:
            is_video = isinstance(opened, VideoFile)
        cut = cut_video(path, self._options.deinterlace, self._options.clip_s) if is_video else None
        return SourcePlan(version=source.version) if cut is None else SourcePlan.of_cut(source.version, cut)

    def segment(self, task: ClipTask) -> ClipDone:
        """Segment one clip and write its results.

        Raises:
            BadInputError: The source cannot be read.
            EdgesegError: The engine failed.
        """
        started = time.monotonic()
        rows: list[dict[str, object]] = []
        if task.plan.pictures_a_clip is not None:
            notes = self._pictures(task, rows)
        else:
            path = self._fetched.path_of(task.source.files[0])
            try:
                with self._opened(path, task) as opened:
                    notes = self._frames(task.source.name, opened, rows)
            except InexactSpanError:
                return ClipDone(0, time.monotonic() - started, is_exact=False)
        write_clip(self._folder.clip_path(task.source, task.plan, task.clip), rows, notes)
        return ClipDone(len(rows), time.monotonic() - started)

    def join(self, source: ArchiveSource, plan: SourcePlan) -> SourceRecord | None:
        """Join a source's clips; see `join_source`."""
        return join_source(self._folder, source, plan)

    def _opened(self, path: Path, task: ClipTask) -> Source:
        span = task.plan.span(task.clip)
        if span is None:
            return open_source(path, self._options.deinterlace)
        return SpanFile(path, span, self._options.deinterlace)

    def _frames(self, name: str, opened: Source, rows: list[dict[str, object]]) -> ClipNotes:
        """Take every frame through the engine, as `run` does."""
        sink = FrameRows(name, self._engine.info.model)
        run_stream(self._engine, opened, Sinks(results=(sink,)))
        rows += sink.rows
        base = opened.timing.time_base
        seams = (tuple(opened.head), tuple(opened.tail)) if isinstance(opened, SpanFile) else ((), ())
        return ClipNotes(*seams, (base.numerator, base.denominator), opened.lost_frames)

    def _pictures(self, task: ClipTask, rows: list[dict[str, object]]) -> ClipNotes:
        """Take still pictures through the engine; one that cannot be read is a failure of its own."""
        assert task.plan.pictures_a_clip is not None
        first = task.clip * task.plan.pictures_a_clip
        failures: list[FileFailure] = []
        for file in task.source.files[first : first + task.plan.pictures_a_clip]:
            try:
                with open_source(self._fetched.path_of(file)) as opened:
                    self._frames(file.name, opened, rows)
            except BadInputError as error:
                failures.append(failure_of(file.name, error.to_dict()))
        return ClipNotes(failures=tuple(failures))

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._fetched.__exit__()


def runs_on_gpu(engine: Path) -> bool:
    """Tell whether an engine's backend needs a GPU, by its passport; a model without one runs on the processor.

    Raises:
        BadInputError: There is no such engine, or its backend is not here.
    """
    if find_model(engine).kind != "engine" or not passport_path(engine).is_file():
        return False
    return backend_named(EngineArtifact.read(passport_path(engine)).backend).device == "gpu"
