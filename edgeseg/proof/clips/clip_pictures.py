"""The frames on which engine and reference differ most, drawn."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.frames import Frame
from edgeseg.proof.clips.clip_comparison import PairedClip
from edgeseg.proof.verdict.verdict_pictures import ENGINE_COLOUR, REFERENCE_COLOUR, as_base64, outline, shrink
from edgeseg.runtime.video.video_files import open_source

WORST_COUNT = 6
APART_S = 1.0
"""Frames nearer to one another than this look the same; the worst of them stands for all."""


@dataclass(frozen=True)
class DisputedFrame:
    """One row of pictures, each JPEG as base64 text."""

    clip: str
    index: int
    dice: float
    """Dice of the engine's mask against the reference's."""
    differing_share: float
    """Share of the picture that only one of the two marks."""
    frame: str
    reference: str
    engine: str


def draw_disputed(clips: Sequence[PairedClip], count: int = WORST_COUNT) -> list[DisputedFrame]:
    """Decode the frames again on which the masks differ in the most pixels, and draw both, the worst first.

    Args:
        clips: All clips of a verdict.
        count: How many frames at most.
    """
    chosen = heapq.nlargest(
        count, ((share, number, index) for number, pair in enumerate(clips) for share, index in _apart(pair))
    )
    pictures = {
        (number, index): frame
        for number, pair in enumerate(clips)
        for index, frame in _decoded(pair, {index for _, of, index in chosen if of == number})
    }
    return [_draw(clips[number], index, share, pictures[number, index]) for share, number, index in chosen]


def _apart(pair: PairedClip) -> list[tuple[float, int]]:
    """Share and index of a clip's differing frames, largest first, each the worst of its neighbourhood."""
    differing = []
    for index in range(pair.row.frames):
        ours, theirs = pair.masks_of(index)
        differing.append((float(np.mean(ours != theirs)), index))
    kept: list[tuple[float, int]] = []
    for share, index in sorted(differing, key=lambda each: (-each[0], each[1])):
        if share > 0 and all(abs(index - other) >= APART_S * pair.row.fps for _, other in kept):
            kept.append((share, index))
    return kept


def _decoded(pair: PairedClip, wanted: set[int]) -> list[tuple[int, Frame]]:
    found: list[tuple[int, Frame]] = []
    if not wanted:
        return found
    with open_source(pair.clip.path) as source:
        for frame in source.frames():
            if frame.index in wanted:
                found.append((frame.index, np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), np.uint8)))
            if len(found) == len(wanted):
                break
    return found


def _draw(pair: PairedClip, index: int, share: float, frame: Frame) -> DisputedFrame:
    ours, theirs = pair.masks_of(index)
    small = shrink(frame)
    return DisputedFrame(
        clip=pair.row.name,
        index=index,
        dice=pair.row.dice[index],
        differing_share=share,
        frame=as_base64(small),
        reference=as_base64(outline(small, theirs, REFERENCE_COLOUR)),
        engine=as_base64(outline(small, ours, ENGINE_COLOUR)),
    )
