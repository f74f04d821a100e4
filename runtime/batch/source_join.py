"""Joins the clips of a source to its results: frames numbered and timed, lesions followed over the clips' borders."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from edgeseg.files import atomic_file
from edgeseg.optional import require
from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_values import FileFailure, SourcePlan, SourceRecord
from edgeseg.runtime.batch.frame_rows import ClipNotes, clip_batches, clip_notes, clip_schema
from edgeseg.runtime.batch.lesion_tracks import FoundLesion, LesionInFrame, LesionTracks
from edgeseg.runtime.video.timestamps import Timeline

ROWS_A_GROUP = 4096
"""Row groups end after so many frames wherever clips end, so that a file does not depend on how its video was cut."""
COMPRESSION = "zstd"


def join_source(folder: BatchFolder, source: ArchiveSource, plan: SourcePlan) -> SourceRecord | None:
    """Write a source's frames and lesions once all of its clips are done.

    Args:
        folder: The batch.
        source: The source.
        plan: How it was cut.

    Returns:
        What came of it; None where two clips do not fit together, so that it must not be cut.
    """
    paths = [folder.clip_path(source, plan, clip) for clip in range(plan.clips)]
    joining = _Joining(plan, source.kind == "video")
    if not all(joining.add(path) for path in paths):
        return None
    found, shown = joining.tracks.lesions()
    if joining.frames:
        _write_frames(folder.frames_path(source), paths, joining.placed, shown)
        if source.kind == "video":
            _write_lesions(folder.lesions_path(source), source, found)
    return SourceRecord(
        name=source.name,
        kind=source.kind,
        version=source.version,
        key=source.key,
        frames=joining.frames,
        marked_frames=joining.marked_frames,
        damaged_frames=joining.damaged_frames,
        lost_frames=joining.lost_frames,
        lesions=len(found),
        clips=plan.clips,
        failures=tuple(joining.failures),
    )


class _Joining:
    """Numbers the frames of clips, follows their lesions and counts, clip by clip in their order."""

    def __init__(self, plan: SourcePlan, is_video: bool) -> None:
        self._plan, self._is_video = plan, is_video
        self._timeline = Timeline(plan.base, plan.step, plan.start)
        self._tail: tuple[str, ...] = ()
        self.tracks = LesionTracks()
        self.placed: list[tuple[list[int], list[float | None]]] = []
        """The numbers and the times in seconds of each batch of frames."""
        self.frames = self.marked_frames = self.damaged_frames = self.lost_frames = 0
        self.failures: list[FileFailure] = []

    def add(self, path: Path) -> bool:
        """Take in the next clip; False where it does not begin with the pictures that the former one says."""
        notes = clip_notes(path)
        if self._tail != notes.head[: len(self._tail)]:
            return False
        self._tail = notes.tail
        self.lost_frames += notes.lost_frames
        self.failures += notes.failures
        first = self.frames
        for table in clip_batches(path):
            self._add_rows(table, notes, first)
        return True

    def _add_rows(self, table: Any, notes: ClipNotes, first: int) -> None:
        frames, times_s = self._placed(table, notes, first)
        shares = table["marked_share"].to_pylist()
        if self._is_video:
            grids, confidences = table["grid"].to_pylist(), table["confidence"].to_pylist()
            for row in zip(frames, times_s, grids, shares, confidences, strict=True):
                self.tracks.see(*row)
        self.placed.append((frames, [time_s if self._is_video else None for time_s in times_s]))
        self.frames += len(frames)
        self.marked_frames += sum(share > 0 for share in shares)
        self.damaged_frames += sum(table["damaged"].to_pylist())

    def _placed(self, table: Any, notes: ClipNotes, first: int) -> tuple[list[int], list[float]]:
        """Number frames and give their times in seconds; those of a cut video count within their clip."""
        frames, pts = table["frame"].to_pylist(), table["pts"].to_pylist()
        if self._plan.spans is None:
            numerator, denominator = notes.time_base
            return frames, [each * numerator / denominator for each in pts]
        base = self._plan.base
        return [first + frame for frame in frames], [float(self._timeline.place(each) * base) for each in pts]


def frame_schema() -> Any:
    """The columns of the results: a row for each frame."""
    arrow = require("pyarrow")
    taken = [clip_schema().field(name) for name in _KEPT]
    return arrow.schema(
        [
            arrow.field("source", arrow.string()),
            arrow.field("frame", arrow.int64()),
            arrow.field("time_s", arrow.float64()),
            *taken,
            arrow.field("lesions", arrow.list_(arrow.struct([("lesion", arrow.int32()), *_area_and_box()]))),
        ]
    )


_KEPT = ("width", "height", "damaged", "marked_share", "confidence", "classes")


def lesion_schema() -> Any:
    """The columns of the lesions: a row for each lesion of a video."""
    arrow = require("pyarrow")
    return arrow.schema(
        [
            ("source", arrow.string()),
            ("lesion", arrow.int32()),
            ("first_frame", arrow.int64()),
            ("last_frame", arrow.int64()),
            ("first_s", arrow.float64()),
            ("last_s", arrow.float64()),
            ("frames", arrow.int64()),
            ("confidence", arrow.float32()),
            *_area_and_box("largest_"),
        ]
    )


def _area_and_box(prefix: str = "") -> list[tuple[str, Any]]:
    sides = ("left", "top", "right", "bottom")
    return [(name, require("pyarrow").float32()) for name in (f"{prefix}area_share", *sides)]


def _write_frames(
    path: Path,
    clips: list[Path],
    placed: list[tuple[list[int], list[float | None]]],
    shown: dict[int, list[LesionInFrame]],
) -> None:
    arrow, parquet, schema = require("pyarrow"), require("pyarrow.parquet"), frame_schema()
    with (
        atomic_file(path) as temporary,
        parquet.ParquetWriter(str(temporary), schema, compression=COMPRESSION) as writer,
    ):
        waiting = schema.empty_table()
        tables = chain.from_iterable(map(clip_batches, clips))
        for table, (frames, times_s) in zip(tables, placed, strict=True):
            waiting = arrow.concat_tables([waiting, _finished(table, frames, times_s, shown, schema)])
            while len(waiting) >= ROWS_A_GROUP:
                writer.write_table(waiting[:ROWS_A_GROUP].combine_chunks(), row_group_size=ROWS_A_GROUP)
                waiting = waiting[ROWS_A_GROUP:]
        if len(waiting):
            writer.write_table(waiting.combine_chunks(), row_group_size=ROWS_A_GROUP)


def _finished(
    table: Any, frames: list[int], times_s: list[float | None], shown: dict[int, list[LesionInFrame]], schema: Any
) -> Any:
    """Make a clip's rows those of the results."""
    arrow = require("pyarrow")
    lesions = [[_row_of(lesion) for lesion in shown.get(frame, ())] for frame in frames]
    own = {"frame": frames, "time_s": times_s, "lesions": lesions}
    columns = [
        arrow.array(own[field.name], field.type) if field.name in own else table[field.name].combine_chunks()
        for field in schema
    ]
    return arrow.table(columns, schema=schema)


def _row_of(lesion: LesionInFrame) -> dict[str, object]:
    left, top, right, bottom = lesion.box
    sides = {"left": left, "top": top, "right": right, "bottom": bottom}
    return {"lesion": lesion.lesion, "area_share": lesion.area_share, **sides}


def _write_lesions(path: Path, source: ArchiveSource, found: list[FoundLesion]) -> None:
    rows = [{"source": source.name, **row} for row in _lesion_rows(found)]
    table = require("pyarrow").Table.from_pylist(rows, schema=lesion_schema())
    write_parquet(path, table)


def _lesion_rows(found: list[FoundLesion]) -> Iterator[dict[str, object]]:
    for lesion in found:
        row = dataclasses.asdict(lesion)
        left, top, right, bottom = row.pop("box")
        yield {**row, "left": left, "top": top, "right": right, "bottom": bottom}


def write_parquet(path: Path, table: Any) -> None:
    """Write a table, whole or not at all."""
    with atomic_file(path) as temporary:
        require("pyarrow.parquet").write_table(table, str(temporary), compression=COMPRESSION)
