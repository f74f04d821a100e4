"""The table of the sources of a batch: what came of each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeseg.optional import require
from edgeseg.runtime.batch.batch_values import SourceRecord
from edgeseg.runtime.batch.source_join import write_parquet


def source_schema() -> Any:
    """The columns: a row for each source, and for each picture of a folder that failed."""
    arrow = require("pyarrow")
    return arrow.schema(
        [
            ("source", arrow.string()),
            ("kind", arrow.string()),
            ("file", arrow.string()),
            ("frames", arrow.int64()),
            ("marked_frames", arrow.int64()),
            ("damaged_frames", arrow.int64()),
            ("lost_frames", arrow.int64()),
            ("lesions", arrow.int64()),
            ("failure", arrow.string()),
        ]
    )


def write_sources(path: Path, records: Iterable[SourceRecord]) -> None:
    """Write the table, whole or not at all, in the order of the records."""
    rows = [row for record in records for row in _rows(record)]
    write_parquet(path, require("pyarrow").Table.from_pylist(rows, schema=source_schema()))


def _rows(record: SourceRecord) -> list[dict[str, object]]:
    of_source: dict[str, object] = {
        "source": record.name,
        "kind": record.kind,
        "file": f"{record.key}.parquet" if record.has_results else None,
        "frames": record.frames,
        "marked_frames": record.marked_frames,
        "damaged_frames": record.damaged_frames,
        "lost_frames": record.lost_frames,
        "lesions": record.lesions,
    }
    failed = [
        {"source": failure.name, "kind": record.kind, "frames": 0, "failure": failure.in_one_line()}
        for failure in record.failures
    ]
    return failed if not record.has_results else [of_source, *failed]
