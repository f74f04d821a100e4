"""A batch by workers of this process, and what it wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from edgeseg.runtime.batch.archive_listing import list_archive
from edgeseg.runtime.batch.batch_driver import BatchResult, run_batch
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_worker import WorkerOptions
from edgeseg.runtime.batch.crew import LocalCrew

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
