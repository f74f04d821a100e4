"""One worker of a batch: it holds an engine and plans sources, segments clips and joins them, one after another."""

from __future__ import annotations

import contextlib
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
from edgeseg.runtime.batch.frame_rows import ClipNotes, FrameRows, clip_file
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
        self._on_gpu = runs_on_gpu(options.engine)
        lanes = LANES_IN_A_ROW if self._on_gpu else 1
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
            return SourcePlan(version=source.version, clips=clips)
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
        path = self._folder.clip_path(task.source, task.plan, task.clip)
        try:
            with clip_file(path, self._engine.info.model) as rows:
                if task.source.kind == "pictures":
                    self._pictures(task, rows)
                else:
                    self._video(task, rows)
        except InexactSpanError:
            return ClipDone(0, is_exact=False)
        return ClipDone(rows.count)

    def join(self, source: ArchiveSource, plan: SourcePlan) -> SourceRecord | None:
        """Join a source's clips; see `join_source`."""
        return join_source(self._folder, source, plan)

    def _video(self, task: ClipTask, rows: FrameRows) -> None:
        """Take the frames of a video, or of a span of it, through the engine."""
        (file,) = task.source.files
        path, span = self._fetched.path_of(file), task.plan.span(task.clip)
        if span is None:
            with open_source(path, self._options.deinterlace) as opened:
                self._frames(file.name, opened, rows)
                base = opened.timing.time_base.as_integer_ratio()
                rows.notes = ClipNotes(time_base=base, lost_frames=opened.lost_frames)
        else:
            with SpanFile(path, span, self._options.deinterlace) as part:
                self._frames(file.name, part, rows)
                rows.notes = ClipNotes(head=tuple(part.head), tail=tuple(part.tail))

    def _pictures(self, task: ClipTask, rows: FrameRows) -> None:
        """Take still pictures through the engine; one that cannot be read is a failure of its own."""
        failures: list[FileFailure] = []
        first = task.clip * PICTURES_A_CLIP
        for file in task.source.files[first : first + PICTURES_A_CLIP]:
            try:
                with open_source(self._fetched.path_of(file)) as opened:
                    self._frames(file.name, opened, rows)
            except BadInputError as error:
                failures.append(failure_of(file.name, error.to_dict()))
        rows.notes = ClipNotes(failures=tuple(failures))

    def _frames(self, name: str, opened: Source, rows: FrameRows) -> None:
        """Take every frame through the engine, as `run` does; beside a GPU on several threads."""
        rows.name = name
        run_stream(self._engine, opened, Sinks(results=(rows,)), threaded=self._on_gpu)

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
