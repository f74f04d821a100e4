"""The masks of frames that have no ground truth: how much of each picture a network marks."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pydantic

from edgeseg.dataset import hash_files, load_images
from edgeseg.errors import UsageError
from edgeseg.files import sha256_file
from edgeseg.frames import Frame, Mask
from edgeseg.metrics import marked_share
from edgeseg.progress import Track, silent
from edgeseg.proof.verdict.evaluation import segment_named
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.file.frame_choice import ALL_FRAMES, FrameChoice
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.video.video_files import ImageFolder, open_source
from edgeseg.values import Part

FALSE_MASK_SHARE = 0.01
"""Default share of the picture from which a mask counts; regions smaller than this are ignored."""


@dataclass(frozen=True)
class UnlabelledSource:
    """Frames without ground truth, and from when on a mask among them counts."""

    path: Path
    """A video file, a folder of images, or one image."""
    frames: FrameChoice = ALL_FRAMES
    false_mask_share: float = FALSE_MASK_SHARE
    """Share of the picture from which a mask counts."""

    def __post_init__(self) -> None:
        if not 0 < self.false_mask_share <= 1:
            raise UsageError(
                f"{self.false_mask_share} is no share of a picture", expected="more than 0 and at most 1, such as 0.01"
            )


class FrameMask(Part):
    """The marks of a network in one frame."""

    index: int
    """Position in the source, 0 for the first."""
    name: str
    mask_share: float = pydantic.Field(ge=0, le=1)
    """Share of the picture that the mask covers."""
    blobs: int
    """Connected regions, corners included."""
    counts: bool
    """True if the mask reaches the share from which it counts."""


@dataclass(frozen=True)
class KeptFrame:
    """A frame that is worth looking at, with its mask."""

    row: FrameMask
    frame: Frame
    mask: Mask


@dataclass(frozen=True)
class FrameMasks:
    """All frames of one source under one network."""

    rows: tuple[FrameMask, ...]
    is_video: bool
    """True if neighbours in `rows` are neighbours in time."""
    data_sha256: str
    """Hash of the video file, or of the chosen images."""
    largest: tuple[KeptFrame, ...]
    """The frames with the largest masks, largest first; none that are empty."""

    def share(self, which: Iterable[bool]) -> float:
        """Share of the frames."""
        return sum(which) / len(self.rows)


def measure_frames(
    engine: Engine, source: UnlabelledSource, keep: int = 0, track: Track = silent, description: str = "frames"
) -> FrameMasks:
    """Segment every chosen frame at its own size.

    Args:
        engine: What is to be measured.
        source: What to look at.
        keep: How many frames with the largest masks to keep as pictures.
        track: Shows progress.
        description: What the progress says.

    Raises:
        UsageError: No frame in the range.
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: A source that cannot be read.
    """
    rows: list[FrameMask] = []
    kept: list[tuple[float, int, KeptFrame]] = []
    data_sha256, is_video = describe_source(source)
    for name, index, frame in track(rgb_frames(source), description, None):
        mask = segment_named(engine, frame, name)
        row = _row(index, name, mask, source.false_mask_share)
        rows.append(row)
        if keep and row.mask_share > 0:
            entry = (row.mask_share, -index, KeptFrame(row, frame, mask))
            heapq.heappush(kept, entry) if len(kept) < keep else heapq.heappushpop(kept, entry)
    largest = tuple(frame for _, _, frame in sorted(kept, key=lambda entry: entry[:2], reverse=True))
    return FrameMasks(tuple(rows), is_video, data_sha256, largest)


def rgb_frames(source: UnlabelledSource) -> Iterator[tuple[str, int, Frame]]:
    """Name, index and picture (uint8 [H,W,3] RGB) of every chosen frame, in order."""
    with open_source(source.path) as opened:
        for frame in source.frames.of(opened):
            yield frame.name, frame.index, _rgb(frame)


def describe_source(source: UnlabelledSource) -> tuple[str, bool]:
    """SHA-256 of the video file or of the chosen images, and whether it is a video."""
    with open_source(source.path) as opened:
        is_video = not isinstance(opened, ImageFolder)
    if source.path.is_dir():
        images = load_images(source.path)
        return hash_files(images[index] for index in source.frames.indices(len(images))), is_video
    return sha256_file(source.path), is_video


def longest_run(rows: Iterable[FrameMask], counts: bool = True) -> int:
    """The most frames in a row whose mask counts (or does not); a gap between the chosen ranges ends a row.

    Where every n-th frame was chosen, those n frames apart are neighbours.
    """
    ordered = list(rows)
    stride = min((after.index - before.index for before, after in pairwise(ordered)), default=1)
    longest = current = 0
    last: int | None = None
    for row in ordered:
        follows = last is not None and row.index - last == stride
        current = (current if follows else 0) + 1 if row.counts is counts else 0
        longest, last = max(longest, current), row.index
    return longest


def _rgb(frame: SourceFrame) -> Frame:
    return np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), np.uint8)


def _row(index: int, name: str, mask: Mask, counting_share: float) -> FrameMask:
    share = marked_share(mask)
    blobs = cv2.connectedComponents((mask > 0).astype(np.uint8), connectivity=8)[0] - 1
    return FrameMask(index=index, name=name, mask_share=share, blobs=blobs, counts=share >= counting_share)
