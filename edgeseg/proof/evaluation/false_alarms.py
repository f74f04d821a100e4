"""Frames that show no polyp: how often a network marks one all the same."""

from __future__ import annotations

import numpy as np
import pydantic

from edgeseg.proof.evaluation.frame_masks import FrameMask, FrameMasks, UnlabelledSource, longest_run
from edgeseg.values import Value


class FalseAlarms(Value):
    """The marks of a network on frames that show nothing; every mask is false."""

    frames: str
    """The chosen range, as it was asked for."""
    frame_count: int = pydantic.Field(gt=0)
    data_sha256: str
    """Hash of the video file, or of the chosen images."""
    false_mask_share: float
    """Share of the picture from which a mask counts as an alarm."""
    alarm_count: int
    alarm_share: float
    """Share of the frames with an alarm."""
    any_mask_share: float
    """Share of the frames with at least one marked pixel."""
    mean_false_area: float
    """Marked share of the picture, mean over all frames."""
    blobs_per_frame: float
    """Connected marked regions, mean over all frames."""
    longest_alarm_frames: int | None
    """The most alarms in a row; None for still images, which have no order in time."""
    per_frame: tuple[FrameMask, ...]


def false_alarms(masks: FrameMasks, source: UnlabelledSource) -> FalseAlarms:
    """Count what was marked on frames without a polyp."""
    rows = masks.rows
    return FalseAlarms(
        frames=str(source.frames),
        frame_count=len(rows),
        data_sha256=masks.data_sha256,
        false_mask_share=source.false_mask_share,
        alarm_count=sum(row.counts for row in rows),
        alarm_share=masks.share(row.counts for row in rows),
        any_mask_share=masks.share(row.mask_share > 0 for row in rows),
        mean_false_area=float(np.mean([row.mask_share for row in rows])),
        blobs_per_frame=float(np.mean([row.blobs for row in rows])),
        longest_alarm_frames=longest_run(rows) if masks.is_video else None,
        per_frame=rows,
    )
