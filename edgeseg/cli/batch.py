"""`edgeseg batch`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, grid, say
from edgeseg.cli.run_flags import EngineArgument
from edgeseg.cli.signing_key import demanded_key
from edgeseg.errors import BadInputError

if TYPE_CHECKING:
    from collections import Counter

    from edgeseg.runtime.batch.batch_driver import BatchResult

SHOWN_FAILURES = 20


def batch(
    engine: EngineArgument,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES...",
            help="Videos, pictures, DICOM objects, folders, globs, URLs of fsspec, manifests (.txt, .csv).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; one that a batch has begun is gone on with.")
    ],
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Workers, each with an engine; by default one a core, or one a GPU."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads inside one inference on a CPU; 0 takes every core.")] = 1,
    address: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Address of a Ray cluster, or auto; by default Ray starts here.")
    ] = None,
    clip_seconds: Annotated[
        float, typer.Option(metavar="S", min=1, help="Cut videos at the first key frame after so many seconds.")
    ] = 60.0,
    deinterlace: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="Deinterlace where the video says that it is interlaced, always, or never."),
    ] = "auto",
    require_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pub", help="Open nothing that the owner of this public key has not signed (edgeseg sign)."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment whole archives of videos and pictures: a row for each frame, and the lesions of each video, in Parquet.

    Typed again after an interruption it goes on where it was. A source that cannot be read ends nothing: it is listed,
    and the exit code is 5.
    """
    from edgeseg.cli.batch_progress import batch_progress
    from edgeseg.optional import require
    from edgeseg.runtime.batch.archive_listing import list_archive
    from edgeseg.runtime.batch.batch_driver import run_batch
    from edgeseg.runtime.batch.batch_folder import BatchFolder
    from edgeseg.runtime.batch.batch_worker import WorkerOptions
    from edgeseg.runtime.batch.ray_crew import RayCrew

    require("pyarrow")
    folder = BatchFolder(out.absolute())
    folder.check()
    listing = list_archive(sources)
    key = demanded_key(require_signature)
    engine = engine.absolute() if engine.exists() else engine  # else it may be the name of a package
    options = WorkerOptions(engine, folder.path, threads, clip_seconds, deinterlace, key)
    with contextlib.closing(RayCrew(options, workers, address)) as crew, batch_progress() as report:
        result = run_batch(listing.sources, folder, crew, report)
        size = crew.size
    if listing.passed_over:
        say(f"passed over {_counted(listing.passed_over)}")
    document = _document(result, size, out) | ({"exit_code": BadInputError.exit_code} if result.failures else {})
    emit(document, as_json, _text(result, size, out))
    if result.failures:
        for failure in result.failures:
            words = failure.in_one_line()
            say(f"error: {words}" if failure.name in words else f"error: {failure.name}: {words}")
        raise typer.Exit(BadInputError.exit_code)


def _counted(passed_over: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(passed_over.items()))


def _document(result: BatchResult, workers: int, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "workers": workers,
        "workers_lost": result.workers_lost,
        "sources": len(result.records),
        "sources_done_before": result.sources_before,
        "clips_done": result.clips,
        "clips_done_before": result.clips_before,
        "frames": sum(record.frames for record in result.records),
        "frames_segmented": result.frames,
        "lesions": sum(record.lesions for record in result.records),
        "seconds": round(result.seconds, 3),
        "failures": [failure.model_dump(mode="json") for failure in result.failures],
    }


def _text(result: BatchResult, workers: int, out: Path) -> str:
    whole = [record for record in result.records if record.has_results]
    frames, lesions = (sum(getattr(record, name) for record in whole) for name in ("frames", "lesions"))
    rate = result.frames / result.seconds if result.seconds else 0.0
    lines = [
        f"{len(whole)} of {len(result.records)} sources: {frames} frames, {lesions} lesions",
        f"{result.frames} frames by {workers} worker{'s' if workers > 1 else ''} now, {rate:.1f} a second",
    ]
    if result.sources_before or result.clips_before:
        lines.append(f"{result.sources_before} sources and {result.clips_before} clips were done before")
    if result.workers_lost:
        lines.append(f"{result.workers_lost} workers ended and were started again")
    if result.failures:
        rows = [[failure.name, failure.in_one_line()] for failure in result.failures[:SHOWN_FAILURES]]
        lines.append(grid(f"{len(result.failures)} without a result", ["file", "why"], rows))
        if len(result.failures) > SHOWN_FAILURES:
            lines.append(f"and {len(result.failures) - SHOWN_FAILURES} more, in {out / 'sources.parquet'}")
    return "\n".join([*lines, f"wrote {out}"])
