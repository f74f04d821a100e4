"""A clip that shows a polyp and has no ground truth: in how many frames a network marks something.

Nobody says where the polyp is, so a mask that lies elsewhere counts too: look at the frames beside the figure.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import pydantic

from edgeseg.errors import BadInputError
from edgeseg.files import read_text
from edgeseg.proof.evaluation.frame_masks import FrameMask, FrameMasks, UnlabelledSource, longest_run
from edgeseg.values import Part, Value

COLUMNS = ("first", "last")
RANGES_FORM = "a line first,last and then one line for each run of frames that show the polyp, both ends included"


class LabelledFrames(Part):
    """The frames that a person says show the polyp, against all others."""

    polyp_frames: int = pydantic.Field(gt=0)
    found_share: float
    """Share of the polyp's frames whose mask counts."""
    marked_share: float
    """Share of the polyp's frames with at least one marked pixel."""
    longest_missed_frames: int
    """The most of the polyp's frames in a row whose mask does not count."""
    other_frames: int
    other_alarm_share: float | None
    """Share of the other frames whose mask counts; None where there are no other frames."""


class PolypClip(Value):
    """The marks of a network in a clip that shows a polyp."""

    frames: str
    """The chosen range, as it was asked for."""
    frame_count: int = pydantic.Field(gt=0)
    data_sha256: str
    false_mask_share: float
    """Share of the picture from which a mask counts."""
    counting_share: float
    """Share of all frames whose mask counts."""
    any_mask_share: float
    """Share of all frames with at least one marked pixel."""
    longest_marked_frames: int | None
    """The most frames in a row whose mask counts; None for still images; likewise the next."""
    longest_unmarked_frames: int | None
    labelled: LabelledFrames | None
    """None where nobody said which frames show the polyp."""
    per_frame: tuple[FrameMask, ...]


def polyp_clip(
    masks: FrameMasks, source: UnlabelledSource, shown: Sequence[tuple[int, int]] | None = None
) -> PolypClip:
    """Count what was marked in a clip with a polyp.

    Args:
        masks: The frames under the network.
        source: The source that they come from.
        shown: First and last index of every run of frames that shows the polyp; see `read_ranges`.

    Raises:
        BadInputError: None of the frames lies in `shown`.
    """
    rows = masks.rows
    return PolypClip(
        frames=str(source.frames),
        frame_count=len(rows),
        data_sha256=masks.data_sha256,
        false_mask_share=source.false_mask_share,
        counting_share=masks.share(row.counts for row in rows),
        any_mask_share=masks.share(row.mask_share > 0 for row in rows),
        longest_marked_frames=longest_run(rows) if masks.is_video else None,
        longest_unmarked_frames=longest_run(rows, counts=False) if masks.is_video else None,
        labelled=None if shown is None else _labelled(rows, shown),
        per_frame=rows,
    )


def read_ranges(path: Path) -> list[tuple[int, int]]:
    """Read the frames that show the polyp: CSV with the columns first and last (other columns are left alone).

    Raises:
        BadInputError: Unreadable, without these columns, without a line, or a line that is no range.
    """
    reader = csv.DictReader(read_text(path, "frame ranges").splitlines())
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise BadInputError(f"{path} has no columns first and last", found=reader.fieldnames, expected=RANGES_FORM)
        ranges = [_range(path, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise BadInputError(f"{path} is no table of frames", found=error, expected=RANGES_FORM) from error
    if not ranges:
        raise BadInputError(f"{path} names no frames", expected=RANGES_FORM)
    return ranges


def _range(path: Path, line: int, row: dict[str, str]) -> tuple[int, int]:
    try:
        first, last = (int(row[column]) for column in COLUMNS)
    except (TypeError, ValueError):
        first, last = 0, -1
    if not 0 <= first <= last:
        raise BadInputError(
            f"line {line} of {path} is no range of frames", found=",".join(map(str, row.values())), expected=RANGES_FORM
        )
    return first, last


def _labelled(rows: Sequence[FrameMask], shown: Sequence[tuple[int, int]]) -> LabelledFrames:
    with_polyp = [any(first <= row.index <= last for first, last in shown) for row in rows]
    polyp = list(compress(rows, with_polyp))
    others = [row for row, inside in zip(rows, with_polyp, strict=True) if not inside]
    if not polyp:
        raise BadInputError(
            "none of the frames shows the polyp",
            found=f"frames {rows[0].index} to {rows[-1].index}",
            expected=f"ranges {', '.join(f'{first} to {last}' for first, last in shown[:5])}",
        )
    return LabelledFrames(
        polyp_frames=len(polyp),
        found_share=sum(row.counts for row in polyp) / len(polyp),
        marked_share=sum(row.mask_share > 0 for row in polyp) / len(polyp),
        longest_missed_frames=longest_run(polyp, counts=False),
        other_frames=len(others),
        other_alarm_share=sum(row.counts for row in others) / len(others) if others else None,
    )
