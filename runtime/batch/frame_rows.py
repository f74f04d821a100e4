"""A clip's frames as rows of an Arrow table, and the file in which they wait for the other clips of their source."""

from __future__ import annotations

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

_NOTES = b"edgeseg"
"""The key of a clip file's metadata."""


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
    """Takes a clip's results and keeps a row of each. A `ResultSink`.

    Args:
        name: The name of the file that the frames are of.
        model: The network.
    """

    def __init__(self, name: str, model: ModelSpec) -> None:
        self._name, self._model = name, model
        self.rows: list[dict[str, Any]] = []

    def write(self, frame: SourceFrame, mask: Mask, probability: Probability) -> None:
        """Keep one frame."""
        height, width = mask.shape
        marked_px = cv2.countNonZero(mask)
        self.rows.append(
            {
                "source": self._name,
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


def write_clip(path: Path, rows: list[dict[str, Any]], notes: ClipNotes) -> None:
    """Write a clip's rows, whole or not at all.

    Args:
        path: The file.
        rows: The rows that `FrameRows` kept.
        notes: Kept with the file's schema.
    """
    arrow, ipc = require("pyarrow"), require("pyarrow.ipc")
    schema = clip_schema().with_metadata({_NOTES: _NOTES_JSON.dump_json(notes)})
    with atomic_file(path) as temporary:
        options = ipc.IpcWriteOptions(compression="zstd")
        with ipc.new_file(str(temporary), schema, options=options) as writer:
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def read_clip(path: Path) -> tuple[Any, ClipNotes]:
    """Read a clip's table and what was kept with it."""
    with require("pyarrow.ipc").open_file(str(path)) as reader:
        table = reader.read_all()
    return table, _NOTES_JSON.validate_json(table.schema.metadata[_NOTES])
