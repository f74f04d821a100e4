"""One clip under one network: the marks of every frame, made by the pipeline of `run`."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.frames import Mask
from edgeseg.progress import Track, silent
from edgeseg.proof.clips.clip_file import Clip
from edgeseg.proof.clips.lesions import Lesion, marks
from edgeseg.proof.mapped_engine import MappedEngine
from edgeseg.proof.verdict.thumbnails import Bits, thumbnail
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.video.overlay import cased_width_px, draw
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.source import SourceFrame
from edgeseg.runtime.video.tracks import Region, RegionFollower
from edgeseg.runtime.video.video_files import open_source

SMALLEST_AREA_SHARE = 0.001
"""Share of the picture from which a region counts as a mark, as in the events of `live`."""


@dataclass(frozen=True, eq=False)
class FrameMarks:
    """The marks of one frame."""

    time_s: float
    packed: bytes
    """The mask, packed; see `mask_of`. Equal masks are equal bytes."""
    thumbnail: Bits
    shown: tuple[bool, ...]
    """True for each lesion of the clip that the frame shows."""
    marked: tuple[bool, ...]
    """True for each lesion that is shown and marked."""
    is_judged: bool
    """True if a false mark can be told: no lesion is in view of which nobody knows where it is."""
    links: tuple[tuple[int, tuple[int, ...]], ...]
    """The number of each region, and the numbers of the regions that it continues."""
    false_regions: tuple[int, ...]
    """The numbers of the regions that lie on no lesion; empty where that cannot be told."""


@dataclass(frozen=True, eq=False)
class ClipMarks:
    """All frames of a clip under one network."""

    frames: tuple[FrameMarks, ...]
    fps: float
    height: int
    width: int
    changed_outside_px: int
    """Pixels farther from the mark than its outline is wide that the overlay changed, over all frames."""
    not_finite_frames: int
    """Frames with NaN or infinity among the probabilities."""

    def mask_of(self, index: int) -> Mask:
        """The mask of a frame, uint8 [H,W] of 0 and 255."""
        bits = np.frombuffer(zlib.decompress(self.frames[index].packed), np.uint8)
        pixels = np.unpackbits(bits, count=self.height * self.width)
        return pixels.reshape(self.height, self.width) * np.uint8(255)


def marks_of_clip(engine: Engine, clip: Clip, track: Track = silent) -> ClipMarks:
    """Take every frame of a clip through the engine as `run` does, and note what it marks.

    Args:
        engine: An open engine, which stays the caller's to close.
        clip: The clip.
        track: Shows progress.

    Raises:
        BadInputError: The clip cannot be read, changes its size, or ends before a frame that should show a lesion.
        EdgesegError: The engine failed.
    """
    watched = _FiniteWatch(engine)
    with open_source(clip.path) as source:
        sink = _MarkSink(clip, [Lesion(entry) for entry in clip.lesions])
        run_stream(watched, source, Sinks(masks=(sink,)), track=track)
        fps = float(source.timing.rate)
    return sink.marks(fps, watched.not_finite_frames)


def changed_outside_px(picture: Picture, mask: Mask) -> int:
    """Count the pixels that the overlay changes although they lie farther from the mark than its outline is wide.

    The overlay is that of `run` and `live` without its caption, and before an encoder touches it.

    Args:
        picture: The picture as it was decoded.
        mask: uint8 [H,W] at the picture's size.
    """
    drawn = draw(picture, mask if mask.any() else None, ())
    if drawn is picture:
        return 0
    (luma, *chroma), (drawn_luma, *drawn_chroma) = picture.planar().planes(), drawn.planes()
    changed = luma != drawn_luma
    for before, after in zip(chroma, drawn_chroma, strict=True):
        changed |= (before != after).repeat(2, axis=0).repeat(2, axis=1)
    width_px = cased_width_px(*mask.shape)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    near = cv2.dilate((mask > 0).astype(np.uint8), kernel) > 0
    return int(np.count_nonzero(changed[: mask.shape[0], : mask.shape[1]] & ~near))


class _FiniteWatch(MappedEngine):
    """Counts the results that are not finite; they are background in the mask."""

    not_finite_frames = 0

    def mapped(self, segmented: Segmented) -> Segmented:
        self.not_finite_frames += not np.isfinite(segmented.probability).all()
        return segmented


class _MarkSink:
    """Notes the marks of each frame. A `MaskSink`."""

    def __init__(self, clip: Clip, lesions: Sequence[Lesion]) -> None:
        self._clip, self._lesions = clip, lesions
        self._frames: list[FrameMarks] = []
        self._size: tuple[int, int] | None = None
        self._changed_px = 0

    def write(self, frame: SourceFrame, mask: Mask) -> None:
        """Note one frame."""
        if self._size is None:
            self._size = mask.shape[0], mask.shape[1]
            smallest_px = max(1, round(SMALLEST_AREA_SHARE * mask.size))
            self._follower = RegionFollower(smallest_area_px=smallest_px)
        if mask.shape != self._size:
            raise BadInputError(
                f"the frames of the clip {self._clip.name} have different sizes",
                found=f"{mask.shape[1]}x{mask.shape[0]} in frame {frame.index}",
                expected=f"{self._size[1]}x{self._size[0]} throughout",
            )
        self._frames.append(self._marks(frame, mask, self._follower.update(mask)))
        self._changed_px += changed_outside_px(frame.picture, mask)

    def marks(self, fps: float, not_finite_frames: int) -> ClipMarks:
        """Give what was noted.

        Raises:
            BadInputError: The clip ends before a frame that should show a lesion.
        """
        for lesion in self._lesions:
            if lesion.last_frame >= len(self._frames):
                raise BadInputError(
                    f"the clip {self._clip.name} has no frame {lesion.last_frame}, which should show {lesion.name}",
                    found=f"frames 0 to {len(self._frames) - 1}",
                    expected="ranges [first, last] inside the clip, both ends included",
                )
        for place, lesion in enumerate(self._lesions):
            if not any(frame.shown[place] for frame in self._frames):
                raise BadInputError(
                    f"no frame of the clip {self._clip.name} shows {lesion.name}",
                    found="empty masks",
                    expected="a lesion that is seen, or polyp = false",
                )
        height, width = self._size or (0, 0)
        return ClipMarks(tuple(self._frames), fps, height, width, self._changed_px, not_finite_frames)

    def _marks(self, frame: SourceFrame, mask: Mask, regions: Sequence[Region]) -> FrameMarks:
        seen = [lesion.in_frame(frame.index, *mask.shape) for lesion in self._lesions]
        places = [place for is_shown, place in seen if is_shown]
        known = [place for place in places if place is not None]
        is_judged = len(known) == len(places)
        return FrameMarks(
            time_s=float(frame.pts * frame.time_base),
            packed=zlib.compress(np.packbits(mask > 0).tobytes(), 1),
            thumbnail=thumbnail(mask),
            shown=tuple(is_shown for is_shown, _ in seen),
            marked=tuple(is_shown and marks(regions, place) for is_shown, place in seen),
            is_judged=is_judged,
            links=tuple((region.number, region.continues) for region in regions),
            false_regions=tuple(
                region.number
                for region in regions
                if is_judged and not any((region.pixels & place).any() for place in known)
            ),
        )
