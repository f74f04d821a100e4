"""A clip's frames as rows of Arrow, and the file in which they wait for the other clips of their source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydantic

from edgeseg.files import atomic_file
from edgeseg.frames import Mask, Probability, confidence_of
from edgeseg.optional import require
from edgeseg.runtime.batch.batch_values import FileFailure
from edgeseg.runtime.live.sinks.rle import coco_rle
from edgeseg.runtime.live.sinks.sightings import GRID_PX
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.specs import ModelSpec

ROWS_AT_ONCE = 512
_NOTES = b"edgeseg"
"""The key of the metadata of a clip's last rows."""


@dataclass(frozen=True)
class ClipNotes:
    """The facts that are kept of a clip beside its rows."""

    head: tuple[str, ...] = ()
    """Hashes of its first pictures; see `SpanFile`."""
    tail: tuple[str, ...] = ()
    time_base: tuple[int, int] = (1, 1)
    """The unit of `pts` in seconds, as numerator and denominator."""
    lost_frames: int = 0
    failures: tuple[FileFailure, ...] = ()
    """The still pictures that could not be read."""


_NOTES_JSON = pydantic.TypeAdapter(ClipNotes)


def clip_schema() -> Any:
    """The columns of a clip: what one frame alone tells of itself."""
    arrow = require("pyarrow")
    run_lengths = arrow.struct([("size", arrow.list_(arrow.int32())), ("counts", arrow.string())])
    of_class = arrow.struct(
        [
            ("name", arrow.string()),
            ("area_px", arrow.int64()),
            ("largest_probability", arrow.float32()),
            ("segmentation", run_lengths),
        ]
    )
    return arrow.schema(
        [
            ("source", arrow.string()),
            ("frame", arrow.int64()),
            ("pts", arrow.int64()),
            ("width", arrow.int32()),
            ("height", arrow.int32()),
            ("damaged", arrow.bool_()),
            ("marked_share", arrow.float64()),
            ("confidence", arrow.float32()),
            ("classes", arrow.list_(of_class)),
            ("grid", arrow.binary()),
        ]
    )


class FrameRows:
    """Writes a row for each frame of a clip, some hundred at a time. A `ResultSink`.

    Args:
        model: The network.
        writer: The Arrow writer of the clip's file.
    """

    def __init__(self, model: ModelSpec, writer: Any) -> None:
        self._model, self._writer = model, writer
        self._rows: list[dict[str, Any]] = []
        self.name = ""
        """The name of the file that the next frames are of."""
        self.notes = ClipNotes()
        """The facts that are kept beside the rows; they may be set until the end."""
        self.count = 0

    def write(self, frame: SourceFrame, mask: Mask, probability: Probability) -> None:
        """Keep one frame."""
        height, width = mask.shape
        marked_px = cv2.countNonZero(mask)
        self._rows.append(
            {
                "source": self.name,
                "frame": frame.index,
                "pts": frame.pts,
                "width": width,
                "height": height,
                "damaged": frame.damaged,
                "marked_share": marked_px / mask.size,
                "confidence": confidence_of(probability),
                "classes": self._classes(mask, probability),
                "grid": packed_grid(mask) if marked_px else None,
            }
        )
        self.count += 1
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush(None)

    def finish(self) -> None:
        """Write what is left, and the notes."""
        self._flush({_NOTES: _NOTES_JSON.dump_json(self.notes)})

    def _flush(self, metadata: dict[bytes, bytes] | None) -> None:
        batch = require("pyarrow").RecordBatch.from_pylist(self._rows, schema=clip_schema())
        self._writer.write_batch(batch, custom_metadata=metadata)
        self._rows = []

    def _classes(self, mask: Mask, probability: Probability) -> list[dict[str, Any]]:
        """Describe each class; the background of several is none."""
        first = 0 if self._model.output == "sigmoid" else 1
        described = []
        for index in range(first, self._model.channels):
            own = mask if first == 0 else (mask == index).view(np.uint8)
            described.append(
                {
                    "name": self._model.classes[index],
                    "area_px": cv2.countNonZero(own),
                    "largest_probability": float(probability[index].max()),
                    "segmentation": coco_rle(own),
                }
            )
        return described


def packed_grid(mask: Mask) -> bytes:
    """Shrink a mask to the grid on which lesions are followed, one bit a pixel."""
    grid: Any = cv2.resize(mask, (GRID_PX, GRID_PX), interpolation=cv2.INTER_NEAREST)
    return np.packbits(grid > 0).tobytes()


def grid_of(packed: bytes) -> Mask:
    """Give the mask back on its grid, uint8 [GRID_PX,GRID_PX] of 0 and 255."""
    pixels = np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(GRID_PX, GRID_PX)
    return pixels * np.uint8(255)


@contextlib.contextmanager
def clip_file(path: Path, model: ModelSpec) -> Iterator[FrameRows]:
    """Write a clip's file, which appears when the block ends well.

    Args:
        path: The file.
        model: The network that the results are of.
    """
    ipc = require("pyarrow.ipc")
    options = ipc.IpcWriteOptions(compression="zstd")
    with atomic_file(path) as temporary, ipc.new_file(str(temporary), clip_schema(), options=options) as writer:
        rows = FrameRows(model, writer)
        yield rows
        rows.finish()


def clip_notes(path: Path) -> ClipNotes:
    """Read what was kept of a clip beside its rows."""
    with require("pyarrow.ipc").open_file(str(path)) as reader:
        _, metadata = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        return _NOTES_JSON.validate_json(metadata[_NOTES])


def clip_batches(path: Path) -> Iterator[Any]:
    """Give a clip's rows as tables of a few hundred: a clip may be a whole file of many hours."""
    arrow = require("pyarrow")
    with require("pyarrow.ipc").open_file(str(path)) as reader:
        for index in range(reader.num_record_batches):
            yield arrow.Table.from_batches([reader.get_batch(index)])
